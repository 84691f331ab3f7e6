/** Counters that a node cannot have counted are refused. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Count, CounterReport } from '@mirrorplane/contract';
import { CounterTotals } from '../src/reports/counter-totals.ts';
import { Bench, type TestAgent, vmDevice } from './harness.ts';

const options = { timeout: 120_000 };
const count = (packets: number): Count => ({ packets, bytes: packets * 100 });

interface Counted {
  uid: string;
  source?: string;
  life?: number;
  epoch?: string;
  deliveries?: CounterReport['deliveries'];
  terminations?: CounterReport['terminations'];
}

function report(matched: Count, { uid, source = 'web-1/0', life = 1, epoch = 'e', ...more }: Counted): CounterReport {
  const counts = { matched, sampledOut: count(0), copied: matched, truncated: count(0), dropped: {}, skipped: {} };
  const captures = [{ policy: uid, source, direction: 'inbound', life, counts } as const];
  return { epoch, captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0, ...more };
}

/** A source on node-1, its destination on node-2, and node-3 that has nothing. */
async function cluster(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2', 'node-3');
  const agents: TestAgent[] = [];
  for (const [node, id] of [
    ['node-1', 'web-1/0'],
    ['node-2', 'ids-1/0'],
    ['node-3', 'app-1/0'],
  ] as const) {
    const agent = await bench.connect(await bench.credentials(node));
    agent.hello(node);
    agent.inventory(vmDevice(id, 5));
    agents.push(agent);
  }
  await until('all are listed', async () => (await bench.get('/api/v1/interfaces')).body.items.length === 3);
  const body = { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' };
  const { uid } = await bench.must('POST', '/api/v1/policies', body);
  await until('it is carried out', () => agents[0]!.program?.captures.length === 1);
  await until('it is received', () => agents[1]!.program?.terminations.length === 2);
  const send = (agent: TestAgent, one: CounterReport) =>
    agent.send({ type: 'counters', reading: { run: 'r', readAt: 1 }, report: one });
  const status = async () => (await bench.get('/api/v1/policies/p/status')).body;
  const matched = async () => (await status()).totals.matched.packets;
  const problems = async (node: string) =>
    (await bench.get(`/api/v1/nodes/${node}`)).body.problems as { code: string; message: string }[];
  const refused = (node: string, why: RegExp) =>
    until(`${node} is said to count what it cannot: ${why}`, async () =>
      (await problems(node)).find(({ code, message }) => code === 'COUNTERS_REFUSED' && why.test(message)),
    );
  return { bench, agents, uid, send, status, matched, problems, refused };
}

test('a node adds nothing to what it does not have, and is shown with a problem and an event', options, async (t) => {
  const { bench, agents, uid, send, status, matched, problems, refused } = await cluster(t);
  const [web, ids, evil] = agents as [TestAgent, TestAgent, TestAgent];
  send(web, report(count(10), { uid }));
  await until('10', async () => (await matched()) === 10);
  // The source is in its program, because the pool is the same, but the interface is not on this
  // node.
  send(evil, report(count(3333), { uid }));
  await refused('node-3', /1 of things that are not in its program \(.*web-1\/0\/inbound\)/);
  const sent = { delivery: `${uid}/local`, policy: uid, sent: count(77) };
  const from = { ...count(0), termination: `${uid}/from/node-1`, policy: uid, node: 'node-1' };
  const took = { ...from, received: count(88), delivered: count(88), relayed: count(0), dropped: {} };
  send(evil, { ...report(count(0), { uid }), captures: [], deliveries: [sent], terminations: [took] });
  send(ids, {
    ...report(count(0), { uid }),
    captures: [],
    terminations: [{ ...took, received: count(9), delivered: count(9) }],
  });
  await until('what the receiver says', async () => (await status()).paths[0]?.received?.packets === 9);
  assert.equal(await matched(), 10);
  assert.deepEqual([...(await problems('node-1')), ...(await problems('node-2'))], []);
  const told = (await bench.get('/api/v1/events?kind=countersRefused')).body.items;
  assert.deepEqual(
    told.map(({ object, code }: { object: { name: string }; code: string }) => [object.name, code]),
    [['node-3', 'COUNTERS_REFUSED']],
  );
  const { text } = await bench.get('/metrics');
  assert.doesNotMatch(text, /\b(3333|77|88)\n/);
});

test(
  'numbers that go back, or grow by more than can be, leave the totals as they are, which go on after that',
  options,
  async (t) => {
    const { agents, uid, send, matched, refused } = await cluster(t);
    const [web] = agents as [TestAgent];
    send(web, report(count(1000), { uid }));
    await until('1000', async () => (await matched()) === 1000);
    send(web, report(count(400), { uid }));
    await refused('node-1', /1 that decreased/);
    assert.equal(await matched(), 1000);
    send(web, report(count(450), { uid }));
    await until('50 more', async () => (await matched()) === 1050);
    send(web, report(count(2 ** 50), { uid }));
    await refused('node-1', /1 that grew by more than is possible/);
    send(web, report(count(2 ** 50 + 2 ** 20), { uid }));
    await until('2^20 more', async () => (await matched()) === 1050 + 2 ** 20);
    // A new life or a new epoch does not make impossible counts acceptable.
    send(web, report(count(2 ** 49), { uid, life: 2 }));
    send(web, report(count(2 ** 48), { uid, life: 2, epoch: 'f' }));
    send(web, report(count(2 ** 48 + 2 ** 20), { uid, life: 2, epoch: 'f' }));
    await until('2^20 more', async () => (await matched()) === 1050 + 2 ** 21);
  },
);

test('the first count of a capture is bounded by the age of its policy', options, async (t) => {
  const { agents, uid, send, matched, refused } = await cluster(t);
  const [web] = agents as [TestAgent];
  send(web, report(count(2 ** 50), { uid }));
  await refused('node-1', /1 that grew by more than is possible/);
  assert.equal(await matched(), 0);
});

test('a value that is no count ends the connection', options, async (t) => {
  const { bench, agents, uid, send } = await cluster(t);
  const [web] = agents as [TestAgent];
  const credentials = bench.credentialsOf('node-1');
  let agent = web;
  for (const packets of [-1, 1.5, 2 ** 64, 1e300, Number.NaN]) {
    send(agent, report({ packets, bytes: 0 }, { uid }));
    const closed = await until('it is closed', () => agent.closed);
    assert.deepEqual([closed.code, /packets/.test(closed.reason)], [4000, true], `${packets}: ${closed.reason}`);
    agent = await bench.connect(credentials);
    agent.hello('node-1');
    await until('a program', () => agent.program);
  }
});

test('a count beyond 2^53, as a fast link has after some days, is taken', () => {
  const totals = new CounterTotals();
  const judge = { fits: () => true, owns: () => true as const, mayBring: () => false, seconds: () => 1e8 };
  totals.take(report({ packets: 2 ** 50, bytes: 2 ** 56 }, { uid: 'u' }), judge);
  assert.equal(totals.take(report({ packets: 2 ** 50 + 1, bytes: 2 ** 56 + 1024 }, { uid: 'u' }), judge).size, 0);
  assert.deepEqual(totals.sums()?.captures[0]?.counts.matched, { packets: 2 ** 50 + 1, bytes: 2 ** 56 + 1024 });
});

test(
  'what a source counted that has left its policy is taken; what a deleted policy counted is nobody’s fault',
  options,
  async (t) => {
    const { bench, agents, uid, send, matched, problems } = await cluster(t);
    const [web, , other] = agents as [TestAgent, TestAgent, TestAgent];
    await bench.must('PATCH', '/api/v1/policies/p', { sources: ['app-1/0'] });
    await until('the other source', () => other.program?.captures.some(({ source }) => source === 'app-1/0'));
    await until('web-1/0 is out', () => !web.program?.captures.some(({ source }) => source === 'web-1/0'));
    send(web, report(count(5), { uid }));
    send(web, report(count(5), { uid: 'of-a-policy-that-is-gone' }));
    send(other, report(count(7), { uid, source: 'app-1/0' }));
    await until('5 and 7', async () => (await matched()) === 12);
    assert.deepEqual(await problems('node-1'), []);
  },
);

test(
  'what was counted of a policy that is disabled now is taken by a controller that was killed before it had saved it',
  options,
  async (t) => {
    const { bench, agents, uid, send, matched, problems } = await cluster(t);
    await bench.must('PATCH', '/api/v1/policies/p', { enabled: false });
    await until('it is out', () => agents[0]!.program?.captures.length === 0);
    await bench.restart();
    const back = async (node: string) => {
      const agent = await bench.connect(await bench.credentials(node));
      agent.hello(node);
      return agent;
    };
    const [web, ids, evil] = [await back('node-1'), await back('node-2'), await back('node-3')];
    const sent = { delivery: `${uid}/to/node-2`, policy: uid, sent: count(6) };
    const from = { ...count(0), termination: `${uid}/from/node-1`, policy: uid, node: 'node-1' };
    const took = { ...from, received: count(5), delivered: count(5), relayed: count(0), dropped: {} };
    send(web, { ...report(count(7), { uid }), deliveries: [sent] });
    send(ids, { ...report(count(0), { uid }), captures: [], terminations: [took] });
    send(evil, { ...report(count(100), { uid }), deliveries: [sent], terminations: [took] });
    await until('7', async () => (await matched()) === 7);
    // It may have had the interface while nobody heard it. It cannot have it now.
    assert.deepEqual(await problems('node-3'), []);
    send(evil, { ...report(count(101), { uid }), deliveries: [sent], terminations: [took] });
    await until('1 is refused', async () =>
      (await problems('node-3')).some(({ message }) => / 1 of things/.test(message)),
    );
    assert.deepEqual([...(await problems('node-1')), ...(await problems('node-2'))], []);
    assert.equal(await matched(), 7);
  },
);

test('the senders of refused packets come with the last part of a report, and stay known until then', () => {
  const totals = new CounterTotals();
  const none = { wrongAddress: 0, wrongSecret: 0, wrongDevice: 0, tooFar: 0, oddHeader: 0 };
  const peers = [{ address: '10.0.0.2', staleSession: 3, ...none }];
  const one = (epoch: string, told: typeof peers) => ({ ...report(count(1), { uid: 'u', epoch }), peers: told });
  totals.take(one('e', peers));
  totals.take(one('e', []), undefined, true);
  assert.deepEqual(totals.peers, peers, 'others follow');
  totals.take(one('e', []));
  assert.deepEqual(totals.peers, []);
  totals.take(one('e', peers));
  totals.take(one('f', []), undefined, true);
  assert.deepEqual(totals.peers, [], 'they were those of another epoch');
});
