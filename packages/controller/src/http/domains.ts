/** /api/v1/domains */
import { Domain, DomainSpec, Name } from '@mirrorplane/contract';
import * as z from 'zod';
import type { DomainRecord } from '../store/records.ts';
import { refuseUsed } from './dependents.ts';
import type { ListSpec } from './list-spec.ts';
import { MutationQuery } from './mutation.ts';
import { deleteNamed, putNamed } from './named-resource.ts';
import { readRoutes } from './read-routes.ts';
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
  ...readRoutes({
    folder: 'domains',
    words: ['communication domain', 'communication domains'],
    list: DOMAINS,
    schema: Domain,
    params: Params,
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
