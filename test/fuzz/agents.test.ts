/**
 * An agent with a valid certificate sends what none should. It is cut off with a reason, and
 * neither the agents of other nodes nor operators notice.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { seeded } from '../chaos/random.ts';
import { AgentConnection, enrol, postToAgents } from './agent.ts';
import { fuzzAgents } from './hostile.ts';
import { messageOf } from './messages.ts';
import { readApi } from './openapi.ts';
import { Target } from './target.ts';
import { twisted } from './values.ts';
import { Witness } from './witness.ts';

const SEED = 1;
/** Messages of the hostile agent. */
const MESSAGES = 1500;

let target: Target;
let honest: AgentConnection;
const join = () => enrol(target, 'node-2');
before(async () => {
  target = await Target.start();
  honest = await AgentConnection.open(target.agentPort, '/sync', await enrol(target, 'node-1'));
  const hello = { type: 'hello', protocol: 1, node: 'node-1', agentVersion: '0.1.0', kernel: '6.12.0' };
  honest.send(JSON.stringify(hello));
});
after(async () => {
  honest?.end();
  await target?.close();
});

test('a hostile agent is cut off with a reason, and nobody else notices', async (t) => {
  const api = readApi();
  const witness = new Witness(target);
  const memory = target.memory;
  const tally = await fuzzAgents(target, api, join, { seed: SEED, goesOn: (index) => index < MESSAGES });
  const { failures, ...seen } = await witness.end();
  assert.deepEqual(tally.failures, []);
  assert.deepEqual(failures, []);
  assert.deepEqual(target.errors, []);
  assert.ok(honest.isOpen, 'the agent of another node stays');
  const node = (await target.must('GET', '/api/v1/nodes/node-1')) as { connected: boolean; problems: unknown[] };
  assert.deepEqual([node.connected, node.problems], [true, []]);
  t.diagnostic(`messages: ${JSON.stringify([...tally.kinds])}, closed: ${JSON.stringify([...tally.codes])}`);
  t.diagnostic(`others: ${JSON.stringify(seen)}; memory: ${memory >> 20} MB before, ${target.memory >> 20} MB after`);
});

test('the node can be served again', async () => {
  const agent = await AgentConnection.open(target.agentPort, '/sync', await join());
  agent.send(JSON.stringify(messageOf('hello', readApi(), seeded(1))));
  await until('it is connected', async () => {
    const node = (await target.must('GET', '/api/v1/nodes/node-2')) as { connected: boolean };
    return node.connected && agent.isOpen;
  });
  agent.end();
});

test('requests to join of any form are refused', async () => {
  const random = seeded(SEED);
  for (let count = 0; count < 150; count++) {
    const body = JSON.stringify(twisted({ node: 'node-1', secret: 'x'.repeat(40), csr: 'x' }, random)) ?? '';
    const answer = await postToAgents(target.agentPort, random.pick(['/enroll', '/renew', '/x']), body).catch(
      (error: NodeJS.ErrnoException) => error,
    );
    // The connection is ended while a body that is too large is on its way.
    const isRefused = answer instanceof Error ? body.length > 8192 : answer.status >= 400 && answer.status < 500;
    assert.ok(isRefused, `${body.slice(0, 300)}: ${JSON.stringify(answer)} ${answer}`);
  }
  assert.deepEqual(target.errors, []);
});
