/**
 * Which rows are written before deliveries change. A capture names a delivery by its slot. If the
 * capture gets another delivery, and its earlier one changes too, the copies in between would be
 * sent as the earlier one is from now on: to a node that expects none yet, for example.
 */
import { LAYOUT, u32Key } from './layout.ts';
import type { DatapathRows } from './rows.ts';
import type { Rows, TableWriter } from './table-writer.ts';

/** What the kernel has. */
type Written = Record<'captures' | 'deliveries', Pick<TableWriter, 'get'>>;
type Wanted = Pick<DatapathRows, 'captures' | 'deliveries'>;

/** Whether a delivery that is in the kernel changes. */
export function isDeliveryChanged({ deliveries }: Written, wanted: Wanted): boolean {
  return [...wanted.deliveries].some(([key, row]) => deliveries.get(Buffer.from(key, 'hex'))?.equals(row) === false);
}

/** Deliveries that the kernel does not have. */
export function newDeliveries({ deliveries }: Written, wanted: Wanted): Rows {
  return only(wanted.deliveries, (key) => deliveries.get(Buffer.from(key, 'hex')) === undefined);
}

/** Captures in the kernel that get another delivery, which the kernel has as it shall be. */
export function rewiredCaptures({ captures, deliveries }: Written, wanted: Wanted): Rows {
  return only(wanted.captures, (key, row) => {
    const before = captures.get(Buffer.from(key, 'hex'));
    const next = deliveryOf(row);
    const delivery = wanted.deliveries.get(next.toString('hex'));
    return (
      before !== undefined &&
      delivery !== undefined &&
      !deliveryOf(before).equals(next) &&
      deliveries.get(next)?.equals(delivery) === true
    );
  });
}

/** The key of the delivery of a capture. */
function deliveryOf(capture: Buffer): Buffer {
  return u32Key(capture.readUInt32LE(LAYOUT.capture.fields.delivery));
}

function only(rows: Rows, test: (key: string, row: Buffer) => boolean): Rows {
  return new Map([...rows].filter(([key, row]) => test(key, row)));
}
