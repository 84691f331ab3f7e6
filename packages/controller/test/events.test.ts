/** Events in the API: their content, and a stream without losses. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { type AgentEvent, type Event, EventList, type EventsMessage } from '@mirrorplane/contract';
import pino from 'pino';
import { EventStream } from '../src/events/event-stream.ts';
import { EventLog } from '../src/events/log.ts';
import { Bench, temporaryFolder, vmDevice } from './harness.ts';
import { SseReader } from './sse.ts';

const POLICY = { name: 'ids', sources: ['web-1/0'], destination: 'ids-1/0' };
const options = { timeout: 120_000 };

async function list(bench: Bench, query = ''): Promise<Event[]> {
  const body = await bench.must('GET', `/api/v1/events${query}`);
  return EventList.parse(body).items;
}

const last = async (bench: Bench) => (await bench.must('GET', '/api/v1/events')).last as number;

/** Waits for a matching event of this kind after `after`. */
function eventually(bench: Bench, kind: Event['kind'], after = 0, fits: (event: Event) => boolean = () => true) {
  return until(kind, async () => (await list(bench, `?after=${after}&kind=${kind}`)).find(fits));
}

function stream(bench: Bench, query = '', headers: Record<string, string> = {}): Promise<SseReader> {
  const url = `http://${bench.controller.addresses[0]}/api/v1/events/stream${query}`;
  return SseReader.open(url, { authorization: `Bearer ${bench.token}`, ...headers });
}

/** A cluster of one node that is connected, with a policy on it. */
async function running(t: TestContext) {
  const bench = await Bench.start(t);
  await bench.cluster('node-1', 'node-2');
  await bench.declare('web-1/0', 'ids-1/0');
  const agent = await bench.connect(await bench.credentials('node-1'));
  agent.hello('node-1');
  agent.inventory(vmDevice('web-1/0', 5), vmDevice('ids-1/0', 6));
  await eventually(bench, 'interfaceAppeared', 0, ({ object }) => object.name === 'web-1/0');
  return { bench, agent };
}

const repaired = (seq: number, more: Partial<AgentEvent> = {}): AgentEvent => {
  const at = '2026-01-01T00:00:00.000Z';
  return { seq, at, kind: 'repaired', cause: 'agent', message: `repaired ${seq}`, interface: 'web-1/0', ...more };
};
const telling = (epoch: string, ...events: AgentEvent[]): EventsMessage => ({ type: 'events', epoch, events });

test('changes and refused changes of a policy are events with the name of the operator', options, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('web-1/0', 'ids-1/0');
  const after = await last(bench);
  await bench.post('/api/v1/policies?dryRun=true', POLICY);
  await bench.must('POST', '/api/v1/policies', POLICY);
  await bench.must('PUT', '/api/v1/policies/ids', POLICY);
  await bench.must('PATCH', '/api/v1/policies/ids', { percent: 25, enabled: false });
  assert.equal((await bench.post('/api/v1/policies', { ...POLICY, name: 'two' })).status, 422);
  assert.equal((await bench.request('DELETE', '/api/v1/policies/none')).status, 404);
  await bench.must('DELETE', '/api/v1/policies/ids');
  const told = (await list(bench, `?after=${after}`)).filter(({ cause, kind }) => {
    return cause.kind === 'operator' && kind !== 'policyStateChanged';
  });
  assert.deepEqual(
    told.map(({ kind, object, code }) => [kind, `${object.kind}/${object.name}`, code]),
    [
      ['policyCreated', 'policy/ids', undefined],
      ['policyChanged', 'policy/ids', undefined],
      ['policyDisabled', 'policy/ids', undefined],
      ['requestRefused', 'policy/two', 'POLICY_INVALID'],
      ['requestRefused', 'policy/none', 'NOT_FOUND'],
      ['policyDeleted', 'policy/ids', undefined],
    ],
  );
  assert.match(told[3]!.message, /"web-1\/0" is a source of policy "ids"/);
  assert.ok(told.every(({ cause }) => cause.name === 'admin'));
});

