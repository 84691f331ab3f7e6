/** Makes records of observed interfaces, so that interfaces outlive their devices. */

import type { LiveNodes } from '../reports/live-nodes.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type Stored } from '../store/view.ts';
import { type FormerOptions, withoutFormer } from './former-interfaces.ts';
import { type Merged, mergeInventory, type Records, type Sightings, sightingsOf } from './inventory.ts';
import { type Sighting, sourceOf } from './places.ts';

/**
 * The inventory as it is after what agents see now, and the operations that make the records so.
 */
export interface Observed {
  inventory: Merged;
  ops: Operation[];
}

/**
 * Compares observations with the records: new interfaces, changed names and kinds, moves to another
 * pool, and removed interfaces.
 * @param named ids that policies name
 * @param now milliseconds since 1970
 */
export function observedInterfaces(
  records: Records,
  live: LiveNodes,
  { named, now }: Pick<FormerOptions, 'named' | 'now'>,
): Observed {
  const present = new Map(records.interfaces);
  const sightings = sightingsOf(records, live);
  const seen = identitiesOf(records, sightings);
  for (const [id, identity] of seen) {
    present.set(id, withIdentity(id, present.get(id), identity)!);
  }
  const merged = mergeInventory({ ...records, interfaces: present }, live, sightings);
  for (const { id, pool, devices } of merged.interfaces) {
    const stored = present.get(id)!;
    // The pool of an edge follows from its node, and is not stored.
    if (devices.length > 0 && !stored.value.edge && stored.value.pool !== pool) {
      present.set(id, { ...stored, value: { ...stored.value, pool } });
    }
  }
  const former = { observed: merged.interfaces, named, nodes: records.nodes, now };
  const interfaces = withoutFormer(present, former);
  const ops: Operation[] = [];
  for (const id of new Set([...interfaces.keys(), ...records.interfaces.keys()])) {
    ops.push(...operationsOf(id, records.interfaces.get(id)?.value, interfaces.get(id)?.value));
  }
  return { inventory: { ...merged, interfaces: merged.interfaces.filter(({ id }) => interfaces.has(id)) }, ops };
}

/** What makes one record of another. Undefined: there is none. Equal records need no operation. */
export function operationsOf(
  id: string,
  before: InterfaceRecord | undefined,
  value: InterfaceRecord | undefined,
): Operation[] {
  if (value === undefined) {
    return before === undefined ? [] : [{ type: 'delete', key: keyOf('interfaces', id) }];
  }
  return before === value || same(before, value) ? [] : [{ type: 'put', key: keyOf('interfaces', id), value }];
}

type Identity = Pick<InterfaceRecord, 'kind' | 'name' | 'network'>;

/** The identity of an interface, as its node reports it. Undefined: no node does. */
export function identityOf(all: readonly Sighting[], boundTo: string | undefined): Identity | undefined {
  const identity = sourceOf(all, boundTo)?.identity;
  return identity && identity.provider !== 'declared'
    ? { kind: identity.kind, name: identity.name, network: identity.network }
    : undefined;
}

/** The record with the identity that a node reports. What an operator has declared stays. */
export function withIdentity(
  id: string,
  stored: Stored<InterfaceRecord> | undefined,
  identity: Identity | undefined,
): Stored<InterfaceRecord> | undefined {
  if (!stored) {
    return identity && { value: { id, ...identity, declared: false }, revision: 0 };
  }
  const stays = identity === undefined || stored.value.declared || isIdentityOf(stored.value, identity);
  return stays ? stored : { ...stored, value: { ...stored.value, ...identity } };
}

/** The identity of each interface, as its node reports it. */
function identitiesOf({ interfaces }: Records, sightings: Sightings): Map<string, Identity> {
  const found = new Map<string, Identity>();
  for (const [id, all] of sightings) {
    const identity = identityOf(all, interfaces.get(id)?.value.boundTo);
    if (identity) {
      found.set(id, identity);
    }
  }
  return found;
}

/** True if the identity has not changed, which is the usual case. */
function isIdentityOf(record: InterfaceRecord, { kind, name, network }: Identity): boolean {
  return record.kind === kind && record.name === name && record.network === network;
}

/** Compares fields in any order. An absent field equals an undefined one. */
function same(a: InterfaceRecord | undefined, b: InterfaceRecord): boolean {
  const text = (record: InterfaceRecord) =>
    JSON.stringify(
      Object.entries(record)
        .filter(([, v]) => v !== undefined)
        .sort(([x], [y]) => (x < y ? -1 : 1)),
    );
  return a !== undefined && text(a) === text(b);
}
