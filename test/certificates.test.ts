/**
 * The certificate of a node: its agent renews it in time, a missing renewal is reported, and its
 * end does not stop copying.
 */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type AgentOptions, FakeDatapath, startAgent, stateOf } from '@mirrorplane/agent/testing';
import { until } from '@mirrorplane/base';
import type { NodeProgram } from '@mirrorplane/contract';
import pino from 'pino';
import {
  Bench,
  type Credentials,
  certificateRequest,
  type TestAgent,
  temporaryFolder,
} from '../packages/controller/test/harness.ts';

const DAY = 86_400_000;
const PROGRAM: NodeProgram = {
  node: 'node-1',
  revision: 1,
  edges: [],
  copyVlans: [],
  standby: [],
  handingOver: [],
  captures: [
    {
      id: 'p1/web-1/0',
      source: 'web-1/0',
      policy: 'p1',
      kind: 'vm',
      sourceSlot: 0,
      direction: 'all',
      delivery: 'd1',
      percent: 100,
    },
  ],
  deliveries: [{ id: 'd1', policy: 'p1', kind: 'local', interface: 'ids-1/0' }],
  terminations: [],
};

/**
 * A node that joined so many days ago, with a controller of today, and what is needed to start its
 * agent.
 */
async function joined(t: TestContext, daysAgo: number) {
  // The authority is of then, too: it is made at the first start.
  const bench = await Bench.start(t, -daysAgo * DAY);
  await bench.cluster('node-1');
  const credentials = await bench.credentials('node-1');
  bench.ahead = 0;
  await bench.restart();
  const data = temporaryFolder(t);
  store(data, credentials);
  const lines: string[] = [];
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) });
  const start = async (more: Partial<AgentOptions> = {}) => {
    const datapath = new FakeDatapath();
    const agent = await startAgent({
      node: 'node-1',
      controller: `127.0.0.1:${bench.controller.agentPort}`,
      data,
      datapath,
      log,
      timing: { backoffMin: 20, backoffMax: 100 },
      ...more,
    });
    t.after(() => agent.close());
    return { ...agent, datapath };
  };
  const node = async () => (await bench.get('/api/v1/nodes/node-1')).body;
  const codes = async () => (await node()).problems.map(({ code }: { code: string }) => code);
  const metric = async (name: string) =>
    (await bench.get('/metrics')).text.split('\n').find((line) => line.startsWith(`${name}{`));
  const daysLeft = async () => (Date.parse((await node()).certificateEndsAt) - Date.now()) / DAY;
  return { bench, data, credentials, lines, start, node, codes, metric, daysLeft };
}

function store(data: string, { key, certificate, authority }: Credentials): void {
  const tokenHash = createHash('sha256').update('a token of then').digest('hex');
  const files = { 'node.key': key, 'node.crt': certificate, 'ca.crt': authority, 'token.sha256': tokenHash };
  for (const [name, text] of Object.entries(files)) {
    writeFileSync(join(data, name), text, { mode: 0o600 });
  }
  writeFileSync(join(data, 'program.json'), JSON.stringify(PROGRAM));
}

test('an agent with an expired certificate copies as before, reports the remedy, and joins again with a token', async (t) => {
  const { bench, lines, start, node, daysLeft } = await joined(t, 40);
  const first = await start();
  assert.deepEqual(
    first.datapath.state.captures.map(({ id }) => id),
    ['p1/web-1/0/inbound', 'p1/web-1/0/outbound'],
  );
  await until('it says so', () => lines.some((line) => /has ended on .*node token node-1.*--token/.test(line)));
  await until('it tries', () => lines.some((line) => /controller cannot be reached/.test(line)));
  assert.equal((await node()).connected, false);
  await first.close();
  const again = await start({ token: await bench.joinToken('node-1') });
  assert.equal(again.datapath.applied, 1, 'before it has joined');
  await until('it is connected', async () => (await node()).connected);
  assert.ok((await daysLeft()) > 29);
});

test('a token that is refused keeps an agent neither from copying nor from connecting', async (t) => {
  const { bench, lines, start, node } = await joined(t, 10);
  const used = await bench.joinToken('node-1');
  await bench.must('POST', '/api/v1/nodes/node-1/token');
  const token = used.replace(/^mp1\.[^.]*/, `mp1.${'x'.repeat(43)}`);
  const { datapath } = await start({ token });
  assert.equal(datapath.applied, 1);
  await until('it says so', () => lines.some((line) => /the token is refused/.test(line)));
  await until('it is connected', async () => (await node()).connected);
});

