/** The state of the cluster as text. */

import { printable } from '@mirrorplane/base';
import type { ClusterStatus } from '@mirrorplane/contract';
import { hasRemedy } from './errors.ts';
import { ago } from './numbers.ts';
import { type Cell, renderFields, renderTable } from './table.ts';

/** Controllers, store, nodes and policies, one a line, and a table of problems. */
export function clusterText(status: ClusterStatus, color: boolean): string {
  const { controllers = [], store, nodes, policies, problems, problemCount } = status;
  const fields: [string, Cell][] = controllers.map((one): [string, Cell] => ['controller', controllerText(one)]);
  if (store) {
    fields.push(['store', storeCell(store)]);
  }
  const { total, ready, pending, disconnected } = nodes;
  fields.push(
    ['nodes', { text: counted(total, { ready, pending, disconnected }), style: total === ready ? 'green' : 'yellow' }],
    ['policies', counted(policies.total, policies.states)],
    ['problems', { text: `${problemCount}`, style: problemCount === 0 ? 'green' : 'red' }],
  );
  return renderFields(fields, color) + (problems.length > 0 ? `\n${problemTable(status, color)}` : '');
}

function controllerText({
  host,
  agents,
  version,
  startedAt,
  leads,
  leadsSince,
  auditFrom,
  gone,
  stoppedAt,
}: NonNullable<ClusterStatus['controllers']>[number]): string {
  // Several controllers are told apart by their addresses too: a host may have two.
  const name = agents === undefined ? host : `${host} (${agents})`;
  const lead = leads
    ? `, leads${leadsSince === undefined ? '' : ` since ${ago(leadsSince).replace(/ ago$/, '')}`}`
    : '';
  const audit = auditFrom === undefined ? '' : `, has the audit log from line ${auditFrom} only`;
  const end = stoppedAt !== undefined ? `, stopped ${ago(stoppedAt)}` : gone === 'lost' ? ', is not heard of' : '';
  return `${name}, version ${version}, started ${ago(startedAt)}${lead}${audit}${end}`;
}

function storeCell({ engine, revision, members }: NonNullable<ClusterStatus['store']>): Cell {
  if (engine === 'file') {
    return `a file on that host, revision ${revision}`;
  }
  const answering = members.filter(({ answers }) => answers).length;
  const text = `etcd, revision ${revision}, ${answering} of ${members.length} members answer`;
  return { text, style: answering === members.length ? 'green' : 'red' };
}

/** `4: 3 ready, 1 pending`. */
function counted(total: number, states: Partial<Record<string, number>>): string {
  const parts = Object.entries(states).filter(([, count]) => count);
  return parts.length === 0 ? `${total}` : `${total}: ${parts.map(([state, count]) => `${count} ${state}`).join(', ')}`;
}

function problemTable({ problems, problemCount }: ClusterStatus, color: boolean): string {
  const columns = ['KIND', 'NAME', 'CODE', 'WHAT'].map((title) => ({ title }));
  const rows = problems.map(({ kind, name, code, message, remedy }): Cell[] => [
    kind,
    name,
    code ?? '-',
    printable(remedy === undefined || hasRemedy(message) ? message : `${message}: ${remedy}`),
  ]);
  const more = problemCount - problems.length;
  return renderTable(columns, rows, { color }) + (more > 0 ? `and ${more} more\n` : '');
}
