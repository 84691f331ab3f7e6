/** The rows of a state, with the counter slots and devices of an open data path. */
import type { DatapathState } from '../datapath.ts';
import { sendingDestinations } from './feedback-watch.ts';
import { decodeBegun, LAYOUT, u32Key } from './layout.ts';
import type { Opened } from './opened.ts';
import { overruledPorts } from './problems.ts';
import { budgetKey, buildRows, type DatapathRows } from './rows.ts';
import type { SlotKind } from './slots.ts';
import type { Rows } from './table-writer.ts';

/** @param holding whether copies for guests that are about to leave can be held */
export function openedRows(opened: Opened, desired: DatapathState, holding: boolean): DatapathRows {
  const { helper, netns, segmenter, installation, links } = opened;
  return buildRows(desired, {
    overruled: new Set(overruledPorts(desired, links)),
    take: (kind, id) => takeSlot(opened, kind, id),
    helper,
    netns,
    segmenter,
    holding,
    looks: opened.looks.enter(desired.looks ?? []),
    sending: sendingDestinations(desired, installation.maps.destinations),
    begun: (destinations, deliveries) => begun(opened, destinations, deliveries),
  });
}

/**
 * How often devices have become destinations, or deliveries have changed whether they allow
 * feedback.
 */
function begun({ tables }: Opened, destinations: Rows, deliveries: Rows): number {
  const before = tables.place.get(u32Key(0));
  const known = new Set(tables.destinations.keys());
  const at = LAYOUT.delivery.fields.allow_feedback;
  const switched = [...deliveries].some(([key, row]) => {
    const written = tables.deliveries.get(Buffer.from(key, 'hex'));
    return written && written.readUInt32LE(at) !== row.readUInt32LE(at);
  });
  const grows = switched || [...destinations.keys()].some((key) => !known.has(key));
  return (before ? decodeBegun(before) : 0) + (grows ? 1 : 0);
}

/** The counter slot of an identity. A slot that is new to it is emptied. */
function takeSlot({ slots, counters, devices }: Opened, kind: SlotKind, id: string): number {
  if (kind === 'device') {
    return slots.take(kind, id, (slot) => devices.reset(slot));
  }
  if (slots.lacksRoom(kind, id)) {
    counters.makeRoom(kind);
  }
  const reset = (slot: number) => {
    counters.reset(kind, slot);
    if (kind === 'delivery') {
      devices.refill(budgetKey(slot));
    }
  };
  return slots.take(kind, id, reset, counters.textOf(kind, id));
}
