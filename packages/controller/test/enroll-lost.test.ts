/** An agent that joins over a connection that is cut before the answer comes. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { enroll } from '@mirrorplane/agent/testing';
import { until } from '@mirrorplane/base';
import { Bench, temporaryFolder } from './harness.ts';
import { startTcpProxy } from './tcp-proxy.ts';

/**
 * A way to the agents' port. While `isMute`, nothing comes back after the second flight of a client,
 * which has its request: the handshake succeeds, and the answer is lost.
 */
async function startProxy(t: TestContext, port: number) {
  const state = { isMute: true };
  const { cut, ...proxy } = await startTcpProxy(t, { host: '127.0.0.1', port }, () => {
    let isHeard = false;
    let isAsked = false;
    return {
      sends: () => {
        isAsked ||= isHeard;
      },
      answers: () => {
        isHeard = true;
        return !(isAsked && state.isMute);
      },
    };
  });
  return { state, cut, address: `127.0.0.1:${proxy.port}` };
}

test('an agent whose answer got lost joins with the same token, also after a restart of both', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const token = await bench.joinToken('node-1');
  const { state, cut, address } = await startProxy(t, bench.controller.agentPort);
  const data = temporaryFolder(t);
  const join = (folder: string, controller = address) => enroll({ node: 'node-1', controller, token, data: folder });
  const enrolments = async () => {
    const { items } = (await bench.get('/api/v1/audit?limit=20')).body as {
      items: { action: string; outcome: string; detail?: string }[];
    };
    return items.filter(({ action, outcome }) => action === 'enroll' && outcome === 'done');
  };
  const lost = assert.rejects(join(data), /hang up|ECONNRESET|closed/);
  await until('the controller has enrolled it', async () => (await enrolments()).length === 1);
  cut();
  await lost;
  assert.ok(!existsSync(path.join(data, 'node.crt')));
  state.isMute = false;
  await assert.rejects(join(temporaryFolder(t)), /used or expired/, 'another key gets nothing');
  await bench.restart();
  const controller = `127.0.0.1:${bench.controller.agentPort}`;
  const credentials = await join(data, controller);
  assert.ok(!existsSync(path.join(data, 'joining.json')), 'the key is in its own file now');
  assert.match((await enrolments())[0]!.detail!, /once more with the same key/);
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  await until('it is connected', async () => (await bench.get('/api/v1/nodes/node-1')).body.connected);
});
