/** Events as text. */

import { printable } from '@mirrorplane/base';
import type { Event } from '@mirrorplane/contract';
import { type Cell, paint, renderTable, type Style } from './table.ts';

const KIND_STYLES: Partial<Record<Event['kind'], Style>> = {
  captureRefused: 'red',
  datapathFailed: 'red',
  requestRefused: 'red',
  nodeRejected: 'red',
  countersRefused: 'red',
  interfaceContested: 'red',
  nodeProblemBegan: 'yellow',
  eventsLost: 'yellow',
  eventsLeftOut: 'yellow',
  nodeDisconnected: 'yellow',
  repaired: 'yellow',
  leaderChanged: 'yellow',
  leaderRefused: 'red',
};

const STATE_STYLES: Partial<Record<NonNullable<Event['state']>, Style>> = {
  active: 'green',
  degraded: 'yellow',
  waiting: 'yellow',
  failed: 'red',
};

/** A table with one row for each event. */
export function eventTable(events: readonly Event[], color: boolean): string {
  const columns = ['TIME', 'KIND', 'OBJECT', 'CAUSED BY', 'WHAT'].map((title) => ({ title }));
  const rows = events.map((event): Cell[] => [
    event.at,
    { text: event.kind, style: styleOf(event) },
    objectText(event),
    causeText(event),
    whatText(event),
  ]);
  return renderTable(columns, rows, { color });
}

/**
 * One event as a line. Later events are unknown, so the columns have fixed widths that suit most.
 */
export function eventLine(event: Event, color: boolean): string {
  const kind = paint(event.kind.padEnd(18), styleOf(event), color);
  const columns = [event.at, kind, printable(objectText(event)).padEnd(24), printable(causeText(event)).padEnd(16)];
  return `${columns.join('  ')}  ${printable(whatText(event))}\n`;
}

function styleOf({ kind, state }: Event): Style | undefined {
  return state === undefined ? KIND_STYLES[kind] : STATE_STYLES[state];
}

function objectText({ object }: Event): string {
  return object.kind === 'controller' ? object.kind : `${object.kind}/${object.name || '-'}`;
}

function causeText({ cause }: Event): string {
  return cause.kind === cause.name ? cause.kind : `${cause.kind} ${cause.name}`;
}

/** The message, followed by the measured values and other fields of the event. */
function whatText(event: Event): string {
  const details = [
    event.code && !event.message.includes(event.code) && event.code,
    event.policy !== undefined && `policy ${event.policy}`,
    event.node !== undefined && !event.message.includes(event.node) && `node ${event.node}`,
    event.ms !== undefined && `${event.ms} ms`,
    event.missed !== undefined && `missed ${event.missed}`,
    event.duplicated !== undefined && `duplicated ${event.duplicated}`,
  ].filter(Boolean);
  return details.length === 0 ? event.message : `${event.message} [${details.join(', ')}]`;
}
