/**
 * A problem of a node is reported when it appears and when it ends: as an event, and as a metric.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Event, EventDraft } from '@mirrorplane/contract';
import { NodeProblems } from '../src/events/node-problems.ts';
import type { JudgedNode } from '../src/reports/found-problems.ts';
import { Bench } from './harness.ts';

const down = { code: 'DEVICE_DOWN', message: 'eth1 is down' };
const node = (more: Partial<JudgedNode> = {}): JudgedNode => ({
  name: 'node-1',
  reported: [],
  found: [],
  known: true,
  ...more,
});
const kinds = (drafts: readonly EventDraft[]) => drafts.map(({ kind, code }) => `${kind} ${code}`);
const events = (...drafts: EventDraft[]) =>
  drafts.map((draft, index) => ({ ...draft, id: drafts.length - index, at: '2026-01-01T00:00:00Z' }) as Event);

test('a lasting problem is reported once, and its end is reported once', () => {
  const problems = new NodeProblems();
  assert.deepEqual(problems.changes([node({ reported: [down] })], 0), []);
  assert.ok(problems.unsettled);
  const [told, ...more] = problems.changes([node({ reported: [down, down] })], 2000);
  assert.deepEqual(told, {
    kind: 'nodeProblemBegan',
    object: { kind: 'node', name: 'node-1' },
    code: 'DEVICE_DOWN',
    message: 'eth1 is down (and 1 more)',
    cause: { kind: 'agent', name: 'node-1' },
    count: 2,
  });
  assert.deepEqual(more, []);
  assert.ok(!problems.unsettled);
  assert.deepEqual(problems.changes([node({ reported: [down] })], 4000), []);
  assert.deepEqual(problems.changes([node()], 5000), []);
  assert.deepEqual(kinds(problems.changes([node()], 7000)), ['nodeProblemEnded DEVICE_DOWN']);
  assert.deepEqual(problems.changes([node()], 9000), []);
});

test('a problem that ends within a moment is not reported, and neither is its end', () => {
  const problems = new NodeProblems();
  problems.changes([node({ reported: [down] })], 0);
  assert.deepEqual(problems.changes([node()], 1000), []);
  assert.ok(!problems.unsettled);
  problems.changes([node({ reported: [down] })], 2000);
  assert.equal(problems.changes([node({ reported: [down] })], 4000).length, 1);
  problems.changes([node()], 5000);
  assert.deepEqual(problems.changes([node({ reported: [down] })], 8000), []);
});

test('a problem of a node does not end when its agent is disconnected', () => {
  const problems = new NodeProblems();
  problems.changes([node({ reported: [down] })], 0);
  problems.changes([node({ reported: [down] })], 2000);
  for (const now of [3000, 90_000]) {
    assert.deepEqual(problems.changes([node({ known: false })], now), []);
  }
});

test('a problem that already has its own event is not reported again, but its end is', () => {
  const problems = new NodeProblems();
  const second = { code: 'NODE_SECOND_AGENT', message: 'two' };
  for (const now of [0, 2000]) {
    assert.deepEqual(problems.changes([node({ found: [second] })], now), []);
  }
  problems.changes([node()], 3000);
  assert.deepEqual(kinds(problems.changes([node()], 5000)), ['nodeProblemEnded NODE_SECOND_AGENT']);
});

test('a controller that starts again continues with the problems that were reported before', () => {
  const problems = new NodeProblems();
  const draft = (kind: EventDraft['kind'], code: string): EventDraft => ({
    kind,
    object: { kind: 'node', name: 'node-1' },
    code,
    message: '',
    cause: { kind: 'agent', name: 'node-1' },
  });
  const newestFirst = events(
    draft('nodeProblemBegan', 'DEVICE_DOWN'),
    draft('nodeProblemEnded', 'CPU_BUSY'),
    draft('nodeProblemBegan', 'CPU_BUSY'),
  );
  problems.resume(new Set(['node-1']), newestFirst);
  for (const now of [0, 2000]) {
    assert.deepEqual(problems.changes([node({ reported: [down] })], now), []);
  }
  problems.changes([node()], 3000);
  assert.deepEqual(kinds(problems.changes([node()], 5000)), ['nodeProblemEnded DEVICE_DOWN']);
});

test('an agent that reports a problem makes an event and a metric of it, and no reason of its policies', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.confirms = false;
  agent.hello('node-1');
  await until('a program came', () => agent.program !== undefined);
  const { revision } = agent.program!;
  const say = (...problems: { code: string; message: string }[]) =>
    agent.send({ type: 'status', appliedRevision: revision, captures: [], problems });
  const metric = async () =>
    (await bench.get('/metrics')).text.split('\n').filter((line) => /^mirrorplane_node_problems\{/.test(line));
  const told = async (kind: string) => (await bench.get(`/api/v1/events?kind=${kind}`)).body.items;
  say({ code: 'UPLINK_UNPROTECTED', message: 'br0 carries service traffic' });
  const [began] = await until('it is told', async () => {
    const items = await told('nodeProblemBegan');
    return items.length > 0 && items;
  });
  assert.equal(began.code, 'UPLINK_UNPROTECTED');
  assert.deepEqual(await metric(), ['mirrorplane_node_problems{node="node-1",code="UPLINK_UNPROTECTED"} 1']);
  assert.deepEqual(await told('nodeProblemEnded'), []);
  say();
  await until('its end is told', async () => (await told('nodeProblemEnded')).length > 0);
  assert.deepEqual(await metric(), []);
});
