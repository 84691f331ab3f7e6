/** The two fates of a packet as one line, for files and terminals. */
import type { HeardDrop, LookedPacket } from '@mirrorplane/contract';

/** As `copy: copied; original: dropped on node-2 by NETFILTER_DROP in nf_hook_slow at br0 (rule)`. */
export function fatesInWords({ copy, original, packets, gsoSize }: LookedPacket): string {
  const fates = [`copy: ${copy}`, `original: ${originalInWords(original)}`];
  if (gsoSize > 0) {
    fates.push(`super-packet of ${packets} segments with ${gsoSize} bytes each`);
  }
  return fates.join('; ');
}

/** What became of the packet itself. */
export function originalInWords({ state, drop }: LookedPacket['original']): string {
  if (state !== 'dropped' || drop === undefined) {
    return state === 'seenLater' ? 'seen later' : state;
  }
  return dropInWords(drop);
}

function dropInWords(drop: HeardDrop): string {
  const by = drop.reason === '' ? '' : ` by ${drop.reason}`;
  const where = `${drop.function === '' ? '' : ` in ${drop.function}`}${drop.device === '' ? '' : ` at ${drop.device}`}`;
  return `dropped on ${drop.node}${by}${where} (${drop.cause})`;
}
