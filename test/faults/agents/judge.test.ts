/** The judgement of what agents have accepted: a good history is accepted, and each wrong one is named. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Commit } from '../world/observer.ts';
import { judgeAgents } from './judge.ts';
import { type AgentReport, policyText } from './report.ts';

const fields = { uid: 'u', enabled: true, direction: 'all', sources: ['b', 'a'] };
const commit = (revision: number, percent: number): Commit => ({
  revision,
  key: 'policies/p',
  value: { ...fields, percent },
});
const COMMITS: Commit[] = [
  commit(1, 10),
  commit(2, 20),
  { revision: 3, key: 'policies/p', value: { ...fields, percent: 20, enabled: false } },
  commit(4, 30),
  { revision: 5, key: 'policies/p', value: undefined },
  { revision: 6, key: 'pools/q', value: {} },
];

const node = 'n';
const program = (revision: number, percent?: number): AgentReport => ({
  node,
  kind: 'program',
  revision,
  policies: percent === undefined ? {} : { u: policyText(percent, 'all', ['a', 'b']) },
});
const led = (term: number): AgentReport[] => [
  { node, kind: 'connected' },
  { node, kind: 'leader', term },
];
const started = (term: number): AgentReport => ({ node, kind: 'started', term });

test('accepts programs that follow what was committed, over kills and leaders', () => {
  const reports = [
    started(0),
    ...led(4),
    program(1, 10),
    program(2, 20),
    started(4),
    // It is told twice, and the second time by a leader that was refused.
    ...led(9),
    program(2, 20),
    ...led(4),
    ...led(9),
    program(3),
    program(4, 30),
    program(5),
  ];
  assert.deepEqual(judgeAgents(reports, COMMITS), []);
});

const WRONG: [what: string, found: RegExp, reports: AgentReport[]][] = [
  [
    'a program of a deposed leader',
    /program 3 of the leader of term 4 came after one of term 9/,
    [...led(4), program(1), ...led(9), program(2), ...led(4), program(3)],
  ],
  [
    'a program before a leader',
    /before a leader has named itself/,
    [...led(4), { node, kind: 'connected' }, program(1)],
  ],
  ['a term that was forgotten', /forgotten the leader of term 4/, [...led(4), program(1), started(0)]],
  ['a program of an earlier revision', /program 1 came after program 2/, [...led(4), program(2), program(1)]],
  [
    'a policy that goes back',
    /10 % all of a,b, which it was not any more/,
    [...led(4), program(1, 20), program(2, 10)],
  ],
  ['a policy that was never so', /99 % all of a,b, which it was not at any time/, [...led(4), program(1, 99)]],
];

for (const [what, found, reports] of WRONG) {
  test(`finds ${what}`, () => {
    assert.match(judgeAgents(reports, COMMITS).join('\n'), found);
  });
}
