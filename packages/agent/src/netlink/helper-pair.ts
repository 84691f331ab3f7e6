/** Names of Mirrorplane's own devices, and how they are recognised. */
import type { Link } from './link.ts';

/**
 * Ends of the helper device: `transform` is attached to the first, and held copies wait in the
 * second.
 */
export const HELPER = 'mirror0';
export const HELPER_PEER = 'mirror1';
/**
 * Their names until they are complete. A killed agent may leave devices with these names, and the
 * next agent removes them.
 */
export const HELPER_PART = { helper: 'mirror0-part', peer: 'mirror1-part' } as const;
/** Alias of all of them, because other software may rename them. */
export const HELPER_ALIAS = 'mirrorplane:helper';
/** The segmenter: a macvlan over the helper device that divides super-packets into segments. */
export const SEGMENTER = 'mirror2';

const NAMES: ReadonlySet<string> = new Set([HELPER, HELPER_PEER, ...Object.values(HELPER_PART)]);

/** Whether a device is part of Mirrorplane: an end of the helper device, or the segmenter. */
export function isHelper({ name, linkType, alias }: Link): boolean {
  if (linkType === 'macvlan') {
    return name === SEGMENTER || alias === HELPER_ALIAS;
  }
  return linkType === 'veth' && (NAMES.has(name) || alias === HELPER_ALIAS);
}
