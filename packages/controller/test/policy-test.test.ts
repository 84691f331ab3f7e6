/** Tests of policies: who is asked what, what answers become, and what is refused. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import {
  type PolicyStatus,
  PolicyTest,
  type PolicyTestRow,
  type ProbeCounts,
  ProbeName,
  TEST_LIMITS,
  type TestsMessage,
  ZERO,
} from '@mirrorplane/contract';
import { type NodeAnswer, rowsOf, worstOf } from '../src/tests/test-judge.ts';
import { planTest, type TestPlan, taskOf } from '../src/tests/test-plan.ts';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const NOTHING: ProbeCounts = {
  made: ZERO,
  copied: ZERO,
  truncated: ZERO,
  sent: ZERO,
  dropped: {},
  received: ZERO,
  delivered: ZERO,
  refused: {},
};
const packets = (count: number, bytes = count * 100) => ({ packets: count, bytes });

const PLAN: TestPlan = {
  test: 't',
  policy: 'u',
  to: 'node-2',
  untested: [],
  sources: [
    {
      node: 'node-1',
      probes: [
        { probe: 's', size: 'small' },
        { probe: 'f', size: 'full' },
        { probe: 'x', size: 'super' },
      ],
    },
  ],
};

type Said = Record<string, Partial<ProbeCounts>>;
const MADE: Said = {
  s: { made: packets(1, 64), sent: packets(1, 114) },
  f: { made: packets(1, 1514), sent: packets(1, 1564) },
  x: { made: packets(45), sent: packets(47) },
};
const ARRIVED: Said = {
  s: { received: packets(1), delivered: packets(1) },
  f: { received: packets(1), delivered: packets(1) },
  x: { received: packets(47), delivered: packets(47) },
};

function answer(said: Said, more: Partial<NodeAnswer> = {}): NodeAnswer {
  const counts = new Map(Object.entries(said).map(([name, part]) => [name, { ...NOTHING, ...part }]));
  return { connected: true, counts, problems: new Map(), ...more };
}

function judge(source: NodeAnswer, target: NodeAnswer, plan = PLAN): PolicyTestRow[] {
  const answerOf = (node: string) => (node === 'node-1' ? source : target);
  return rowsOf({ plan, destination: 'ids-1/0', answerOf });
}

const verdicts = (rows: readonly PolicyTestRow[]) =>
  rows.map(({ size, outcome, place, code }) => [size, outcome, place ?? '', code ?? ''].join(' ').trim());

test('all that was sent and delivered is delivered, also in more segments than it was made of', () => {
  const rows = judge(answer(MADE), answer(ARRIVED));
  assert.deepEqual(verdicts(rows), ['small delivered', 'full delivered', 'super delivered']);
  assert.deepEqual(
    rows.map(({ made, sent, arrived, delivered }) => [made, sent, arrived, delivered]),
    [
      [1, 1, 1, 1],
      [1, 1, 1, 1],
      [45, 47, 47, 47],
    ],
  );
  assert.equal(worstOf(rows), 'delivered');
});

test('where nothing arrives the fabric drops GRE, and where small ones arrive it is their size', () => {
  assert.deepEqual(verdicts(judge(answer(MADE), answer({ s: {}, f: {}, x: {} }))), [
    'small died way PROBE_LOST',
    'full died way PROBE_LOST',
    'super died way PROBE_LOST',
  ]);
  const rows = judge(
    answer(MADE),
    answer({ s: ARRIVED.s!, f: {}, x: { received: packets(1), delivered: packets(1) } }),
  );
  assert.deepEqual(verdicts(rows), [
    'small delivered',
    'full died way PROBE_LOST_BY_SIZE',
    'super died way PROBE_LOST_BY_SIZE',
  ]);
  assert.deepEqual([rows[1]!.params?.packet, rows[2]!.params?.packet], [1550, 1550]);
});

test('a super-packet of which some segments are lost is lost in part', () => {
  const rows = judge(answer(MADE), answer({ ...ARRIVED, x: { received: packets(40), delivered: packets(40) } }));
  assert.deepEqual(verdicts(rows)[2], 'super died way PROBE_LOST_IN_PART');
  assert.match(rows[2]!.message!, /^7 of 47 packets/);
});

test('what a node drops or refuses dies there, for its reason', () => {
  const dropped = answer({ ...MADE, f: { made: packets(1, 1514), dropped: { tooBigForUnderlay: packets(1) } } });
  assert.equal(verdicts(judge(dropped, answer(ARRIVED)))[1], 'full died source PROBE_DROPPED');
  const refused = answer({ ...ARRIVED, f: { received: packets(1), refused: { tooBigForDestination: packets(1) } } });
  assert.equal(verdicts(judge(answer(MADE), refused))[1], 'full died destination PROBE_TOO_BIG');
  const down = answer({ ...ARRIVED, s: { received: packets(1), refused: { destinationDown: packets(1) } } });
  const rows = judge(answer(MADE), down);
  assert.equal(verdicts(rows)[0], 'small died destination PROBE_DESTINATION_DOWN');
  assert.equal(worstOf(rows), 'died');
});

test('a node that does not answer is unknown, and nothing of it is lost', () => {
  assert.deepEqual(
    verdicts(judge(answer({}), answer({}))),
    ['small', 'full', 'super'].map((size) => `${size} unknown  PROBE_UNKNOWN`),
  );
  const rows = judge(answer(MADE), answer({}, { connected: false }));
  assert.deepEqual(
    verdicts(rows),
    ['small', 'full', 'super'].map((size) => `${size} unknown  NODE_DISCONNECTED`),
  );
  assert.deepEqual([rows[0]!.sent, rows[0]!.arrived, rows[0]!.delivered], [1, null, null]);
  assert.equal(worstOf(rows), 'unknown');
});

test('a probe that was cut says which MTU the underlay needs', () => {
  const cut = answer(
    { ...MADE, f: { ...MADE.f, truncated: packets(1) } },
    { underlay: { device: 'u', address: '10.0.0.1', mtu: 1500 } },
  );
  const [, full] = judge(cut, answer(ARRIVED));
  assert.equal(verdicts([full!])[0], 'full cut source PROBE_CUT');
  assert.match(full!.message!, /now 1500, to 1550$/);
});

/** What `planTest` needs of a status: nodes with sources, and nodes with the destination. */
function statusOf(sources: string[], ends: string[], more: Partial<PolicyStatus> = {}): PolicyStatus {
  const device = (node: string) => ({ node }) as PolicyStatus['destination']['devices'][number];
  const status = {
    ...{ name: 'p', uid: 'u', state: 'active', reasons: [] },
    sources: sources.map((node) => ({ interface: `${node}/0`, state: 'capturing', devices: [device(node)] })),
    destination: { interface: 'ids-1/0', devices: ends.map(device) },
    ...more,
  };
  return status as unknown as PolicyStatus;
}

