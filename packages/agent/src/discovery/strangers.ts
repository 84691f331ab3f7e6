/** Devices that have come, and that are nothing to us yet. Pure. */
import type { Link } from '../netlink/link.ts';

/**
 * Whether the only difference between two lists of devices is that strangers have come: devices that are
 * no ports of a bridge, and that nobody has given an identity. Who makes the device of a guest does this
 * in several steps. The first one says that there is a device, and a later one whose it is.
 * @param before undefined: not known
 * @param isClaimed whether someone says what a device is
 */
export function haveOnlyStrangersCome(
  before: readonly Link[] | undefined,
  now: readonly Link[],
  isClaimed: (link: Link) => boolean,
): boolean {
  if (before === undefined) {
    return false;
  }
  const known = new Map(before.map((link) => [link.ifindex, link]));
  const others = now.filter((link) => known.get(link.ifindex) !== link);
  return (
    others.length + before.length === now.length &&
    others.every((link) => !known.has(link.ifindex) && link.master === 0 && link.alias === '' && !isClaimed(link))
  );
}
