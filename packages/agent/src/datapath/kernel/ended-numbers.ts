/**
 * Which terminations end before anything of a new state is written. A number says what its copies
 * are for, and the delivery of a relay is looked up when a copy comes. So no copy with a number that
 * is over may find a delivery of now.
 */
import { LAYOUT, SESSION_MASK } from './layout.ts';
import type { Rows } from './table-writer.ts';

/**
 * @returns whether a row of the map `terminations` has a number that none of `wanted` has. A number
 * that comes by another device from now on is not over
 */
export function endedNumbers(wanted: Rows): (key: string, row: Buffer) => boolean {
  let rowsByNumber: ReadonlyMap<string, Buffer[]> | undefined;
  return (key, row) => {
    const now = wanted.get(key);
    if (now && isSameProof(row, now)) {
      return false;
    }
    rowsByNumber ??= byNumber(wanted);
    return !rowsByNumber.get(numberOf(key))?.some((other) => isSameProof(row, other));
  };
}

function byNumber(rows: Rows): Map<string, Buffer[]> {
  const found = new Map<string, Buffer[]>();
  for (const [key, row] of rows) {
    const number = numberOf(key);
    found.set(number, [...(found.get(number) ?? []), row]);
  }
  return found;
}

/** Address and session of a key, without the device. */
function numberOf(key: string): string {
  const { address, session_at_device: at } = LAYOUT.termination_key.fields;
  const bytes = Buffer.from(key, 'hex');
  return `${bytes.readUInt32LE(address)} ${bytes.readUInt32LE(at) & SESSION_MASK}`;
}

/** Whether a copy can be proven to both. */
function isSameProof(a: Buffer, b: Buffer): boolean {
  const { proof, proof_mask: mask } = LAYOUT.termination.fields;
  const checked = a.readUInt32LE(mask) & b.readUInt32LE(mask);
  return ((a.readUInt32LE(proof) ^ b.readUInt32LE(proof)) & checked) === 0;
}
