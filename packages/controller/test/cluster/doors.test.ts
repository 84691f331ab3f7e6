/** A connection that is being handed on while the leader changes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import test, { type TestContext } from 'node:test';
import type { TLSSocket } from 'node:tls';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { Doors } from '../../src/cluster/doors.ts';
import { openTunnel } from '../../src/cluster/tunnel.ts';

/** A server that keeps what it is told. */
async function listener(t: TestContext) {
  const told: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => told.push(bytes.toString()));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    for (const socket of sockets) {
      socket.destroy();
    }
    server.close();
  });
  return { told, port: (server.address() as AddressInfo).port };
}

test('a tunnel that opens after its leader was followed by another one is not used', async (t) => {
  const [former, present] = [await listener(t), await listener(t)];
  let asked = 0;
  const doors: Doors = new Doors({
    trustedProxies: [],
    proxyHeader: 'x-forwarded',
    log: createLog('controller', 'silent'),
    tunnel: async () => {
      const socket = connect(asked++ === 0 ? former.port : present.port, '127.0.0.1');
      await once(socket, 'connect');
      if (asked === 1) {
        // The leader changes in the moment in which the tunnel to the former one is open.
        doors.cut();
      }
      return socket as TLSSocket;
    },
  });
  t.after(() => doors.close());
  const port = await doors.openAgents({ host: '127.0.0.1', port: 0 });
  const client = connect(port, '127.0.0.1');
  client.write('a request');
  await until('the present leader has it', () => present.told.join('') === 'a request');
  assert.deepEqual([former.told, asked], [[], 2]);
  client.destroy();
});

test('a tunnel is not opened where the signal has come before', async (t) => {
  const { port } = await listener(t);
  const client = { to: 'agents', address: '127.0.0.1', byTls: false, proxies: [], proxyHeader: 'x-forwarded' } as const;
  const opening = openTunnel(`127.0.0.1:${port}`, {}, { ...client, proxies: [] }, AbortSignal.abort());
  await assert.rejects(opening, { name: 'AbortError' });
});