test('connections of agents, their devices, and the states of policies are events', options, async (t) => {
  const { bench, agent } = await running(t);
  await bench.must('POST', '/api/v1/policies', POLICY);
  const program = await until('the program', () => agent.programs.find(({ captures }) => captures.length > 0));
  const capture = program.captures[0]!.id;
  const status = (revision: number) =>
    agent.send({
      type: 'status',
      appliedRevision: revision,
      captures: [{ capture, device: 'tap5', state: 'capturing' }],
      problems: [],
    });
  status(program.revision);
  const active = await eventually(bench, 'policyStateChanged', 0, ({ state }) => state === 'active');
  assert.deepEqual(active.cause, { kind: 'operator', name: 'admin' });

  const second = await bench.connect(await bench.credentials('node-2'));
  second.hello('node-2');
  second.inventory(vmDevice('web-1/0', 9));
  const moving = await eventually(bench, 'interfaceMigrating');
  assert.deepEqual([moving.object.name, moving.from, moving.node], ['web-1/0', 'node-1', 'node-2']);
  agent.inventory(vmDevice('ids-1/0', 6));
  const moved = await eventually(bench, 'interfaceMigrated', moving.id);
  assert.deepEqual([moved.object.name, moved.from, moved.node], ['web-1/0', 'node-1', 'node-2']);

  agent.close();
  const gone = await eventually(bench, 'nodeDisconnected');
  assert.deepEqual(
    [gone.object, gone.cause],
    [
      { kind: 'node', name: 'node-1' },
      { kind: 'agent', name: 'node-1' },
    ],
  );
  const degraded = await eventually(bench, 'policyStateChanged', gone.id - 1, ({ reasons = [] }) =>
    reasons.some(({ code, node }) => code === 'NODE_DISCONNECTED' && node === 'node-1'),
  );
  assert.ok(degraded.id > 0);
  const kinds = (await list(bench, '?object=node/node-2')).map(({ kind }) => kind);
  assert.deepEqual(kinds, ['nodeConnected', 'interfaceMigrating', 'interfaceMigrated']);
});

test('an event of an agent is stored once and acknowledged afterwards, also across a restart', options, async (t) => {
  const { bench, agent } = await running(t);
  const { uid } = await bench.must('POST', '/api/v1/policies', POLICY);
  await until('the program', () => agent.program?.captures.some(({ policy }) => policy === uid));
  agent.send(telling('e1', repaired(1), repaired(2, { policy: uid, count: 3 })));
  agent.send(telling('e1', repaired(1), repaired(2)));
  await until('two acknowledgements', () => agent.eventsTaken.length === 2);
  assert.deepEqual(agent.eventsTaken, [2, 2]);
  const [first, second, ...more] = await list(bench, '?kind=repaired');
  assert.equal(more.length, 0);
  assert.deepEqual(
    [first?.at, first?.node, first?.cause],
    ['2026-01-01T00:00:00.000Z', 'node-1', { kind: 'agent', name: 'node-1' }],
  );
  assert.deepEqual([second?.policy, second?.count], ['ids', 3]);
  assert.deepEqual(await list(bench, '?object=policy/ids&kind=repaired'), [second]);

  const before = await last(bench);
  await bench.restart();
  const again = await bench.connect(await bench.credentials('node-1'));
  again.hello('node-1');
  again.send(telling('e1', repaired(2), repaired(3)));
  await until('the acknowledgement', () => again.eventsTaken.length === 1);
  const told = await list(bench, '?kind=repaired');
  assert.deepEqual(
    told.map(({ message }) => message),
    ['repaired 1', 'repaired 2', 'repaired 3'],
  );
  assert.ok(told[2]!.id > before, 'ids grow across the restart');
});

test('a start of the controller changes no state, and an agent that cannot enrol is reported', options, async (t) => {
  const { bench } = await running(t);
  await bench.must('PUT', '/api/v1/policies/ids', { ...POLICY, enabled: false });
  await eventually(bench, 'policyStateChanged', 0, ({ state }) => state === 'disabled');
  await bench.enroll({ node: 'node-2', secret: 'not-the-one-that-was-made', csr: 'x' });
  const refused = await eventually(bench, 'requestRefused');
  assert.deepEqual([refused.object.name, refused.cause.kind, refused.code], ['node-2', 'agent', 'UNAUTHENTICATED']);
  await bench.restart();
  const again = await bench.connect(await bench.credentials('node-1'));
  again.hello('node-1');
  again.send({ type: 'status', appliedRevision: 99, captures: [], problems: [] });
  const started = await eventually(bench, 'controllerStarted', refused.id);
  await bench.must('PATCH', '/api/v1/policies/ids', { percent: 1, enabled: true });
  const changed = await eventually(bench, 'policyStateChanged', started.id);
  assert.deepEqual([changed.previousState, changed.state === 'disabled'], ['disabled', false]);
});

