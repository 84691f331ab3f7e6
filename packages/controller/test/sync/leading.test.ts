/** What agents are told by a controller that leads others, and what waits while it is not sure. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { emptyProgram, LeaderMessage, MAX_CONTROLLERS, SYNC_PROTOCOL } from '@mirrorplane/contract';
import { programDigest } from '@mirrorplane/contract/program-digest';
import { LiveNodes } from '../../src/reports/live-nodes.ts';
import type { Services } from '../../src/services.ts';
import { AgentSessions } from '../../src/sync/agent-sessions.ts';

type Planned = Services['planning']['planned'] & object;

const TERM = 5;

/** Sessions of a leader. */
function leader(t: TestContext, addresses: string[] = ['c1:7071']) {
  const nothing = () => undefined;
  const all = addresses.map((agents) => ({ agents }));
  const hold = { prove: async () => true, onSure: (listener: () => void) => (state.sure = listener) };
  const leadership = {
    term: TERM,
    isSure: true,
    hold,
    controllers: { self: all.at(-1), all: () => all, onChange: nothing },
  };
  const state = { sure: nothing as () => void, planned: nothing as (result: Planned) => void };
  const planning = {
    planned: undefined as Planned | undefined,
    onPlanned: (listener: typeof state.planned) => (state.planned = listener),
    request: nothing,
    requestAfterGrace: nothing,
    waitDuring: nothing,
  };
  const stored = { value: { revision: 0, digest: '' } };
  const records: Record<string, object> = { nodes: { value: {} }, programs: stored };
  const services = {
    leadership,
    live: new LiveNodes(Date.now),
    view: { get: (folder: string) => records[folder], all: () => new Map() },
    planning,
    nodeParts: { learn: nothing },
    observer: { connected: nothing, disconnected: nothing, rejected: nothing },
    tests: { joined: nothing },
    looks: Object.assign(new EventEmitter(), { running: () => [] }),
    authority: { trusted: [], onChange: () => nothing },
    log: { info: nothing, warn: nothing },
    clock: Date.now,
  };
  const sessions = new AgentSessions(services as unknown as Services, nothing);
  t.after(() => sessions.close());
  const connect = () => {
    const sent: { type: string }[] = [];
    const closed: number[] = [];
    const socket = Object.assign(new EventEmitter(), {
      ...{ readyState: 1, OPEN: 1, terminate: nothing, pause: nothing, resume: nothing },
      ping: () => queueMicrotask(() => socket.emit('pong')),
      close: (code: number) => closed.push(code),
      send: (text: string) => sent.push(JSON.parse(text)),
    });
    const certificate = { uid: 'u', generation: 0, number: 0 };
    const peer = { node: 'node-1', address: '192.0.2.1', certificate, certificateEndsAt: '2100-01-01T00:00:00Z' };
    sessions.begin(socket as never, peer);
    t.after(() => socket.emit('close'));
    const say = (message: object) => socket.emit('message', Buffer.from(JSON.stringify(message)), false);
    const hello = (term: number, more: object = {}) =>
      say({
        ...{ type: 'hello', protocol: SYNC_PROTOCOL, node: 'node-1', agentVersion: '1', kernel: '6.1' },
        ...{ appliedRevision: 0, term, ...more },
      });
    return { say, hello, sent, closed };
  };
  const plan = (revision: number) => {
    const program = emptyProgram('node-1', revision);
    stored.value = { revision, digest: programDigest(program) };
    const programs = new Map([['node-1', program]]);
    planning.planned = { programs } as unknown as Planned;
    state.planned(planning.planned);
  };
  return { connect, plan, leadership, sure: () => state.sure() };
}

test('of more controllers than an agent takes, it is told as many as it takes, and the leader is one of them', (t) => {
  const addresses = Array.from({ length: 20 }, (_, number) => `c${String(number).padStart(2, '0')}:7071`);
  const { connect } = leader(t, ['c00:7071', ...addresses]);
  const { hello, sent } = connect();
  hello(0);
  const told = LeaderMessage.parse(sent.find(({ type }) => type === 'leader'));
  assert.equal(told.controllers.length, MAX_CONTROLLERS);
  assert.equal(new Set(told.controllers).size, MAX_CONTROLLERS);
  assert.ok(told.controllers.includes('c19:7071'));
});

test('a program that an agent asks for waits until the controller is sure that it leads', (t) => {
  const { connect, plan, leadership, sure } = leader(t);
  const { say, hello, sent } = connect();
  hello(0, { takesDifferences: true });
  plan(1);
  const programs = () => sent.filter(({ type }) => type === 'program').length;
  assert.equal(programs(), 1);
  leadership.isSure = false;
  say({ type: 'programWanted' });
  assert.equal(programs(), 1);
  leadership.isSure = true;
  sure();
  assert.equal(programs(), 2);
  sure();
  assert.equal(programs(), 2);
});

test('of two agents that know a later leader and come at once, the first one keeps the node', async (t) => {
  const { connect, leadership } = leader(t);
  const answers: (() => void)[] = [];
  leadership.hold.prove = () => new Promise<true>((resolve) => answers.push(() => resolve(true)));
  const [one, other] = [connect(), connect()];
  one.hello(TERM + 1);
  other.hello(TERM + 1);
  for (const answer of answers) {
    answer();
  }
  for (let turns = 0; turns < 20; turns++) {
    await turn();
  }
  assert.deepEqual([one.closed, other.closed], [[], [4006]]);
});
