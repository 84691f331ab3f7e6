/** An agent that joins over a connection that is cut before the answer comes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { enroll } from '@mirrorplane/agent/testing';
import { until } from '@mirrorplane/base';
import { Bench, temporaryFolder } from './harness.ts';

/**
 * A way to the agents' port. While `isMute`, nothing comes back after the second flight of a client,
 * which has its request: the handshake succeeds, and the answer is lost.
 */
async function startProxy(t: TestContext, port: number) {
  const sockets = new Set<Socket>();
  const state = { isMute: true };
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    let isHeard = false;
    let isAsked = false;
    near.on('data', (bytes) => {
      isAsked ||= isHeard;
      far.write(bytes);
    });
    far.on('data', (bytes) => {
      isHeard = true;
      if (!isAsked || !state.isMute) {
        near.write(bytes);
      }
    });
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => {
    for (const socket of sockets) {
      socket.destroy();
    }
  };
  t.after(() => {
    cut();
    server.close();
  });
  return { state, cut, address: `127.0.0.1:${(server.address() as { port: number }).port}` };
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