test('a stream continues after its last event, without a gap and without a repetition', options, async (t) => {
  const { bench, agent } = await running(t);
  const from = await last(bench);
  const reader = await stream(bench, '?kind=repaired');
  assert.equal(reader.response.headers['content-type'], 'text/event-stream');
  assert.equal(reader.response.headers['cache-control'], 'no-store');
  let seq = 0;
  const tell = (count: number) => agent.send(telling('e1', ...Array.from({ length: count }, () => repaired(++seq))));
  tell(3);
  tell(2);
  await until('five', () => reader.messages.length === 5);
  reader.close();
  tell(4);
  await until('nine are kept', () => agent.eventsTaken.at(-1) === 9);
  const resumed = await stream(bench, `?kind=repaired&after=${from}`, { 'last-event-id': reader.lastId });
  tell(1);
  await until('five more', () => resumed.messages.length === 5);
  const all = [...reader.messages, ...resumed.messages];
  assert.deepEqual(
    all.map(({ data }) => JSON.parse(data).message),
    Array.from({ length: 10 }, (_, index) => `repaired ${index + 1}`),
  );
  assert.deepEqual(
    all.map(({ data, id }) => Number(id) === JSON.parse(data).id),
    all.map(() => true),
  );
  const fromStart = await stream(bench, '?after=0&kind=repaired');
  await until('all ten', () => fromStart.messages.length === 10);
  await bench.controller.close();
  await until('the streams end with the controller', () => resumed.ended && fromStart.ended);
});

test('a stream needs the token, and a start that is one', options, async (t) => {
  const bench = await Bench.start(t);
  const url = '/api/v1/events/stream';
  assert.equal((await bench.request('GET', url, undefined, { token: undefined })).status, 401);
  for (const query of ['?after=-1', '?after=x', '?kind=nothing', '?object=policy', '?what=1']) {
    assert.equal((await bench.get(`${url}${query}`)).status, 400, query);
  }
  const reply = await bench.request('GET', url, undefined, { headers: { 'last-event-id': 'x' } });
  assert.deepEqual([reply.status, reply.body.code], [400, 'BAD_REQUEST']);
});

test('a list tells where to go on, with and without a filter', options, async (t) => {
  const { bench, agent } = await running(t);
  agent.send(telling('e1', ...Array.from({ length: 5 }, (_, index) => repaired(index + 1))));
  await until('they are kept', () => agent.eventsTaken.length === 1);
  const newest = await bench.must('GET', '/api/v1/events?limit=2');
  assert.deepEqual([newest.items.length, newest.items[1].id, newest.oldest], [2, newest.last, 1]);
  const page = await bench.must('GET', '/api/v1/events?after=0&limit=2&kind=repaired');
  assert.equal(page.last, page.items[1].id);
  const rest = await bench.must('GET', `/api/v1/events?after=${page.last}&kind=repaired,nodeConnected`);
  assert.deepEqual([rest.items.length, rest.last], [3, newest.last]);
});

/** A log of few events, and a stream on it that is read by hand. */
async function smallLog(t: TestContext, limit: number) {
  const file = path.join(temporaryFolder(t), 'events.log');
  const log = await EventLog.open(file, { clock: Date.now, log: pino({ level: 'silent' }), limit });
  t.after(() => log.close());
  const controller = { kind: 'controller', name: 'controller' } as const;
  const append = (count: number, message = 'x') =>
    log.append(
      ...Array.from({ length: count }, () => {
        return { kind: 'controllerStarted', object: controller, message, cause: controller } as const;
      }),
    );
  return { log, append };
}

/** Reads until the text holds `wanted`. */
async function readUntil(reading: EventStream, wanted: string): Promise<string> {
  let text = '';
  reading.on('data', (chunk) => {
    text += chunk;
  });
  await until(wanted, () => text.includes(wanted));
  return text;
}

test('a stream says which events are no longer kept, and continues with the oldest kept one', options, async (t) => {
  const { log, append } = await smallLog(t, 10);
  await append(25);
  const reading = new EventStream(log, { after: 3, wanted: () => true });
  const text = await readUntil(reading, 'id: 25\n');
  assert.match(text, /^retry: 1000\nid: 3\n\nevent: gap\nid: 15\ndata: {"after":3,"resumed":15}\n\nid: 16\ndata: /);
  reading.destroy();
  const beyond = new EventStream(log, { after: 400, wanted: () => true });
  assert.match(await readUntil(beyond, 'id: 25\n'), /event: gap\nid: 15\ndata: {"after":400,"resumed":15}/);
  beyond.destroy();
});

test('a slow reader costs no memory, and is told of the gap', options, async (t) => {
  const { log, append } = await smallLog(t, 10);
  const reading = new EventStream(log, { after: 0, wanted: () => true });
  for (let round = 0; round < 30; round++) {
    await append(5, 'y'.repeat(4000));
  }
  assert.ok(reading.readableLength <= 80 * 1024, `${reading.readableLength} bytes wait`);
  assert.match(await readUntil(reading, 'id: 150\n'), /event: gap/);
  reading.destroy();
});

