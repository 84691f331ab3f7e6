/** MAC groups: the second byte of a MAC says what kind of device it belongs to. */
export const MAC_GROUP = { guest: 0, tap: 1, management: 2, underlay: 3, edge: 4, bridge: 5, physical: 6, fabric: 7 };

/** A locally administered MAC. `group` is the kind of device, `index` (0 to 65535) its number. */
export function labMac(group: number, index: number): string {
  const hex = (n: number) => n.toString(16).padStart(2, '0');
  return `02:${hex(group)}:00:00:${hex(index >> 8)}:${hex(index & 255)}`;
}