test('a destination that migrates is not tested, and of very many nodes the first by name are', () => {
  assert.throws(() => planTest(statusOf(['node-1'], ['node-2', 'node-3'])), /is migrating: try again/);
  assert.throws(() => planTest(statusOf(['node-1'], [])), /"ids-1\/0" has no device now/);
  assert.throws(() => planTest(statusOf([], ['node-2'])), /none of its sources has a device/);
  const nodes = Array.from({ length: TEST_LIMITS.nodes + 2 }, (_, i) => `node-${100 + i}`);
  const plan = planTest(statusOf(nodes, ['node-100']));
  assert.deepEqual([plan.sources.length, plan.untested], [TEST_LIMITS.nodes, nodes.slice(-2)]);
  const names = plan.sources.flatMap(({ probes }) => probes.map(({ probe }) => probe));
  assert.equal(new Set(names).size, 3 * TEST_LIMITS.nodes);
  for (const name of names) {
    assert.ok(ProbeName.safeParse(name).success, name);
  }
  assert.equal(taskOf(plan, 'node-100', true)!.expects.length, 3 * (TEST_LIMITS.nodes - 1));
  assert.deepEqual([taskOf(plan, 'node-101', false), taskOf(plan, 'node-141', true)], [undefined, undefined]);
});

const url = '/api/v1/policies/p/test';

async function start(t: test.TestContext): Promise<[Bench, TestAgent, TestAgent]> {
  const bench = await Bench.start(t);
  const [one, two] = await bench.agents('node-1', 'node-2');
  one.inventory(vmDevice('web-1/0', 5));
  two.inventory(vmDevice('ids-1/0', 6));
  await until('both interfaces', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 2);
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  return [bench, one, two];
}

const lastOf = ({ tests }: TestAgent) => tests.at(-1)?.tasks[0];

/** Answers as an honest agent does. */
function report(agent: TestAgent, counts: (index: number) => Partial<ProbeCounts>, task = lastOf(agent)!): void {
  const names = [...task.makes.map(({ probe }) => probe), ...task.expects];
  const probes = names.map((probe, i) => ({ probe, counts: { ...NOTHING, ...counts(i) } }));
  agent.send({ type: 'testReport', test: task.test, probes });
}

