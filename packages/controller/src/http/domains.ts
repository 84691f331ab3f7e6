/** /api/v1/domains */
import { Domain, DomainSpec, Name } from '@mirrorplane/contract';
import * as z from 'zod';
import type { DomainRecord } from '../store/records.ts';
import { refuseUsed } from './dependents.ts';
import type { ListSpec } from './list-spec.ts';
import { etag, found, MutationQuery } from './mutation.ts';
import { deleteNamed, putNamed } from './named-resource.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { type Route, route } from './route.ts';

const Params = z.object({ name: Name.meta({ description: 'Name of the domain.' }) });
const path = '/api/v1/domains';
const tag = 'domains';

const DOMAINS: ListSpec<Domain> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: {},
  texts: ({ description }) => [description],
  filter: {},
};

export const domainRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'List communication domains',
    query: pageQuery(DOMAINS),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Domains by name.', schema: listOf(Domain) }],
    handle: ({ query, services, judge, who }) => {
      const domains = services.view
        .all('domains')
        .values()
        .filter(({ value }) => judge.may('read', 'domain', value.name));
      const items = domains.map(({ value, revision }) => ({ ...value, revision }));
      return { body: pageOf(items, DOMAINS, query, listOptions(services, who)) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    needs: 'read',
    about: 'domain',
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
    needs: 'inventory',
    about: 'domain',
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
      putNamed(call, { folder: 'domains', name: call.params.name }, (stored) => {
        const value: DomainRecord = { name: call.params.name, description: call.body.description };
        const unchanged = stored?.value.description === value.description;
        return { value, unchanged, body: (revision) => ({ ...value, revision }) };
      }),
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'inventory',
    about: 'domain',
    summary: 'Delete a communication domain without pools',
    params: Params,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'IN_USE'],
    responses: [{ status: 204, description: 'Deleted.' }],
    handle: (call) =>
      deleteNamed(call, { folder: 'domains', name: call.params.name }, ({ value: { name } }) => {
        const pools = [...call.services.view.all('pools').values()].filter(({ value }) => value.domain === name);
        refuseUsed(
          `domain "${name}"`,
          pools.map(({ value }) => `pool "${value.name}"`),
        );
      }),
  }),
];
