/** The two fates of a packet, in the groups that people filter by. Pure. */
import type { LookedPacket } from '../api/types.ts';

/** Groups of fates of copies. */
export const COPY_KINDS = ['copied', 'dropped', 'sampledOut', 'skipped', 'countedOnArrival', 'noCapture'] as const;
export type CopyKind = (typeof COPY_KINDS)[number];

/** Groups of fates of packets themselves. `byRule`: a rule of a node wanted the drop, so it is no loss. */
export const ORIGINAL_KINDS = ['delivered', 'seenLater', 'byRule', 'dropped', 'unknown'] as const;
export type OriginalKind = (typeof ORIGINAL_KINDS)[number];

/** `dropped:overBudget` is of the kind `dropped`. */
export function copyKind(copy: LookedPacket['copy']): CopyKind {
  return copy.split(':')[0] as CopyKind;
}

/** The reason in `dropped:overBudget`; empty where there is none. */
export function copyReason(copy: LookedPacket['copy']): string {
  return copy.split(':')[1] ?? '';
}

export function originalKind({ state, drop }: LookedPacket['original']): OriginalKind {
  return state === 'dropped' && drop?.cause === 'rule' ? 'byRule' : state;
}
