/** /api/v1/domains */
import { Domain, DomainSpec, Name } from '@mirrorplane/contract';
import * as z from 'zod';
import type { DomainRecord } from '../store/records.ts';
import { keyOf } from '../store/view.ts';
import { refuseUsed } from './dependents.ts';
import { checkPreconditions, etag, found, MutationQuery, mutate } from './mutation.ts';
import { listOf, PageQuery, pageOf } from './paging.ts';
import { type Route, route } from './route.ts';

const Params = z.object({ name: Name.meta({ description: 'Name of the domain.' }) });
const path = '/api/v1/domains';
const tag = 'domains';

export const domainRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    summary: 'List communication domains',
    query: PageQuery,
    responses: [{ status: 200, description: 'Domains by name.', schema: listOf(Domain) }],
    handle: ({ query, services: { view } }) => {
      const domains = view.all('domains').values();
      const items = domains.map(({ value, revision }) => ({ ...value, revision }));
      return { body: pageOf(items, ({ name }) => name, query, view.revision) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    summary: 'Read a communication domain',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The domain.', schema: Domain }],
    handle: ({ params: { name }, services: { view } }) => {
      const { value, revision } = found(view.get('domains', name), 'domain', name);
      return { headers: { etag: etag(revision) }, body: { ...value, revision } };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    summary: 'Create or change a communication domain',
    params: Params,
    query: MutationQuery,
    body: DomainSpec,
    conditional: true,
    responses: [
      { status: 200, description: 'Changed, or already up to date.', schema: Domain },
      { status: 201, description: 'Created.', schema: Domain },
    ],
    handle: (call) =>
      mutate(call, 'replace', `domains/${call.params.name}`, () => {
        const { body, request, services } = call;
        const { name } = call.params;
        const stored = services.view.get('domains', name);
        checkPreconditions(request, stored?.revision);
        const value: DomainRecord = { name, description: body.description };
        const unchanged = stored?.value.description === value.description;
        return {
          ops: unchanged ? [] : [{ type: 'put', key: keyOf('domains', name), value }],
          revision: stored?.revision ?? 0,
          status: stored ? 200 : 201,
          ...(!stored && { location: `${path}/${name}` }),
          body: (revision) => ({ ...value, revision }),
        };
      }),
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    summary: 'Delete a communication domain without pools',
    params: Params,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'IN_USE'],
    responses: [{ status: 204, description: 'Deleted.' }],
    handle: (call) =>
      mutate(call, 'delete', `domains/${call.params.name}`, () => {
        const { request, services } = call;
        const { name } = call.params;
        const { view } = services;
        const stored = found(view.get('domains', name), 'domain', name);
        checkPreconditions(request, stored.revision);
        const pools = [...view.all('pools').values()].filter(({ value }) => value.domain === name);
        refuseUsed(
          `domain "${name}"`,
          pools.map(({ value }) => `pool "${value.name}"`),
        );
        return { ops: [{ type: 'delete', key: keyOf('domains', name) }] };
      }),
  }),
];
