/** /api/v1/pools */
import { Name, Pool, PoolSpec } from '@mirrorplane/contract';
import * as z from 'zod';
import { deleteTokens } from '../auth/join-tokens.ts';
import { recordsOf } from '../inventory/inventory.ts';
import { refuseField } from '../problems/problems.ts';
import { policiesOf, policiesUsing } from '../store/policies.ts';
import type { PoolRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { refuseBroken, refuseUsed, withRecords } from './dependents.ts';
import { isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { MutationQuery } from './mutation.ts';
import { deleteNamed, putNamed } from './named-resource.ts';
import { readRoutes } from './read-routes.ts';
import { type Route, route } from './route.ts';

const Params = z.object({ name: Name.meta({ description: 'Name of the pool.' }) });
const path = '/api/v1/pools';
const tag = 'pools';

const POOLS: ListSpec<Pool> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: { domain: ({ domain }) => domain },
  texts: ({ domain, description }) => [domain, description],
  filter: { domain: ({ domain }, value) => isValue(domain, value) },
};

function usersOf(name: string, view: View): string[] {
  const nodes = [...view.all('nodes').values()].filter(({ value }) => value.pool === name);
  const policies = policiesOf(view);
  const interfaces = [...view.all('interfaces').values()].filter(
    ({ value }) => value.pool === name && (value.declared || policiesUsing(policies, value.id).length > 0),
  );
  return [
    ...nodes.map(({ value }) => `node "${value.name}"`),
    ...interfaces.map(({ value }) => `interface "${value.id}"`),
  ];
}

/** The new record of a pool. Encryption ends only if somebody says so. */
function recordOf(name: string, { domain, description, underlay }: PoolSpec, stored?: PoolRecord): PoolRecord {
  const kept = underlay ?? stored?.underlay;
  return { name, domain, description, ...(kept !== undefined && { underlay: kept }) };
}

export const poolRoutes: Route[] = [
  ...readRoutes({
    folder: 'pools',
    words: ['resource pool', 'resource pools'],
    list: POOLS,
    schema: Pool,
    params: Params,
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    needs: 'inventory',
    about: 'pool',
    summary: 'Create or change a resource pool',
    params: Params,
    query: MutationQuery,
    body: PoolSpec,
    conditional: true,
    refuses: ['IN_USE'],
    responses: [
      { status: 200, description: 'Changed, or already up to date.', schema: Pool },
      { status: 201, description: 'Created.', schema: Pool },
    ],
    handle: (call) =>
      putNamed(call, { folder: 'pools', name: call.params.name }, (stored) => {
        const { body, services } = call;
        const { name } = call.params;
        const { view } = services;
        if (!view.get('domains', body.domain)) {
          const message = `there is no domain "${body.domain}": create it first, for example with "mirrorplane domain create ${body.domain}"`;
          refuseField('domain', message);
        }
        const value = recordOf(name, body, stored?.value);
        const unchanged = JSON.stringify(stored?.value) === JSON.stringify(value);
        if (stored && stored.value.domain !== value.domain) {
          const before = recordsOf(view);
          const after = { ...before, pools: new Map(before.pools).set(name, { value, revision: 0 }) };
          refuseBroken(withRecords(services, after));
        }
        return { value, unchanged, body: (revision) => ({ ...value, revision }) };
      }),
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'inventory',
    about: 'pool',
    summary: 'Delete an empty resource pool',
    params: Params,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'IN_USE'],
    responses: [{ status: 204, description: 'Deleted.' }],
    handle: (call) =>
      deleteNamed(
        call,
        { folder: 'pools', name: call.params.name },
        ({ value: { name } }) => refuseUsed(`pool "${name}"`, usersOf(name, call.services.view)),
        // A later pool of this name may be another one.
        () => deleteTokens(call.services.view, ({ record }) => record.pool === call.params.name),
      ),
  }),
];
