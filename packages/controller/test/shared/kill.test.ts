/**
 * A controller is killed in the middle of many writes, and another one starts with only the key of
 * the cluster: all that was acknowledged is there, once.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import type { AgentEvent, CounterReport } from '@mirrorplane/contract';
import { filesOf, verdictOf } from '../audit-log.ts';
import type { Bench, Credentials, TestAgent } from '../harness.ts';
import { type Browser, by, makeUser, signIn } from '../people-client.ts';
import { type EtcdMembers, startEtcd } from '../store/etcd-members.ts';
import { type ControllerProcess, startProcess } from './controller-process.ts';
import { newData } from './controllers.ts';

/** Number of kills. */
const KILLS = Number(process.env.KILLS ?? 2);
const WRITERS = 4;
/** A user has 16 sessions: the ones that are not used for longest end. One may be without an answer. */
const KEPT_SESSIONS = 14;
const COMMAND = path.join(import.meta.dirname, '../../../../bin/mirrorplane');
const POLICY = { sources: ['web-1/0'], destination: 'ids-1/0', enabled: false };

/** All that was acknowledged, over all controllers. */
class Acknowledged {
  /** Names of policies, and of those of which no answer came. */
  readonly policies = new Set<string>();
  readonly unsure = new Set<string>();
  readonly browsers: Browser[] = [];
  /** Packets of the last reading of counters that was saved. */
  packets = 0;
  /** Number of the last event of the agent that was taken. */
  event = 0;
}

/** The agent of node-1: it tells of events and counters, and sends again what was not acknowledged. */
class Node {
  readonly #all: Acknowledged;
  readonly #policy: string;
  agent: TestAgent | undefined;
  /** What it has told of so far. */
  events = 0;
  #packets = 0;

  constructor(all: Acknowledged, policy: string) {
    this.#all = all;
    this.#policy = policy;
  }

  connected(agent: TestAgent): void {
    this.agent = agent;
    agent.hello('node-1');
    agent.socket.on('error', () => undefined);
  }

