/** A way to etcd that can be cut, or lose all answers. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** `deaf`: requests arrive, and no answer comes back. */
type Way = 'open' | 'cut' | 'deaf';

/** @param target address of a member of etcd */
export async function startProxy(t: TestContext, target: string) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let way: Way = 'open';
  const server = createServer((near) => {
    if (way === 'cut') {
      near.destroy();
      return;
    }
    const far = connect(Number(port), hostname);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    near.pipe(far);
    far.on('data', (bytes) => way !== 'deaf' && near.write(bytes));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const be = (now: Way) => {
    way = now;
    // A deaf connection is lost for good: bytes of it are missing.
    for (const socket of now === 'deaf' ? [] : sockets) {
      socket.destroy();
    }
  };
  t.after(() => {
    be('cut');
    server.close();
  });
  return { url: `http://127.0.0.1:${(server.address() as { port: number }).port}`, be };
}
