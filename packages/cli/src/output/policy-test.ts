/** The result of a test of a policy as text: a row a node and size, and below it what to do. */
import { printable } from '@mirrorplane/base';
import type { PolicyTest, PolicyTestRow, ProbeOutcome } from '@mirrorplane/contract';
import { UNKNOWN } from './numbers.ts';
import { type Cell, type Column, paint, renderTable, type Style } from './table.ts';

const STYLES: Record<ProbeOutcome, Style> = { delivered: 'green', cut: 'yellow', died: 'red', unknown: 'yellow' };

const PLACES = { source: 'on the node', way: 'between the nodes', destination: "on the destination's node" } as const;

const SUMMARIES: Record<ProbeOutcome, string> = {
  delivered: 'copies of every size reach the destination',
  cut: 'copies of every size reach the destination, some of them cut',
  died: 'copies of some sizes do not reach the destination',
  unknown: 'not known of every size whether it reaches the destination',
};

/** Counts are packets: a super-packet counts as its segments. */
export function testText(test: PolicyTest, color: boolean): string {
  const right = (title: string): Column => ({ title, align: 'right' });
  const columns: Column[] = [
    { title: 'NODE' },
    { title: 'TO' },
    { title: 'SIZE' },
    ...['BYTES', 'MADE', 'SENT', 'ARRIVED', 'DELIVERED'].map(right),
    { title: 'OUTCOME' },
  ];
  const parts = [
    `policy ${test.policy}: ${paint(SUMMARIES[test.outcome], STYLES[test.outcome], color)}\n\n`,
    renderTable(columns, test.rows.map(rowCells), { color }),
  ];
  const reasons = test.rows.filter(({ message }) => message !== undefined);
  if (reasons.length > 0) {
    parts.push('\n');
  }
  for (const { node, size, code, message } of reasons) {
    parts.push(printable(`${node}, ${size}: ${code}: ${message}`), '\n');
  }
  if (test.untested.length > 0) {
    parts.push(printable(`\nnot tested, because there are too many nodes: ${test.untested.join(', ')}`), '\n');
  }
  return parts.join('');
}

function rowCells({ node, to, size, length, made, sent, arrived, delivered, outcome, place }: PolicyTestRow): Cell[] {
  const numbers = [length, made, sent, arrived, delivered].map((value) => value ?? UNKNOWN);
  const text = place === undefined ? outcome : `${outcome} ${PLACES[place]}`;
  return [node, to, size, ...numbers, { text, style: STYLES[outcome] }];
}
