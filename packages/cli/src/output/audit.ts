/** Entries of the audit log as text, and what a check of its chain found. */
import type { AuditEntry } from '@mirrorplane/contract';
import type { AuditVerdict } from '@mirrorplane/contract/audit-check';
import { type Cell, renderTable, type Style } from './table.ts';

const OUTCOME_STYLES: Partial<Record<AuditEntry['outcome'], Style>> = {
  done: 'green',
  unchanged: 'dim',
  refused: 'yellow',
  failed: 'red',
};

/** A table with one row for each entry. Wide: with its number, what was changed, and details. */
export function auditTable(entries: readonly AuditEntry[], { color, wide }: { color: boolean; wide: boolean }): string {
  const columns = ['TIME', 'WHO', 'KIND', 'FROM', 'ACTION', 'RESOURCE', 'OUTCOME', 'CODE'];
  const more = ['NUMBER', 'BEFORE', 'AFTER', 'DETAIL'];
  const rows = entries.map((entry): Cell[] => [
    entry.time,
    entry.actor,
    entry.actorKind ?? '-',
    entry.address,
    entry.action,
    entry.resource,
    { text: outcomeText(entry), style: entry.unproven === 'foreign' ? 'red' : OUTCOME_STYLES[entry.outcome] },
    entry.code ?? '-',
    ...(wide
      ? [String(entry.seq ?? '-'), changesText(entry.before), changesText(entry.after), entry.detail ?? '-']
      : []),
  ]);
  return renderTable(
    [...columns, ...(wide ? more : [])].map((title) => ({ title })),
    rows,
    { color },
  );
}

function outcomeText({ outcome, count, unproven }: AuditEntry): string {
  const text = count === undefined ? outcome : `${outcome} (${count})`;
  return unproven === 'foreign' ? `${text}, not of the log` : text;
}

/** What is to be known of entries that the chain does not have. Undefined: nothing. */
export function unprovenNote(entries: readonly AuditEntry[]): string | undefined {
  const foreign = entries.filter(({ unproven }) => unproven === 'foreign').length;
  return foreign === 0
    ? undefined
    : `warning: the controller has not written ${foreign} of these entries as they are (OUTCOME: not of the log): run "mirrorplane audit verify"\n`;
}

/** Changed fields: `percent=5 sources=2 (added 1): db-1/0`. */
export function changesText(changes: AuditEntry['before']): string {
  const fields = Object.entries(changes ?? {}).map(([field, value]) => `${field}=${valueText(value)}`);
  return fields.join(' ') || '-';
}

function valueText(value: unknown): string {
  if (typeof value !== 'object' || value === null || !('count' in value)) {
    return typeof value === 'string' ? value : JSON.stringify(value);
  }
  const { count, added, removed, names = [] } = value as Record<string, unknown> & { names?: string[] };
  const change = added === undefined ? (removed === undefined ? '' : ` (removed ${removed})`) : ` (added ${added})`;
  return `${count}${change}${names.length > 0 ? `: ${names.join(', ')}` : ''}`;
}

/** What a check without a fault has found. */
export function verdictText(verdict: AuditVerdict): string {
  const { first, last, hash, signed, signedAt, unchained, isTorn } = verdict;
  if (last === 0) {
    return `there is no chain yet: ${unchained} lines without one\n`;
  }
  const lines = [`the audit log is as it was written: lines ${first} to ${last}`];
  lines.push(`signed up to line ${signed} at ${signedAt}`);
  if (last > signed) {
    lines.push(`not signed yet: ${last - signed} lines, which the controller signs within a minute`);
  }
  if (unchained > 0) {
    lines.push(`older than the chain, and not checked: ${unchained} lines`);
  }
  if (isTorn) {
    lines.push('the last line is cut short: it was being written, and counts as not written');
  }
  return `${[...lines, `last line: ${last} ${hash}`].join('\n')}\n`;
}
