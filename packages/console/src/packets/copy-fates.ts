/** Fates of copies by which a look can be bounded: those of the API, checked by its types to be all. */
import type { LookedPacket } from '../api/types.ts';

export type CopyFate = LookedPacket['copy'];

/** A table and no list, because the compiler sees when one is missing. */
const FATES: Record<CopyFate, true> = {
  noCapture: true,
  copied: true,
  sampledOut: true,
  countedOnArrival: true,
  'dropped:cloneFailed': true,
  'dropped:destinationDown': true,
  'dropped:tooBigForDestination': true,
  'dropped:tooBigForUnderlay': true,
  'dropped:gsoUnsupported': true,
  'dropped:vlanUnsupported': true,
  'dropped:noNeighbour': true,
  'dropped:encapFailed': true,
  'dropped:noDelivery': true,
  'dropped:overBudget': true,
  'dropped:feedback': true,
  'skipped:isCopy': true,
  'skipped:sameVlan': true,
  'skipped:hostTraffic': true,
  'skipped:guestAbsent': true,
};

export const COPY_FATES = Object.keys(FATES) as readonly CopyFate[];

/** Those in a text with commas. Words that are none are left out. */
export function fatesIn(text: string | undefined): CopyFate[] {
  return (text ?? '').split(',').filter((word): word is CopyFate => Object.hasOwn(FATES, word));
}
