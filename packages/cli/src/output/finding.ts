/** A finding as text: the sentence, and what shows it. */
import { printable } from '@mirrorplane/base';
import type { Finding, FindingAnswer, FindingConversation, FindingPacket, FindingWay } from '@mirrorplane/contract';
import { type Cell, paint, renderTable, type Style } from './table.ts';

/** Lost packets that are listed. All are in the JSON. */
const LISTED = 10;

/** What was found, with the conversations, the drops, and the first packets that were lost. */
export function findingText({ answer, from, to }: Finding, color: boolean): string {
  if (answer === undefined) {
    return 'there is no answer yet\n';
  }
  const ends = { from, to };
  const remedy = answer.remedy === undefined || answer.cause === 'nothingLost' ? '' : `${printable(answer.remedy)}\n`;
  return [
    `${paint(printable(answer.message), styleOf(answer), color)}\n${remedy}`,
    conversationTable(answer, color),
    dropTable(answer, ends, color),
    packetTable(answer, color),
  ]
    .filter((part) => part !== '')
    .join('\n');
}

function styleOf({ cause }: FindingAnswer): Style {
  return cause === 'nothingLost' ? 'green' : cause === 'undetermined' ? 'yellow' : 'bold';
}

/** One row for each way of each conversation. */
function conversationTable({ conversations, conversationCount }: FindingAnswer, color: boolean): string {
  if (conversations.length === 0) {
    return '';
  }
  const texts = ['PROTOCOL', 'FROM', 'TO'].map((title) => ({ title }));
  const numbers = ['SENT', 'ARRIVED', 'DELIVERED', 'LOST', 'AGAIN', 'RESETS'].map((title) => ({
    title,
    align: 'right' as const,
  }));
  const rows = conversations.flatMap((one) => [wayRow(one, 'there'), wayRow(one, 'back')]);
  const more = conversationCount - conversations.length;
  return renderTable([...texts, ...numbers], rows, { color }) + (more > 0 ? `and ${more} more conversations\n` : '');
}

function wayRow({ protocol, from, to, ...ways }: FindingConversation, way: FindingWay): Cell[] {
  const [source, target] = way === 'there' ? [from, to] : [to, from];
  const { sent, arrived, delivered, lostBefore, lostBehind, lostAtDevice, ...counts } = ways[way];
  const lost = lostBefore + lostBehind + lostAtDevice;
  const resets = counts.resets + counts.foreignResets;
  return [
    protocol,
    endText(source),
    endText(target),
    sent,
    arrived,
    delivered,
    lost > 0 ? { text: String(lost), style: 'red' } : 0,
    counts.retransmissions,
    resets,
  ];
}

function endText({ address, port }: FindingConversation['from']): string {
  return port === 0 ? address : address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

function dropTable({ drops }: FindingAnswer, { from, to }: { from: string; to: string }, color: boolean): string {
  if (drops.length === 0) {
    return '';
  }
  const columns = [
    { title: 'DROPPED', align: 'right' as const },
    ...['WAY TO', 'NODE', 'DEVICE', 'CAUSE', 'REASON', 'FUNCTION', 'SINCE'].map((title) => ({ title })),
  ];
  const rows = drops.map(({ way, packets, first }): Cell[] => [
    packets,
    way === 'there' ? to : from,
    first.node,
    first.device || '-',
    first.cause,
    first.reason || '-',
    first.function || '-',
    timeText(first.at),
  ]);
  return renderTable(columns, rows, { color });
}

function packetTable({ packets, packetCount }: FindingAnswer, color: boolean): string {
  if (packets.length === 0) {
    return '';
  }
  const columns = ['TIME', 'NODE', 'SEEN LAST', 'FROM', 'TO', 'SEQUENCE', 'BYTES', 'WHAT'].map((title) => ({ title }));
  const shown = packets.slice(0, LISTED);
  const more = packetCount - shown.length;
  const rows = shown.map(packetRow);
  return renderTable(columns, rows, { color }) + (more > 0 ? `and ${more} more packets (-o json)\n` : '');
}

function packetRow({ at, node, place, source, target, sequence, length, what, drop }: FindingPacket): Cell[] {
  const why = drop === undefined ? what : `${what}: ${drop.reason || drop.function || drop.cause}`;
  return [timeText(at), node, place, endText(source), endText(target), sequence ?? '-', length, why];
}

function timeText(microseconds: number): string {
  return new Date(microseconds / 1000).toISOString().slice(11, 23);
}
