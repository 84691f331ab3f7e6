/** Names of the devices that Mirrorplane makes for itself, and how they are told from those of the node. */
import type { Link } from './link.ts';

/** Ends of the helper pair: `transform` hangs at the first, copies for guests that may leave wait in the second. */
export const HELPER = 'mirror0';
export const HELPER_PEER = 'mirror1';
/** Their names until they are complete. Whoever is killed while making them leaves these, and the next one removes them. */
export const HELPER_PART = { helper: 'mirror0-part', peer: 'mirror1-part' } as const;
/** Alias of all of them: other software may have renamed them. */
export const HELPER_ALIAS = 'mirrorplane:helper';
/** The macvlan over the helper pair that makes segments of super-packets. */
export const SEGMENTER = 'mirror2';

const NAMES: ReadonlySet<string> = new Set([HELPER, HELPER_PEER, ...Object.values(HELPER_PART)]);

/** An end of the helper pair, or the macvlan over it: part of Mirrorplane, not of the node. */
export function isHelper({ name, linkType, alias }: Link): boolean {
  if (linkType === 'macvlan') {
    return name === SEGMENTER || alias === HELPER_ALIAS;
  }
  return linkType === 'veth' && (NAMES.has(name) || alias === HELPER_ALIAS);
}
