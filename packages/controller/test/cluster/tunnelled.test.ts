/** Which connections count as those of a client of another controller. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { createServer, type Socket } from 'node:net';
import test from 'node:test';
import type { TLSSocket } from 'node:tls';
import { TrustedProxies } from '../../src/auth/proxies.ts';
import { Tunnels } from '../../src/cluster/tunnelled.ts';

const ends = (localPort: number) => ({
  ...{ remoteAddress: '192.0.2.2', remotePort: 40_000 },
  ...{ localAddress: '192.0.2.1', localPort },
});

test('a client that has the address and port of a tunnel, at another port of the leader, is no client of the tunnel', () => {
  const tunnels = new Tunnels();
  tunnels.serve('api', createServer());
  const socket = Object.assign(new EventEmitter(), ends(7071), { write: () => true });
  const client = { to: 'api', address: '198.51.100.7', byTls: true, proxies: [], proxyHeader: 'x-forwarded' } as const;
  tunnels.accept(socket as unknown as TLSSocket, { ...client, proxies: ['192.0.2.2'] }, Buffer.alloc(0));
  const own = new TrustedProxies([], 'x-forwarded');
  assert.equal(tunnels.addressOf(ends(7071)), '198.51.100.7');
  assert.equal(tunnels.addressOf(ends(7070)), '192.0.2.2');
  const direct = { ...ends(7070), encrypted: false } as unknown as Socket;
  assert.equal(tunnels.peerOf(direct, own).proxies, own);
  assert.notEqual(tunnels.peerOf(ends(7071) as never, own).proxies, own);
  socket.emit('close');
  assert.equal(tunnels.size, 0);
});
