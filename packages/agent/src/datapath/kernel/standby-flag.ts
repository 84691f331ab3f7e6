/**
 * Fields of a capture that the data plane writes itself: the flag that the guest is on another node
 * (capture.h), and the time of the last check whether the capture is still valid (place.h).
 */
import { CAPTURE_FLAG, LAYOUT } from './layout.ts';
import { type Shared, withoutField } from './table-writer.ts';

const AT = LAYOUT.capture.fields.flags;

const flagOf = (row: Buffer): number => row.readUInt32LE(AT) & CAPTURE_FLAG.standby;

function withFlag(row: Buffer, flag: number): Buffer {
  const copy = Buffer.from(row);
  copy.writeUInt32LE(((row.readUInt32LE(AT) & ~CAPTURE_FLAG.standby) | flag) >>> 0, AT);
  return copy;
}

/**
 * The flag of the data plane stays if the agent rewrites the row for another reason. If the agent
 * has changed the flag itself, the agent's value is written.
 */
export const standbyFlag: Shared = {
  blank: (found) => withoutField(found, LAYOUT.capture.fields.checked),
  isOwn: (written, found) => withFlag(written, 0).equals(withFlag(found, 0)),
  keep: (written, found, row) => (flagOf(written) === flagOf(row) ? withFlag(row, flagOf(found)) : row),
};
