/** The status of policies as text: state, reasons, and counters that add up. */

import { printable } from '@mirrorplane/base';
import type { CaptureCounts, Count, PolicyState, PolicyStatus, SourceStatus } from '@mirrorplane/contract';
import { ago, bytesOf, humanBytes, packets, UNKNOWN } from './numbers.ts';
import { type Cell, type Column, paint, renderTable, type Style } from './table.ts';

const STATE_STYLES: Record<PolicyState, Style> = {
  active: 'green',
  degraded: 'yellow',
  waiting: 'yellow',
  ending: 'yellow',
  disabled: 'dim',
  pendingApproval: 'yellow',
  failed: 'red',
};

const right = (title: string): Column => ({ title, align: 'right' });

/** A table with one row for each policy. Numbers are packets. */
export function statusTable(statuses: readonly PolicyStatus[], color: boolean): string {
  const columns: Column[] = [
    { title: 'NAME' },
    { title: 'TYPE' },
    { title: 'STATE' },
    ...['MATCHED', 'SAMPLED OUT', 'COPIED', 'DROPPED', 'DELIVERED', 'LOST'].map(right),
    { title: 'WHY' },
  ];
  const rows = statuses.map((status): Cell[] => {
    const totals = totalsOf(status);
    return [
      status.name,
      status.type,
      { text: status.state, style: STATE_STYLES[status.state] },
      packets(totals?.matched),
      packets(totals?.sampledOut),
      packets(totals?.copied),
      packets(totals && sum(totals.dropped)),
      packets(status.delivered),
      lostCell(status.lost),
      [...new Set(status.reasons.map((reason) => reason.code))].join(',') || '-',
    ];
  });
  return renderTable(columns, rows, { color });
}

/** The full status of one policy. */
export function statusText(status: PolicyStatus, color: boolean): string {
  const state = paint(status.state, STATE_STYLES[status.state], color);
  const parts = [`policy ${status.name} (${status.type}): ${state}\n`];
  for (const reason of status.reasons) {
    const place = [reason.interface, reason.node && `node ${reason.node}`].filter(Boolean).join(', ');
    parts.push(`  ${printable(`${reason.code}${place ? ` (${place})` : ''}: ${reason.message}`)}\n`);
  }
  parts.push(`destination ${status.destination.interface}: ${devicesText(status.destination.devices)}\n`);
  parts.push(countersLine(status));
  parts.push('\n', totalsTable(status, color));
  parts.push('\n', sourcesTable(status.sources, color));
  if (status.paths.length > 0) {
    parts.push('\n', pathsTable(status, color));
  }
  return parts.join('');
}

function countersLine(status: PolicyStatus): string {
  if (status.countersAt === null) {
    return 'counters: none reported yet\n';
  }
  const stale = status.stale ? '; a node is not connected: these are its last reported numbers' : '';
  return `counters: ${ago(status.countersAt)}${stale}\n`;
}

/** `matched = sampled out + copied + dropped`, then the counters of the copies. */
function totalsTable(status: PolicyStatus, color: boolean): string {
  const totals = totalsOf(status);
  const row = (title: string, count: Count | null | undefined): Cell[] => [title, packets(count), bytesOf(count)];
  const rows = [
    row('matched', totals?.matched),
    row('sampled out', totals?.sampledOut),
    row('copied', totals?.copied),
    row('dropped', totals && sum(totals.dropped)),
    ...reasons(totals?.dropped).map(([reason, count]) => row(`  ${reason}`, count)),
    row('truncated', totals?.truncated),
    ...reasons(totals?.skipped).map(([reason, count]) => row(`not matched: ${reason}`, count)),
    row('delivered', status.delivered),
    ...(status.feedback ? [row('sent on by the destination', status.feedback)] : []),
  ];
  return renderTable([{ title: 'TOTAL' }, right('PACKETS'), right('BYTES')], rows, { color });
}

const SOURCE_COUNTS = ['matched', 'sampledOut', 'copied'] as const;

function sourcesTable(sources: readonly SourceStatus[], color: boolean): string {
  const columns: Column[] = [
    { title: 'SOURCE' },
    { title: 'STATE' },
    { title: 'DEVICE' },
    { title: 'DIRECTION' },
    ...['MATCHED', 'BYTES', 'SAMPLED OUT', 'BYTES', 'COPIED', 'BYTES', 'DROPPED', 'BYTES'].map(right),
    { title: 'DROPPED BECAUSE' },
  ];
  const rows = sources.flatMap((source) => {
    const directions = (['inbound', 'outbound'] as const).filter((direction) => source[direction]);
    // Without a report in either direction, one row says so.
    return (directions.length > 0 ? directions : (['-'] as const)).map((direction, at): Cell[] => {
      const counts = direction === '-' ? undefined : source[direction];
      const first = at === 0;
      return [
        first ? source.interface : '',
        first ? { text: source.state, style: source.state === 'capturing' ? 'green' : 'yellow' } : '',
        first ? devicesText(source.devices) : '',
        direction,
        ...SOURCE_COUNTS.flatMap((name) => [packets(counts?.[name]), bytesOf(counts?.[name])]),
        packets(counts && sum(counts.dropped)),
        bytesOf(counts && sum(counts.dropped)),
        reasons(counts?.dropped)
          .map(([reason, count]) => `${reason} ${count.packets} (${humanBytes(count.bytes)})`)
          .join(', ') || '-',
      ];
    });
  });
  return renderTable(columns, rows, { color });
}

/**
 * Bytes are those of copies, so that the columns can be compared. Only the last column includes the
 * outer headers.
 */
function pathsTable(status: PolicyStatus, color: boolean): string {
  const columns: Column[] = [
    { title: 'FROM' },
    { title: 'TO' },
    ...['SENT', 'BYTES', 'RECEIVED', 'BYTES', 'DELIVERED', 'BYTES', 'LOST', 'ON THE UNDERLAY'].map(right),
  ];
  const rows = status.paths.map((path): Cell[] => [
    path.from,
    path.to,
    ...[path.sentInner, path.received, path.delivered].flatMap((count) => [packets(count), bytesOf(count)]),
    lostCell(path.lost),
    bytesOf(path.sent),
  ]);
  return renderTable(columns, rows, { color });
}

/** Undefined while no node has reported: the sums are 0 then, but in truth unknown. */
function totalsOf(status: PolicyStatus): CaptureCounts | undefined {
  return status.countersAt === null ? undefined : status.totals;
}

function lostCell(count: number | null): Cell {
  return count === null ? UNKNOWN : { text: String(count), style: count > 0 ? 'yellow' : undefined };
}

function reasons(counts: Partial<Record<string, Count>> | undefined): [string, Count][] {
  return Object.entries(counts ?? {}).filter((entry): entry is [string, Count] => (entry[1]?.packets ?? 0) > 0);
}

function sum(counts: Partial<Record<string, Count>>): Count {
  let total: Count = { packets: 0, bytes: 0 };
  for (const [, count] of reasons(counts)) {
    total = { packets: total.packets + count.packets, bytes: total.bytes + count.bytes };
  }
  return total;
}

function devicesText(devices: PolicyStatus['destination']['devices']): string {
  return (
    devices.map((device) => `${device.node}:${device.name}${device.up ? '' : ' (down)'}`).join(', ') || 'no device now'
  );
}
