/** The schema of a store in etcd: a key beside the store, so that copies of the store do not have it. */
import { requireSchema, SCHEMA } from '../schema.ts';
import type { Cluster } from './cluster.ts';
import type { Hold } from './hold.ts';
import { answers, operations, rangeRequest, txnRequest } from './messages.ts';

const SCHEMA_KEY = '/mirrorplane/schema';

/**
 * Reads the schema. @returns whether there is one: a store that is empty, or of a release before there
 * was a number, has none
 * @throws Error with a remedy if this release cannot read it
 */
export async function checkSchema(cluster: Cluster): Promise<boolean> {
  const there = answers.range(await cluster.ask('range', rangeRequest({ key: SCHEMA_KEY }))).entries[0];
  if (there) {
    requireSchema(Number(there.value.toString()));
  }
  return there !== undefined;
}

/**
 * Checks the schema once more, because another controller may have written it before this one got the
 * right to write, and writes it if there is none.
 * @throws Error as `checkSchema`, and StoreLostError if the right was lost
 */
export async function holdSchema(cluster: Cluster, hold: Hold): Promise<void> {
  if (!(await checkSchema(cluster))) {
    const value = hold.nextValue();
    const writes = [operations.put(SCHEMA_KEY, String(SCHEMA)), hold.mark(value)];
    await cluster.ask('txn', txnRequest(hold.conditions(value), writes));
  }
}