  /** Tells of three more events, and of more packets. */
  tell(): void {
    const { agent } = this;
    if (agent?.socket.readyState !== agent?.socket.OPEN) {
      return;
    }
    this.events += 3;
    const at = new Date().toISOString();
    const events = Array.from({ length: this.events - this.#all.event }, (_, index): AgentEvent => {
      const seq = this.#all.event + index + 1;
      return { seq, at, kind: 'repaired', cause: 'agent', message: `repaired ${seq}`, interface: 'web-1/0' };
    });
    agent!.send({ type: 'events', epoch: 'e', events });
    this.#packets += 10;
    const report = { epoch: 'c', ...reportOf(this.#policy, this.#packets) };
    agent!.send({ type: 'counters', reading: { run: 'r', readAt: this.#packets }, report });
  }

  /** Notes what was acknowledged. */
  note(): void {
    this.#all.event = Math.max(this.#all.event, this.agent?.eventsTaken.at(-1) ?? 0);
    this.#all.packets = Math.max(this.#all.packets, this.agent?.countersSaved.at(-1)?.readAt ?? 0);
  }
}

function reportOf(policy: string, packets: number): Omit<CounterReport, 'epoch'> {
  const zero = { packets: 0, bytes: 0 };
  const matched = { packets, bytes: packets * 100 };
  const counts = { matched, sampledOut: zero, copied: matched, truncated: zero, dropped: {}, skipped: {} };
  return {
    captures: [{ policy, source: 'web-1/0', direction: 'inbound', counts }],
    deliveries: [],
    terminations: [],
    peers: [],
    unknownErspan: 0,
  };
}

/** Writes policies one after the other until the controller is gone. */
async function writePolicies(bench: Bench, round: number, writer: number, all: Acknowledged): Promise<void> {
  for (let number = 0; ; number++) {
    const name = `p-${round}-${writer}-${number}`;
    const source = { kind: 'vm', pool: 'east' };
    if (!(await bench.put(`/api/v1/interfaces/${name}`, source).catch(() => undefined))) {
      return;
    }
    all.unsure.add(name);
    const policy = { ...POLICY, name, sources: [name] };
    const reply = await bench.put(`/api/v1/policies/${name}`, policy).catch(() => undefined);
    if (reply === undefined) {
      return;
    }
    assert.equal(reply.status, 201, reply.text);
    all.unsure.delete(name);
    all.policies.add(name);
  }
}

async function signInOften(bench: Bench, password: string, all: Acknowledged): Promise<void> {
  for (;;) {
    const browser = await signIn(bench, { user: 'ann', password }).catch((error: Error) => {
      assert.doesNotMatch(error.message, /expected|status/i);
    });
    if (!browser) {
      return;
    }
    all.browsers.push(browser);
    await delay(300);
  }
}

/** Ends the lease of a killed controller, so that the next one need not wait for its end. */
async function endLeases({ ctl }: EtcdMembers): Promise<void> {
  for (const [lease] of (await ctl('lease', 'list')).matchAll(/^[0-9a-f]{8,}$/gm)) {
    await ctl('lease', 'revoke', lease);
  }
}

/** Entries and lines of the audit log. */
function auditOf(data: string): { seq: number; resource?: string; outcome?: string }[] {
  const text = filesOf(data).map((file) => readFileSync(file, 'utf8'));
  return text
    .join('')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

async function assertAllThere(
  { bench, address }: ControllerProcess,
  all: Acknowledged,
  sentEvents: number,
): Promise<void> {
  const names = new Set<string>();
  for (let next = ''; ; ) {
    const { body } = await bench.get(`/api/v1/policies?limit=1000${next}`);
    for (const { name } of body.items as { name: string }[]) {
      names.add(name);
    }
    if (!body.continue) {
      break;
    }
    next = `&continue=${encodeURIComponent(body.continue)}`;
  }
  const lines = auditOf(bench.data);
  assert.deepEqual(
    lines.map(({ seq }) => seq),
    lines.map((_, index) => index + 1),
  );
  const done = lines.flatMap(({ outcome, resource }) => (outcome === 'done' && resource ? [resource] : []));
  const events: { kind: string; message: string; object: { name: string } }[] = [];
  for (let after = 0; ; ) {
    const { body } = await bench.get(`/api/v1/events?limit=1000&after=${after}`);
    events.push(...body.items);
    after = body.last;
    if (body.items.length < 1000) {
      break;
    }
  }
  const created = events.filter(({ kind }) => kind === 'policyCreated').map(({ object }) => object.name);
  for (const name of all.policies) {
    assert.ok(names.has(name), `the policy ${name} was acknowledged, and is not there`);
  }
  for (const name of [...all.policies, ...all.unsure]) {
    const expected = names.has(name) ? 1 : 0;
    assert.equal(done.filter((one) => one === `policies/${name}`).length, expected, `audit entries of ${name}`);
    assert.equal(created.filter((one) => one === name).length, expected, `events of ${name}`);
  }
  const repaired = events.filter(({ kind }) => kind === 'repaired').map(({ message }) => message);
  assert.equal(new Set(repaired).size, repaired.length, 'an event of the agent is there twice');
  for (let seq = 1; seq <= all.event; seq++) {
    assert.ok(repaired.includes(`repaired ${seq}`), `the event ${seq} was acknowledged, and is not there`);
  }
  assert.ok(repaired.length <= sentEvents);
  assert.equal(events.filter(({ kind }) => kind === 'eventsLost').length, 0);
  const totals = (await bench.get('/api/v1/policies/counted/status')).body.totals;
  assert.ok(totals.matched.packets >= all.packets, `${totals.matched.packets} packets after ${all.packets}`);
  for (const browser of all.browsers.slice(-KEPT_SESSIONS)) {
    assert.equal((await by(bench, browser, 'GET', '/api/v1/session')).status, 200, 'a session has ended');
  }
  assert.equal(verdictOf(bench.data).fault, undefined);
  const verify = [
    '--url',
    `http://${address}`,
    '--token-file',
    path.join(bench.data, 'admin-token'),
    'audit',
    'verify',
  ];
  await promisify(execFile)(COMMAND, verify);
  await promisify(execFile)(COMMAND, [
    ...['audit', 'verify', ...filesOf(bench.data)],
    ...['--authority', path.join(bench.data, 'ca.crt')],
  ]);
}

/** The agent connects again with the certificate of before. */
async function connect({ bench }: ControllerProcess, credentials: Credentials, node: Node): Promise<void> {
  node.connected(await bench.connect(credentials));
  await until('the agent gets its program', () => node.agent?.program, { limitMs: 30_000 });
}

/** A user who signs in, a node, and a policy that is counted. */
async function fill(first: ControllerProcess, all: Acknowledged) {
  const { bench } = first;
  const password = await makeUser(bench, 'ann', 'admin');
  await bench.cluster('node-1');
  await bench.declare('web-1/0', 'ids-1/0');
  const credentials = await bench.credentials('node-1');
  const { uid } = await bench.must('POST', '/api/v1/policies', { name: 'counted', ...POLICY, enabled: true });
  const node = new Node(all, uid);
  await connect(first, credentials, node);
  node.agent!.inventory({
    ...{ name: 'tap7', ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true, linkType: 'tun' },
    identity: { kind: 'vm', id: 'web-1/0', name: 'web-1/0', provider: 'alias' },
  });
  return { password, credentials, node };
}

async function run(t: TestContext): Promise<void> {
  const etcd = await startEtcd(t, 3);
  const all = new Acknowledged();
  let data = newData(t);
  let controller = await startProcess(t, data, etcd.endpoints);
  const { password, credentials, node } = await fill(controller, all);
  for (let round = 1; round <= KILLS; round++) {
    const { bench } = controller;
    const writers = [
      ...Array.from({ length: WRITERS }, (_, writer) => writePolicies(bench, round, writer, all)),
      signInOften(bench, password, all),
    ];
    const telling = setInterval(() => node.tell(), 50).unref();
    const before = all.packets;
    await until(
      'counters are saved',
      () => {
        node.note();
        return all.packets > before;
      },
      { limitMs: 60_000, pauseMs: 10 },
    );
    await delay(Math.random() * 500);
    await controller.kill();
    await Promise.all(writers);
    clearInterval(telling);
    node.note();
    await endLeases(etcd);
    data = newData(t, data);
    controller = await startProcess(t, data, etcd.endpoints);
    await assertAllThere(controller, all, node.events);
    await connect(controller, credentials, node);
    t.diagnostic(
      `kill ${round}: ${all.policies.size} policies, ${all.unsure.size} without an answer, ${all.browsers.length} sessions, ${all.event} events, ${all.packets} packets`,
    );
  }
}

test('a controller that has only the key of the cluster has all that the killed one had acknowledged', run);
