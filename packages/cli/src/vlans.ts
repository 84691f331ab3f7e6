/** Lists of VLAN IDs as operators write them: `100,200-210`. */

/** Thrown if a text is not a list of VLAN IDs. */
export class VlanListError extends Error {}

/**
 * Reads a list of VLAN IDs and ranges.
 * @returns the IDs in ascending order, each once.
 * @throws VlanListError which names the part that is wrong.
 */
export function parseVlanList(text: string): number[] {
  const ids = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^\s*(\d{1,4})(?:\s*-\s*(\d{1,4}))?\s*$/.exec(part);
    if (!match) {
      throw new VlanListError(`"${part.trim()}" is not a VLAN ID or a range of them; write a list as in "100,200-210"`);
    }
    const first = Number(match[1]);
    const last = Number(match[2] ?? match[1]);
    for (const id of [first, last]) {
      if (id < 1 || id > 4094) {
        throw new VlanListError(`VLAN ID ${id} is out of range; use 1 to 4094`);
      }
    }
    if (first > last) {
      throw new VlanListError(`the range ${first}-${last} runs backwards; write ${last}-${first}`);
    }
    for (let id = first; id <= last; id += 1) {
      ids.add(id);
    }
  }
  return [...ids].sort((a, b) => a - b);
}

/**
 * Writes a list of VLAN IDs with ranges, for `parseVlanList` to read. Three or more consecutive IDs
 * become a range.
 */
export function formatVlanList(ids: readonly number[]): string {
  const sorted = [...new Set(ids)].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let at = 0; at < sorted.length; ) {
    let end = at;
    while (sorted[end + 1] === sorted[end]! + 1) {
      end += 1;
    }
    if (end - at >= 2) {
      parts.push(`${sorted[at]}-${sorted[end]}`);
    } else {
      parts.push(...sorted.slice(at, end + 1).map(String));
    }
    at = end + 1;
  }
  return parts.join(',');
}
