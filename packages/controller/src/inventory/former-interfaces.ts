/** When the record of an interface ends that no one declared, no policy names and no node has any more. */
import type { Interface } from '@mirrorplane/contract';
import type { InterfaceRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';

/** Milliseconds that the record of an interface without a device is kept: a VM that is switched off may come back. */
export const KEPT_MS = 7 * 24 * 60 * 60 * 1000;
/** Records of interfaces without a device that are kept of one node; those that went first end first. */
export const MAX_FORMER_OF_NODE = 1024;

export interface FormerOptions {
  /** Interfaces with the devices that they have now. */
  observed: readonly Pick<Interface, 'id' | 'devices' | 'home'>[];
  /** Ids that policies name. */
  named: ReadonlySet<string>;
  nodes: ReadonlyMap<string, unknown>;
  /** Milliseconds since 1970. */
  now: number;
}

/**
 * Notes in the records where each interface was last and since when it is gone, and leaves out those that end. The record of
 * one that is declared, named by a policy or somewhere never ends.
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
