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

/** A row a policy. */
export function policyTable(policies: readonly Policy[], color: boolean): string {
  return renderTable(
    COLUMNS,
    policies.map((policy) => [
      policy.name,
      policy.type,
      policy.sources.length,
      policy.destination,
      policy.direction,
      policy.percent,
      policy.vlanId ?? '-',
      enabledCell(policy),
    ]),
    { color },
  );
}

/** One policy, a field a line. */
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
    ['destination', policy.destination],
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

function enabledCell(policy: Policy): Cell {
  return policy.enabled ? 'yes' : { text: 'no', style: 'yellow' };
}
