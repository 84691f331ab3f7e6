/** A flood of events of one node removes no event of others. */
import assert from 'node:assert/strict';
import { appendFileSync, statSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { AgentEvent, Event, EventDraft } from '@mirrorplane/contract';
import pino from 'pino';
import { accountOf } from '../src/events/accounts.ts';
import { agentEvent, type Teller } from '../src/events/agent-events.ts';
import { EventStream } from '../src/events/event-stream.ts';
import { KeptEvents } from '../src/events/kept.ts';
import { EventLog, type EventLogOptions } from '../src/events/log.ts';
import { Bench, type TestAgent, temporaryFolder, vmDevice } from './harness.ts';

const options = { timeout: 120_000 };
const controller = { kind: 'controller', name: 'controller' } as const;

const ofNode = (name: string, message = 'm'): EventDraft => {
  return { kind: 'repaired', object: { kind: 'node', name }, message, cause: { kind: 'agent', name } };
};
const ofOperator = (name: string): EventDraft => {
  const cause = { kind: 'operator', name: 'admin' } as const;
  return { kind: 'policyCreated', object: { kind: 'policy', name }, message: 'm', cause };
};
const ofState = (name: string): EventDraft => {
  return { kind: 'policyStateChanged', object: { kind: 'policy', name }, message: 'm', cause: controller };
};

async function openLog(t: TestContext, more: Partial<EventLogOptions> = {}) {
  const file = path.join(temporaryFolder(t), 'events.log');
  const all = { clock: Date.now, log: pino({ level: 'silent' }), ...more };
  const log = await EventLog.open(file, all);
  t.after(() => log.close());
  return { file, log, reopen: () => EventLog.open(file, all) };
}

const kinds = (log: EventLog, kind: Event['kind']) => [...log.since(0)].filter((event) => event.kind === kind);

test('a flood of one node, or of states, pushes out only its own', () => {
  const kept = new KeptEvents({ limit: 1000, maxBytes: 1 << 20 });
  let id = 0;
  const add = (draft: EventDraft, bytes = 200) => kept.add({ id: ++id, at: '', ...draft }, bytes);
  for (let index = 0; index < 100; index++) {
    add(ofOperator(`p${index}`));
    add(ofNode(`node-${index % 5}`));
    add(ofState(`p${index % 10}`));
  }
  for (let index = 0; index < 20_000; index++) {
    add(ofNode('evil'));
    add(ofState('p0'));
  }
  // The largest lines have a limit in bytes, although they are few.
  for (let index = 0; index < 100; index++) {
    add(ofNode('large'), 100_000);
  }
  const counts = new Map<string, number>();
  for (const event of kept.since(0)) {
    const { group, member } = accountOf(event);
    counts.set(`${group} ${member}`, (counts.get(`${group} ${member}`) ?? 0) + 1);
  }
  assert.equal(counts.get('operators admin'), 100);
  for (let index = 0; index < 5; index++) {
    assert.equal(counts.get(`nodes node-${index}`), 20);
  }
  for (let index = 1; index < 10; index++) {
    assert.equal(counts.get(`policies p${index}`), 10);
  }
  const ids = [...kept.since(0)].map((event) => event.id);
  assert.deepEqual(
    ids,
    [...ids].sort((a, b) => a - b),
  );
  assert.ok(ids.length <= 1000 && ids.at(-1) === id);
  assert.deepEqual(
    [...kept.since(ids[10]!)].map((event) => event.id),
    ids.slice(11),
  );
});

test('a node that causes too many events has the rest left out, as one event with their number', async (t) => {
  const shares = { share: { reserve: 10, perSecond: 0.001 }, intervalMs: 50 };
  const { log } = await openLog(t, { shares });
  const events = Array.from({ length: 40 }, (_, index): AgentEvent => {
    return { seq: index + 1, at: '', kind: 'repaired', cause: 'agent', message: 'm' };
  });
  assert.equal(await log.take('node-1', 'e', events, () => ofNode('node-1')), 40);
  await log.append(ofNode('node-2'), ofOperator('p'));
  const [left] = await until(
    'it is told',
    () => kinds(log, 'eventsLeftOut').length === 1 && kinds(log, 'eventsLeftOut'),
  );
  assert.deepEqual([left!.object.name, left!.count, left!.cause], ['node-1', 30, controller]);
  assert.deepEqual([kinds(log, 'repaired').length, kinds(log, 'policyCreated').length], [11, 1]);
  // Connections and disconnections of an agent are also caused by its node.
  for (let index = 0; index < 20; index++) {
    await log.note({ ...ofNode('node-1'), kind: 'nodeConnected' });
  }
  assert.equal(kinds(log, 'nodeConnected').length, 0);
});

test(
  'with any content of the file, the log opens, keeps the valid events, and is short afterwards',
  options,
  async (t) => {
    const { file, log, reopen } = await openLog(t, { maxBytes: 1 << 20 });
    await log.append(ofOperator('first'));
    await log.close();
    const line = (id: number, message: string) =>
      `${JSON.stringify({ event: { id, at: 'a', ...ofNode('x', message) } })}\n`;
    appendFileSync(file, line(2, 'm'.repeat(80 << 20)));
    appendFileSync(file, Buffer.alloc(3 << 20, 0xff));
    appendFileSync(file, '\n\n\n{}\nnull\n[[[\n"event"\n{"event":null}\n{"event":{"id":3}}\n{"origin":7}\n');
    appendFileSync(file, `{"event":${'['.repeat(100_000)}\n`);
    appendFileSync(file, line(9e15, 'far'));
    appendFileSync(file, line(4, 'good'));
    appendFileSync(file, '{"origin":{"node":"n","epoch":"e","seq":5}}\n{"event":{"id":5,"at":"a","ki');
    const before = process.memoryUsage().rss;
    const again = await reopen();
    assert.ok(process.memoryUsage().rss - before < 64 << 20, 'the long line was not read into memory');
    assert.deepEqual(
      [...again.since(0)].map(({ id }) => id),
      [1, 4],
    );
    assert.ok(statSync(file).size < 2 << 20);
    await again.append(ofOperator('next'));
    assert.equal(
      await again.take('n', 'e', [{ seq: 5, at: '', kind: 'repaired', cause: 'agent', message: '' }], () =>
        ofNode('n'),
      ),
      5,
    );
    await again.close();
    const third = await reopen();
    assert.deepEqual(
      [...third.since(0)].map(({ id, object }) => `${id} ${object.name}`),
      ['1 first', '4 x', '5 next'],
    );
    await third.close();
  },
);

test('the file is bounded by bytes, and texts of events are', async (t) => {
  const { file, log, reopen } = await openLog(t, { maxBytes: 100_000 });
  for (let index = 0; index < 100; index++) {
    await log.append(ofNode('node-1', 'm'.repeat(1_000_000)));
    assert.ok(statSync(file).size < 300_000);
  }
  await log.append(ofOperator('p'));
  const { last } = log;
  await log.close();
  const again = await reopen();
  assert.equal(again.last, last);
  assert.equal(kinds(again, 'policyCreated').length, 1);
  await again.close();
});

test('a reader hears of every gap that a flood has left', async (t) => {
  const { log } = await openLog(t, { limit: 6 });
  const node = (count: number) => log.append(...Array.from({ length: count }, () => ofNode('evil')));
  await log.append(ofOperator('a'));
  await node(5);
  await log.append(ofOperator('b'));
  await node(20);
  const ids = [...log.since(0)].map(({ id }) => id);
  assert.deepEqual([ids[0], ids[1], ids.at(-1)], [1, 7, 27]);
  const reading = new EventStream(log, { after: 0, wanted: ({ kind }) => kind === 'policyCreated' });
  let text = '';
  reading.on('data', (chunk) => {
    text += chunk;
  });
  await until('the second gap', () => text.split('event: gap').length === 3);
  const gaps = [...text.matchAll(/data: (\{"after".*\})/g)].map((match) => JSON.parse(match[1]!));
  assert.deepEqual(gaps, [
    { after: 1, resumed: 6 },
    { after: 7, resumed: ids[2]! - 1 },
  ]);
  reading.destroy();
});

const NOW = Date.parse('2026-05-04T12:00:00Z');
const HOUR = 3_600_000;
const teller: Teller = {
  node: 'node-1',
  hasInterface: (id) => id === 'web-1/0',
  policyName: (uid) => (uid === 'uid-1' ? 'ids' : undefined),
  isNode: (name) => name === 'node-2',
  heardBefore: NOW - HOUR,
  now: NOW,
};
const said = (more: Partial<AgentEvent> = {}): AgentEvent => {
  const at = new Date(NOW - HOUR / 2).toISOString();
  return { seq: 1, at, kind: 'captureAttached', cause: 'controller', message: 'm', interface: 'web-1/0', ...more };
};

test('an agent is believed about its own interfaces, its part in policies, and what a program can have asked for', () => {
  assert.deepEqual(agentEvent(said({ policy: 'uid-1' }), teller)?.cause, controller);
  const { policy, cause } = agentEvent(said({ policy: 'uid-of-another' }), teller)!;
  assert.deepEqual([policy, cause], [undefined, { kind: 'agent', name: 'node-1' }]);
  assert.equal(agentEvent(said({ interface: 'ids-1/0' }), teller), undefined);
  assert.equal(agentEvent(said({ kind: 'repaired' }), teller)?.cause.kind, 'agent');
  const moved = said({ kind: 'migrationMeasured', cause: 'agent', to: 'node-2' });
  assert.deepEqual([agentEvent(moved, teller)?.node, agentEvent(moved, teller)?.from], ['node-2', 'node-1']);
  assert.equal(agentEvent({ ...moved, to: 'nowhere' }, teller)?.node, 'node-1');
});

test('a time is kept where the event can have happened then, and else replaced and shown', () => {
  const timeOf = (at: string, more: Partial<Teller> = {}) => {
    const event = agentEvent(said({ at }), { ...teller, ...more })!;
    return [event.at, event.claimedAt];
  };
  const now = new Date(NOW).toISOString();
  const at = (ms: number) => new Date(NOW + ms).toISOString();
  assert.deepEqual(timeOf(at(-HOUR / 2)), [at(-HOUR / 2), undefined], 'the controller was away');
  assert.deepEqual(timeOf(at(30_000)), [at(30_000), undefined], 'clocks differ');
  assert.deepEqual(timeOf(at(HOUR)), [now, at(HOUR)], 'it will be');
  assert.deepEqual(timeOf(at(-2 * HOUR)), [now, at(-2 * HOUR)], 'it would have told');
  assert.deepEqual(timeOf(at(-2 * HOUR), { heardBefore: undefined }), [at(-2 * HOUR), undefined], 'a new node');
  const old = '1999-01-01T00:00:00Z';
  assert.deepEqual(timeOf(old, { heardBefore: undefined }), [now, old]);
});

test('an agent that forges events leaves those of others and of operators as they are', options, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-6');
  const agents: TestAgent[] = [];
  for (const [node, id] of [
    ['node-1', 'web-1/0'],
    ['node-6', 'own/0'],
  ] as const) {
    const agent = await bench.connect(await bench.credentials(node));
    agent.hello(node);
    agent.inventory(vmDevice(id, 5));
    agents.push(agent);
  }
  const [good, evil] = agents;
  const send = (agent: TestAgent, from: number, count: number, more: Partial<AgentEvent>) =>
    agent.send({
      type: 'events',
      epoch: 'e',
      events: Array.from({ length: count }, (_, index): AgentEvent => {
        const at = new Date().toISOString();
        return { seq: from + index, at, kind: 'repaired', cause: 'agent', message: 'all is well', ...more };
      }),
    });
  send(good!, 1, 1, { interface: 'web-1/0', message: 'honest' });
  send(evil!, 1, 1, { interface: 'web-1/0', message: 'forged' });
  for (let round = 0; round < 25; round++) {
    send(evil!, 2 + round * 500, 500, { interface: 'own/0', message: 'f'.repeat(1000) });
  }
  await until('all are taken', () => evil!.eventsTaken.at(-1) === 12_501, { limitMs: 60_000 });
  const events = async (query: string) => (await bench.get(`/api/v1/events?limit=1000&${query}`)).body.items as Event[];
  const about = await events('kind=repaired&object=interface/web-1/0');
  assert.deepEqual(
    about.map(({ message }) => message),
    ['honest'],
  );
  assert.equal((await events('kind=nodeConnected')).length, 2);
  assert.equal((await events('kind=controllerStarted')).length, 1);
  await bench.restart();
  const [left] = await events('kind=eventsLeftOut&object=node/node-6');
  assert.ok(left!.count! > 7000 || left!.count === 1, `${left!.count}`);
  assert.equal((await events('kind=repaired&object=interface/web-1/0')).length, 1);
});