test('a certificate that ends within days is a problem of the node with its date, and a metric', async (t) => {
  const { bench, credentials, node, codes, metric } = await joined(t, 26);
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  await until('the problem', async () => (await codes()).includes('CERTIFICATE_ENDING'));
  const end = new Date(new X509Certificate(credentials.certificate).validTo);
  const { certificateEndsAt, problems } = await node();
  assert.equal(certificateEndsAt, end.toISOString());
  assert.ok(problems[0].message.includes(end.toISOString()), problems[0].message);
  const line = await metric('mirrorplane_node_certificate_end_timestamp_seconds');
  assert.equal(Number(line?.split(' ').at(-1)), end.getTime() / 1000);
  await until('the event', async () => {
    const { items } = (await bench.get('/api/v1/events?kind=nodeProblemBegan')).body;
    return items.some(({ code }: { code: string }) => code === 'CERTIFICATE_ENDING');
  });
  // Known over a restart, also while the agent is away; and later it has ended.
  agent.close();
  await until('it is gone', async () => !(await node()).connected);
  bench.ahead = 5 * DAY;
  await bench.restart();
  await until('it has ended', async () => (await codes()).includes('CERTIFICATE_ENDED'));
  assert.equal((await node()).certificateEndsAt, end.toISOString());
});

test('an agent renews its certificate over its session when a third of its time is left, for the same key', async (t) => {
  const { bench, data, credentials, start, codes, daysLeft } = await joined(t, 26);
  const first = await start();
  await until('it is renewed', async () => (await daysLeft()) > 29);
  assert.equal(await events(bench, 'nodeDisconnected'), 0);
  assert.ok(!(await codes()).includes('CERTIFICATE_ENDING'));
  const stored = () => readFileSync(join(data, 'node.crt'), 'utf8');
  await until('it is stored', () => stored() !== credentials.certificate);
  const renewed = stored();
  assert.equal(readFileSync(join(data, 'node.key'), 'utf8'), credentials.key);
  const audit = (await bench.get('/api/v1/audit')).body.items;
  assert.ok(
    audit.some(({ action, actor }: { action: string; actor: string }) => `${action} ${actor}` === 'renew node:node-1'),
  );
  await first.close();
  await start();
  await until('it is connected with it', async () => (await daysLeft()) > 29);
  assert.equal(stored(), renewed, 'and not renewed again');
});

test('a certificate with time enough is left alone', async (t) => {
  const { data, credentials, start, node } = await joined(t, 15);
  await start();
  await until('it is connected', async () => (await node()).connected);
  assert.equal(readFileSync(join(data, 'node.crt'), 'utf8'), credentials.certificate);
});

test('the agent of a revoked node stops to copy, also when it was away meanwhile', async (t) => {
  const { bench, start } = await joined(t, 1);
  await bench.must('POST', '/api/v1/nodes/node-1/revoke');
  const { datapath } = await start();
  await until('it has stopped', () => datapath.applied > 1 && datapath.state.captures.length === 0);
  await assert.rejects(bench.connect(bench.credentialsOf('node-1')), /status 401/);
});

test('certificates of one moment are due at moments of their own, before three quarters of their life', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const hours = new Set<number>();
  for (let i = 0; i < 8; i++) {
    const { certificate } = await bench.credentials('node-1');
    const from = Date.parse(new X509Certificate(certificate).validFrom);
    const life = Date.parse(new X509Certificate(certificate).validTo) - from;
    const at = (share: number) => stateOf(certificate, new Date(from + share * life));
    assert.deepEqual([at(0.66), at(0.751), at(1)], ['valid', 'due', 'ended']);
    let hour = 0;
    while (stateOf(certificate, new Date(from + (hour * DAY) / 24)) === 'valid') {
      hour++;
    }
    hours.add(hour);
  }
  // 60 hours are possible.
  assert.ok(hours.size > 3, `${[...hours]}`);
});

/** Sends a request for a certificate over the session of a test agent. */
async function ask(agent: TestAgent, name: string): Promise<void> {
  agent.send({ type: 'renew', csr: (await certificateRequest(name)).csr });
}

test('a certificate is renewed for the name of the session alone, and not without end', async (t) => {
  const { bench, credentials, metric } = await joined(t, 1);
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  for (let i = 1; i <= 5; i++) {
    await ask(agent, 'node-1');
    await until('a certificate', () => agent.certificates.length === i);
  }
  await ask(agent, 'node-1');
  await until('the refusal', async () => (await refused(bench, 'tooOften')) === 1);
  assert.deepEqual([agent.certificates.length, agent.closed], [5, undefined]);
  assert.ok(await metric('mirrorplane_node_certificate_end_timestamp_seconds'));
  agent.close();
  await bench.must('DELETE', '/api/v1/nodes/node-1?dead=true');
  await bench.must('PUT', '/api/v1/nodes/node-1', { pool: 'east' });
  const other = await bench.connect(await bench.credentials('node-1'));
  other.hello('node-1');
  await ask(other, 'node-2');
  await until('the end', () => other.closed?.code === 4000);
  assert.equal(other.certificates.length, 0);
});

/** How many requests on the agents' port were refused for this reason. */
async function refused(bench: Bench, reason: string): Promise<number> {
  const { text } = await bench.get('/metrics');
  const line = text.split('\n').find((one) => one.includes('requests_refused') && one.includes(`reason="${reason}"`));
  return Number(line?.split(' ').at(-1) ?? 0);
}

async function events(bench: Bench, kind: string): Promise<number> {
  return (await bench.get(`/api/v1/events?kind=${kind}`)).body.items.length;
}
