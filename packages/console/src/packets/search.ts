/** What the address of the page of packets says. */

export interface PacketSearch {
  /** Id of a look. Absent: one can be begun. */
  look?: string | undefined;
  /** What the form begins with: interfaces with commas between them, or a policy. */
  interfaces?: string | undefined;
  policy?: string | undefined;
  words?: string | undefined;
  /** Fates of copies that a look is bounded by, with commas between them. */
  fates?: string | undefined;
  /** Seconds after which the look is ended. */
  for?: number | undefined;
  /** A display filter. */
  display?: string | undefined;
  /** Kinds of fates that the list is filtered by, with commas between them. */
  copy?: string | undefined;
  original?: string | undefined;
  /** Number of the packet whose fields are shown. */
  packet?: number | undefined;
}

const WORDS = ['look', 'interfaces', 'policy', 'words', 'fates', 'display', 'copy', 'original'] as const;
const NUMBERS = ['for', 'packet'] as const;

/** Reads it of an address. What is no text, or no number, is left out. */
export function packetSearch(search: Record<string, unknown>): PacketSearch {
  const found: PacketSearch = {};
  for (const name of WORDS) {
    const value = search[name];
    // A text of digits comes as a number.
    if ((typeof value === 'string' && value !== '') || typeof value === 'number') {
      found[name] = String(value);
    }
  }
  for (const name of NUMBERS) {
    const value = Number(search[name]);
    if (Number.isInteger(value) && value > 0) {
      found[name] = value;
    }
  }
  return found;
}
