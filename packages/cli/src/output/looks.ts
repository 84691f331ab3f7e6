/** Looks as text: rows, fields, a line for each packet, and the account at the end. */
import { printable } from '@mirrorplane/base';
import type { Look, LookNode } from '@mirrorplane/contract';
import type { StreamedPacket } from '../pcapng-reader.ts';
import { type Cell, renderTable } from './table.ts';

/** A table with one row for each look. */
export function lookTable(looks: readonly Look[], color: boolean): string {
  const columns = ['ID', 'OWNER', 'OF', 'WORDS', 'STATE', 'ENDS', 'SEEN', 'RECEIVED'].map((title) => ({ title }));
  const rows = looks.map((look): Cell[] => [
    look.id,
    look.owner,
    subjectText(look),
    look.words || '-',
    { text: stateText(look), style: look.state === 'running' ? 'green' : 'dim' },
    look.state === 'running' ? look.leaseEndsAt : look.endsAt,
    String(look.totals.seen),
    String(look.totals.received),
  ]);
  return renderTable(columns, rows, { color });
}

/** One look with its parts on nodes. */
export function lookFields(look: Look, color: boolean): string {
  const head = [
    ['id', look.id],
    ['owner', look.owner],
    ['of', subjectText(look)],
    ['words', look.words || 'all packets'],
    ['payload', look.payload ? 'yes' : 'headers only'],
    ['comment', look.comment || '-'],
    ['began', look.beganAt],
    ['state', stateText(look)],
    [look.state === 'running' ? 'ends at the latest' : 'ended', look.endsAt],
  ];
  const width = Math.max(...head.map(([name]) => name!.length));
  const lines = head.map(([name, value]) => `${name!.padEnd(width)}  ${printable(value!)}\n`).join('');
  const columns = ['NODE', 'STATE', 'SEEN', 'WRITTEN', 'OVER RATE', 'RING FULL', 'LOST ON THE WAY', 'RECEIVED', 'WHAT'];
  const rows = look.nodes.map(({ node, state, counts, message = '' }): Cell[] => [
    node,
    state,
    ...[counts.seen, counts.written, counts.overRate, counts.ringFull, counts.lostOnTheWay, counts.received].map(
      String,
    ),
    message,
  ]);
  const table = renderTable(
    columns.map((title) => ({ title })),
    rows,
    { color },
  );
  return `${lines}\n${table}${look.nodes.flatMap(blindSpots).join('')}`;
}

/**
 * A packet as a line: time in UTC, interface, direction, length, and what the controller says of the
 * packet and of its copy.
 */
export function packetLine(packet: StreamedPacket): string {
  const time = new Date(packet.at / 1000)
    .toISOString()
    .slice(11, 23)
    .concat(String(packet.at % 1000).padStart(3, '0'));
  const direction = packet.direction === 'outbound' ? 'out' : packet.direction === 'inbound' ? 'in ' : '-  ';
  const columns = [time, printable(packet.interface).padEnd(32), direction, `${packet.length}`.padStart(6)];
  const lost = packet.lost > 0 ? `  (${packet.lost} lost before)` : '';
  return `${columns.join('  ')}  ${printable(packet.comment)}${lost}\n`;
}

/** What a capture has seen, and what it could not show. */
export function accountText(look: Look, written: number): string {
  const { seen, overRate, ringFull, lostOnTheWay, received, dropsHeard } = look.totals;
  const lost = overRate + ringFull + (seen - overRate - ringFull - received);
  const parts = [
    `${overRate} over the rate`,
    `${ringFull} with a full ring`,
    `${seen - overRate - ringFull - received} on the way (${lostOnTheWay} known)`,
  ];
  const notes = look.nodes.flatMap((node) => [...refusals(node), ...blindSpots(node)]);
  const drops = dropsHeard > 0 ? `; kernels told ${dropsHeard} drops of them` : '';
  return [
    `${written} packets written; seen ${seen} = received ${received} + lost ${lost} (${parts.join(', ')})${drops}\n`,
    ...(look.nodes.length === 0 ? ['no node has a device of what was looked at\n'] : []),
    ...notes,
  ].join('');
}

function refusals({ node, state, message }: LookNode): string[] {
  return state === 'refused' ? [printable(`${node} refused: ${message ?? 'no reason'}`).concat('\n')] : [];
}

function blindSpots({ node, unseen, unheard }: LookNode): string[] {
  const places = unseen.map(({ device, direction, message }) => {
    return `${node} does not see ${direction ?? 'all'} packets at ${device}: ${message}`;
  });
  const drops = unheard === undefined ? [] : [`${node} hears no drops: ${unheard}`];
  return [...places, ...drops].map((text) => `${printable(text)}\n`);
}

function subjectText({ interfaces, policy }: Look): string {
  return interfaces?.join(', ') ?? `policy ${policy}`;
}

function stateText({ state, endedBy }: Look): string {
  return endedBy === undefined ? state : `${state} (${endedBy})`;
}
