/**
 * What the data plane itself writes into a capture: the flag that the guest is elsewhere, see capture.h, and when it last
 * looked whether the capture is still valid, see place.h.
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
 * What the data plane has seen of the guest stays while the agent rewrites the row for another reason, and gives way where
 * the agent itself has another opinion than before.
 */
export const standbyFlag: Shared = {
  blank: (found) => withoutField(found, LAYOUT.capture.fields.checked),
  isOwn: (written, found) => withFlag(written, 0).equals(withFlag(found, 0)),
  keep: (written, found, row) => (flagOf(written) === flagOf(row) ? withFlag(row, flagOf(found)) : row),
};
