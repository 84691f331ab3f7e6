/** Connections to other controllers. */
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';

/** Milliseconds that TCP may take. The kernel of a host that is there answers at once. */
const CONNECT_MS = 400;

/** Connects, and gives up soon where nobody is. */
export function connectSoon(options: ConnectionOptions & { path?: string | undefined }): TLSSocket {
  // `path` is that of the request: `connect` would take it for a unix socket.
  const { path: _, ...rest } = options;
  const socket = connect(rest);
  const where = `${options.host}:${options.port}`;
  const timer = setTimeout(() => socket.destroy(new Error(`${where} does not answer`)), CONNECT_MS);
  for (const event of ['connect', 'close'] as const) {
    socket.once(event, () => clearTimeout(timer));
  }
  socket.setNoDelay(true);
  return socket;
}
