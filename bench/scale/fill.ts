/** Fills the store of a controller that has not started yet. Nodes register themselves. */
import { join } from 'node:path';
import {
  type InterfaceRecord,
  keyOf,
  type Operation,
  openSqliteStore,
  type PolicyRecord,
} from '@mirrorplane/controller/testing';
import { destinationId, nodesOf, policyName, policyUid, poolName, poolsOf, type Size, sourceId } from './names.ts';

const AT = '2026-01-31T12:00:00.000Z';
const DOMAIN = 'domain-1';

/** Writes the domain, the pools, and for each node its policy and the interfaces of that policy. */
export async function fillStore(data: string, size: Size): Promise<void> {
  const store = openSqliteStore(join(data, 'store.db'));
  const put = (ops: Operation[]) => store.txn({ compare: [], ops });
  await put([{ type: 'put', key: keyOf('domains', DOMAIN), value: { name: DOMAIN, description: '' } }]);
  for (let pool = 1; pool <= poolsOf(size); pool++) {
    const name = poolName(pool);
    const { first, last } = nodesOf(pool, size);
    await put([{ type: 'put', key: keyOf('pools', name), value: { name, description: '', domain: DOMAIN } }]);
    for (let node = first; node <= last; node++) {
      await put(policyOps(node, name, size));
    }
  }
  await store.close();
}

function policyOps(node: number, pool: string, { interfaces }: Size): Operation[] {
  const sources = Array.from({ length: interfaces }, (_, index) => sourceId(node, index + 1));
  const record: PolicyRecord = {
    name: policyName(node),
    uid: policyUid(node),
    description: '',
    sources,
    destination: destinationId(node),
    direction: 'all',
    percent: 100,
    enabled: true,
    type: 'virtual',
    createdAt: AT,
    updatedAt: AT,
  };
  return [
    { type: 'put', key: keyOf('policies', record.name), value: record },
    ...[...sources, record.destination].map((id): Operation => {
      const value: InterfaceRecord = { id, kind: 'vm', name: id, pool, declared: true };
      return { type: 'put', key: keyOf('interfaces', id), value };
    }),
  ];
}
