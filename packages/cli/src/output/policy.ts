/** Policies as text. */
import type { Policy } from '@mirrorplane/contract';
import { type Cell, type Column, renderFields, renderTable } from './table.ts';

const COLUMNS: readonly Column[] = [
  { title: 'NAME' },
  { title: 'TYPE' },
  { title: 'SOURCES', align: 'right' },
  { title: 'DESTINATION' },
  { title: 'DIRECTION' },
  { title: 'PERCENT', align: 'right' },
  { title: 'VLAN ID', align: 'right' },
  { title: 'ENABLED' },
];
const WIDE: readonly Column[] = [{ title: 'MAX RATE', align: 'right' }, { title: 'UPDATED' }, { title: 'DESCRIPTION' }];

/** A table with one row for each policy. `wide` adds columns. */
export function policyTable(policies: readonly Policy[], color: boolean, wide = false): string {
  return renderTable(
    wide ? [...COLUMNS, ...WIDE] : COLUMNS,
    policies.map((policy) => [
      policy.name,
      policy.type,
      policy.sources.length,
      policy.destination,
      policy.direction,
      policy.percent,
      policy.vlanId ?? '-',
      enabledCell(policy),
      ...(wide ? [policy.maxRate ?? '-', policy.updatedAt, policy.description || '-'] : []),
    ]),
    { color },
  );
}

/** One policy: its fields, one a line. */
export function policyFields(policy: Policy, color: boolean): string {
  const fields: [string, Cell][] = [
    ['name', policy.name],
    ['type', policy.type],
    ['enabled', enabledCell(policy)],
    ...(policy.description === '' ? [] : [['description', policy.description] satisfies [string, Cell]]),
    ['direction', policy.direction],
    ['percent', policy.percent],
    ['vlan id', policy.vlanId ?? '-'],
    ['max rate', policy.maxRate === undefined ? 'no limit' : `${policy.maxRate} Mbit/s on each node`],
    ...(policy.allowFeedback ? [['feedback', 'allowed'] satisfies [string, Cell]] : []),
    ['destination', policy.destination],
    ...consentFields(policy),
    ['sources', `${policy.sources.length}`],
  ];
  const sources = policy.sources.map((source) => `  ${source}\n`).join('');
  const rest: [string, Cell][] = [
    ['revision', policy.revision],
    ['created', policy.createdAt],
    ['updated', policy.updatedAt],
    ...policy.warnings.map((warning): [string, Cell] => [
      'warning',
      { text: `${warning.code}: ${warning.message}`, style: 'yellow' },
    ]),
  ];
  return renderFields(fields, color) + sources + renderFields(rest, color);
}

/** When it ends, and what consent it has or waits for. */
function consentFields({ endsAt, approval, change }: Policy): [string, Cell][] {
  const asked = change ?? approval;
  const state = change ? 'change pending' : approval?.state;
  return [
    ...(endsAt === undefined ? [] : [['ends', endsAt] satisfies [string, Cell]]),
    ...(asked && state ? [['approval', `${state}, asked for by ${asked.requestedBy}`] satisfies [string, Cell]] : []),
    ...(asked?.needs ?? []).map(({ right, interfaces }): [string, Cell] => [
      'waits for',
      [right, ...interfaces].join(' '),
    ]),
    ...(asked?.given ?? []).map(({ by, right, at }): [string, Cell] => ['consent', `${right} by ${by} at ${at}`]),
  ];
}

function enabledCell(policy: Policy): Cell {
  return policy.enabled ? 'yes' : { text: 'no', style: 'yellow' };
}
