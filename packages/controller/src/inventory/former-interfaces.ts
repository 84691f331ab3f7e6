/**
 * Removes old records of interfaces that are not declared, that no policy names, and that no node
 * has.
 */
import type { Interface } from '@mirrorplane/contract';
import type { InterfaceRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';

/**
 * Milliseconds that the record of an interface without a device is kept, because a stopped VM may
 * start again.
 */
export const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/**
 * The most records of interfaces without a device for one node. Beyond it, the oldest are removed.
 */
export const MAX_FORMER_OF_NODE = 1024;

export interface FormerOptions {
  /** Interfaces with their current devices. */
  observed: readonly Pick<Interface, 'id' | 'devices' | 'home'>[];
  /** Ids that policies name. */
  named: Pick<ReadonlySet<string>, 'has'>;
  nodes: ReadonlyMap<string, unknown>;
  /** Milliseconds since 1970. */
  now: number;
}

/**
 * Writes the last node of each interface, and the time of its removal, into the records, and leaves
 * out old records. Records of interfaces that are declared, named by a policy, or present on a node
 * are never left out.
 */
export function withoutFormer(
  records: ReadonlyMap<string, Stored<InterfaceRecord>>,
  { observed, named, nodes, now }: FormerOptions,
): Map<string, Stored<InterfaceRecord>> {
  const kept = new Map(records);
  const former = new Map<string, { id: string; since: number }[]>();
  for (const { id, devices, home } of observed) {
    const stored = records.get(id)!;
    const { value } = stored;
    if (value.declared) {
      continue;
    }
    const node = home ?? devices.at(-1)?.node;
    if (node !== undefined) {
      if (value.lastNode !== node || value.goneAt !== undefined) {
        kept.set(id, { ...stored, value: { ...value, lastNode: node, goneAt: undefined } });
      }
      continue;
    }
    const since = value.goneAt ?? now;
    if (value.goneAt === undefined) {
      kept.set(id, { ...stored, value: { ...value, goneAt: since } });
    }
    if (named.has(id)) {
      continue;
    }
    const last = value.lastNode ?? '';
    if (now - since > KEPT_MS || (value.lastNode !== undefined && !nodes.has(last))) {
      kept.delete(id);
    } else {
      const list = former.get(last) ?? [];
      list.push({ id, since });
      former.set(last, list);
    }
  }
  for (const list of former.values()) {
    list.sort((a, b) => a.since - b.since);
    for (const { id } of list.slice(0, Math.max(0, list.length - MAX_FORMER_OF_NODE))) {
      kept.delete(id);
    }
  }
  return kept;
}