test('the receiver is asked first, then the sender, and both forget the test at its end', async (t) => {
  const [bench, one, two] = await start(t);
  const asked = bench.post(url);
  await until('the receiver to be asked', () => lastOf(two) !== undefined);
  const expected = lastOf(two)!;
  assert.deepEqual([expected.makes, expected.expects.length, one.tests.flatMap(({ tasks }) => tasks)], [[], 3, []]);
  const second = await bench.post(url);
  assert.deepEqual([second.status, second.body.code], [429, 'TESTS_EXCEEDED']);
  assert.equal(second.headers['retry-after'], '10');
  report(two, () => ({}));
  await until('the sender to be asked', () => lastOf(one) !== undefined);
  const makes = lastOf(one)!.makes;
  assert.deepEqual(
    makes.map(({ size }) => size),
    ['small', 'full', 'super'],
  );
  assert.deepEqual(new Set(makes.map(({ probe }) => probe)), new Set(expected.expects));
  assert.equal(new Set(makes.map(({ probe }) => probe.slice(12))).size, 1, 'one source address');
  report(one, () => ({ made: packets(1), copied: packets(1), sent: packets(1) }));
  report(two, () => ({ received: packets(1), delivered: packets(1) }));
  const { status, body } = await asked;
  assert.equal(status, 200);
  assert.deepEqual(PolicyTest.parse(body), body);
  assert.deepEqual([body.outcome, body.by, body.rows.length], ['delivered', 'admin', 3]);
  await until('the end', () => [one, two].every(({ tests }) => tests.at(-1)?.tasks.length === 0));
  assert.deepEqual((await bench.get(url)).body, body);
  // Whatever the time of the host is set to.
  for (const ahead of [0, 3_600_000, -3_600_000]) {
    bench.ahead = ahead;
    const again = await bench.post(url);
    assert.deepEqual([again.status, again.body.code], [429, 'TESTS_EXCEEDED']);
  }
});

test('a node is not believed about probes of others, nor about what it was not asked', async (t) => {
  const [bench, one, two] = await start(t);
  const asked = bench.post(url);
  await until('the receiver to be asked', () => lastOf(two) !== undefined);
  report(two, () => ({}));
  await until('the sender to be asked', () => lastOf(one) !== undefined);
  const task = lastOf(one)! as TestsMessage['tasks'][number];
  // The sender claims that all has arrived, and the receiver that all was sent.
  report(one, () => ({ made: packets(1), sent: packets(1), received: packets(1), delivered: packets(1) }), task);
  two.send({
    type: 'testReport',
    test: task.test,
    probes: [{ probe: '024d50aaaaaa024d50bbbbbb', counts: { ...NOTHING, received: packets(1) } }],
  });
  report(two, () => ({ made: packets(9), sent: packets(9) }));
  const { body } = await asked;
  assert.deepEqual(verdicts(body.rows), [
    'small died way PROBE_LOST',
    'full died way PROBE_LOST',
    'super died way PROBE_LOST',
  ]);
  assert.deepEqual([body.rows[0].sent, body.rows[0].arrived], [1, 0]);
});

test('a report of no test is ignored, and one beyond the bounds ends the connection', async (t) => {
  const [bench, one, two] = await start(t);
  const probe = '024d50aaaaaa024d50bbbbbb';
  two.send({ type: 'testReport', test: 'none', probes: [{ probe, counts: NOTHING }] });
  one.send(JSON.stringify({ type: 'testReport', test: 'none', probes: Array(1000).fill({ probe, counts: NOTHING }) }));
  await until('the end of the connection', () => one.closed !== undefined);
  assert.equal(one.closed!.code, 4000);
  assert.equal(two.closed, undefined);
  assert.equal((await bench.get('/api/v1/nodes/node-2')).body.connected, true);
});

test('a policy that is disabled, or has no device, is refused with the reason, and so is an unknown one', async (t) => {
  const [bench, one] = await start(t);
  assert.equal((await bench.post('/api/v1/policies/q/test')).status, 404);
  assert.equal((await bench.get(url)).status, 404);
  await bench.must('PATCH', '/api/v1/policies/p', { enabled: false });
  const disabled = await bench.post(url);
  assert.deepEqual([disabled.status, disabled.body.code], [409, 'POLICY_NOT_TESTABLE']);
  assert.match(disabled.body.detail, /policy enable p/);
  await bench.must('PATCH', '/api/v1/policies/p', { enabled: true });
  one.inventory();
  await until('the source to be gone', async () => {
    const { body } = await bench.post(url);
    return body.code === 'POLICY_NOT_TESTABLE' && /web-1\/0/.test(body.detail);
  });
  const { items } = (await bench.get('/api/v1/audit')).body;
  const [last] = items.filter(({ action }: { action: string }) => action === 'test');
  assert.deepEqual([last.resource, last.outcome, last.code], ['policies/p', 'refused', 'POLICY_NOT_TESTABLE']);
});
