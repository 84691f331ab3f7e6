/** Looks: a bounded view of packets on their way, for who searches a fault. Names and limits. */
import { DROP_REASONS, SKIP_REASONS } from './counters.ts';

export * from './look-limits.ts';

/**
 * Where a look sees a packet. Order as in `enum look_place` of packages/bpf/src/types.h.
 * - `sent`: at the device of the guest that sends it, before any firewall.
 * - `arrived`: where it enters the bridge of the guest that it is for, before a firewall there.
 * - `delivered`: at the device of that guest, behind the firewall.
 */
export const LOOK_PLACES = ['sent', 'arrived', 'delivered'] as const;
export type LookPlace = (typeof LOOK_PLACES)[number];

/**
 * What became of the copy of a packet, as the data plane has counted it at the same hook.
 * - `noCapture`: no policy captures it here.
 * - `copied`, `sampledOut`, `dropped:REASON`, `skipped:REASON`: as in the counters of a capture.
 * - `countedOnArrival`: it was counted where it entered the bridge; the look sees it there, too.
 */
export const COPY_FATES = [
  'noCapture',
  'copied',
  'sampledOut',
  'countedOnArrival',
  ...DROP_REASONS.map((reason) => `dropped:${reason}` as const),
  ...SKIP_REASONS.map((reason) => `skipped:${reason}` as const),
] as const;
export type CopyFate = (typeof COPY_FATES)[number];

/**
 * Why a look has ended.
 * - `asked`: a user ended it.
 * - `lease`: nobody renewed it.
 * - `age`: it has lived for ten minutes.
 * - `unseen`: what it looked at is not there any more.
 * - `controller`: the controller was closed.
 * - `access`: who began it may not look any more.
 */
export const LOOK_ENDS = ['asked', 'lease', 'age', 'unseen', 'controller', 'access'] as const;
export type LookEndReason = (typeof LOOK_ENDS)[number];
