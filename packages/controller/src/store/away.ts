/**
 * That a store in etcd was copied to a file, and goes on there. No controller leads on it any more:
 * there would be two that acknowledge changes.
 */
import { hostname } from 'node:os';
import path from 'node:path';
import { FILLING_KEY } from './records.ts';
import type { Json, Store } from './store.ts';

/** Where the store is. */
export interface Away {
  /** Host and data directory of the controller with the file. */
  host: string;
  data: string;
  /** When it was copied. ISO 8601. */
  at: string;
}

/** That the store is in the file of this data directory from now on. */
export function awayTo(data: string): Away {
  return { host: hostname(), data: path.resolve(data), at: new Date().toISOString() };
}

/** Whether it is in the file of this data directory. */
export function isAwayTo(data: string, away: Away): boolean {
  return away.host === hostname() && away.data === path.resolve(data);
}

/** Undefined: the store is where it is read. */
export async function awayOf(store: Pick<Store, 'get'>): Promise<Away | undefined> {
  const value = (await store.get(FILLING_KEY))?.value;
  return typeof value === 'object' && value !== null ? (value as unknown as Away) : undefined;
}

/** Says so in the store. Earlier releases do not start on it either: for them it is not whole. */
export async function markAway(store: Pick<Store, 'txn'>, away: Away): Promise<void> {
  await store.txn({ compare: [], ops: [{ type: 'put', key: FILLING_KEY, value: { ...away } as unknown as Json }] });
}

/** For an operator. */
export function awayError({ host, data, at }: Away): Error {
  return new Error(
    `the store in etcd was copied to the file of ${data} on the host ${host} at ${at}, and goes on there: no controller leads with --etcd. Stop this one, and disable its service. To take the store back, stop the controller on ${host}, and say "mirrorplane store copy --to etcd --overwrite" there; "mirrorplane store restore --overwrite" writes a backup. Nothing was changed`,
  );
}