test('a reader that reads nothing is cut off', options, async (t) => {
  const { log, append } = await smallLog(t, 10);
  const reading = new EventStream(log, { after: 0, wanted: () => true, heartbeatMs: 20, stalledMs: 100 });
  for (let round = 0; round < 10; round++) {
    await append(5, 'z'.repeat(4000));
  }
  await until('it is cut off', () => reading.destroyed);
});

test('a quiet stream shows signs of life, and moves its reader past what it does not want', options, async (t) => {
  const { log, append } = await smallLog(t, 10);
  const reading = new EventStream(log, { after: 0, wanted: () => false, heartbeatMs: 20 });
  const alive = readUntil(reading, ': alive\n\n');
  assert.doesNotMatch(await alive, /data/);
  await append(3);
  assert.doesNotMatch(await readUntil(reading, 'id: 3\n\n'), /data/);
  reading.destroy();
});

/** A controller in its own process, because the test kills it. */
async function startProcess(t: TestContext, data: string, port: number): Promise<ChildProcess> {
  const main = path.join(import.meta.dirname, '../src/main.ts');
  const args = ['--data', data, '--listen', `127.0.0.1:${port}`, '--agent-listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, [main, ...args, '--log-level', 'error'], { stdio: 'inherit' });
  t.after(() => child.kill('SIGKILL'));
  await until(
    'it listens',
    () => {
      return new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true));
        socket.on('error', () => resolve(false));
        socket.once('connect', () => socket.destroy());
      });
    },
    { limitMs: 30_000 },
  ); // of a process that starts on a busy machine
  return child;
}

test(
  'after kill -9 every change that was acknowledged is an event, and a reader resumes by its last id',
  options,
  async (t) => {
    const data = temporaryFolder(t);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}/api/v1`;
    let child = await startProcess(t, data, port);
    const authorization = `Bearer ${readFileSync(path.join(data, 'admin-token'), 'utf8').trim()}`;
    const send = async (method: string, where: string, body?: unknown) => {
      const headers = { authorization, ...(body !== undefined && { 'content-type': 'application/json' }) };
      const reply = await fetch(`${url}${where}`, {
        method,
        headers,
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      assert.ok(reply.ok, `${method} ${where}: ${reply.status}`);
    };
    await send('PUT', '/domains/blue', {});
    await send('PUT', '/pools/east', { domain: 'blue' });
    for (const id of ['web-1/0', 'ids-1/0']) {
      await send('PUT', `/interfaces/${encodeURIComponent(id)}`, { kind: 'vm', pool: 'east' });
    }
    const query = '/events/stream?after=0&kind=policyCreated,policyChanged,controllerStarted';
    const names: string[] = [];
    const ids: number[] = [];
    let lastId = '';
    let acknowledged = 0;
    await send('POST', '/policies', POLICY);
    for (let kill = 0; kill < 3; kill++) {
      const reader = await SseReader.open(`${url}${query}`, {
        authorization,
        ...(lastId && { 'last-event-id': lastId }),
      });
      for (let change = 0; change < 8; change++) {
        await send('PATCH', '/policies/ids', { percent: ++acknowledged });
      }
      child.kill('SIGKILL');
      await until('the stream ends', () => reader.ended);
      lastId = reader.lastId;
      names.push(...reader.messages.map(({ data: text }) => JSON.parse(text).message as string));
      ids.push(...reader.messages.map(({ data: text }) => JSON.parse(text).id as number));
      child = await startProcess(t, data, port);
    }
    const reader = await SseReader.open(`${url}${query}`, { authorization, 'last-event-id': lastId });
    await until('the newest start', () => reader.messages.at(-1)?.data.includes('controllerStarted'));
    names.push(...reader.messages.map(({ data: text }) => JSON.parse(text).message as string));
    ids.push(...reader.messages.map(({ data: text }) => JSON.parse(text).id as number));
    reader.close();
    const changes = names.filter((message) => message.startsWith('the policy was changed'));
    assert.deepEqual(
      changes,
      Array.from({ length: acknowledged }, (_, index) => {
        return `the policy was changed: percent ${index === 0 ? 100 : index} to ${index + 1}`;
      }),
    );
    assert.deepEqual(
      ids,
      [...new Set(ids)].sort((a, b) => a - b),
      'ids grow, and none comes twice',
    );
    assert.equal(names.filter((message) => message === 'the controller was started').length, 4);
  },
);

async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
