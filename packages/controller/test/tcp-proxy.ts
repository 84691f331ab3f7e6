/** A way to a TCP port that a test can cut, or on which bytes get lost. */
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import type { TestContext } from 'node:test';

/** One connection through the proxy, as a test treats it. */
export interface Passing {
  /** Bytes of the client go to the server. Left out: all do. */
  sends?(bytes: Buffer): void;
  /** Whether these bytes of the server go to the client. Left out: all do. */
  answers?(bytes: Buffer): boolean;
}

export interface Proxy {
  port: number;
  /** Ends all connections. */
  cut(): void;
}

/**
 * Starts it. It ends with the test.
 * @param accepts called for each connection. Undefined: it is refused
 */
export async function startTcpProxy(
  t: TestContext,
  { host, port }: { host: string; port: number },
  accepts: () => Passing | undefined,
): Promise<Proxy> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const passing = accepts();
    if (passing === undefined) {
      near.destroy();
      return;
    }
    const far = connect(port, host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy()).on('close', () => other.destroy());
      socket.on('close', () => sockets.delete(socket));
    }
    near.on('data', (bytes: Buffer) => {
      passing.sends?.(bytes);
      far.write(bytes);
    });
    far.on('data', (bytes: Buffer) => (passing.answers?.(bytes) ?? true) && near.write(bytes));
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
  return { port: (server.address() as { port: number }).port, cut };
}
