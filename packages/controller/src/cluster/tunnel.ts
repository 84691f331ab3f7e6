/** Hands connections of clients on to the leader, byte for byte. */
import { request } from 'node:https';
import type { Duplex } from 'node:stream';
import type { ConnectionOptions, TLSSocket } from 'node:tls';
import { parseTcp } from '../listen.ts';
import { connectSoon } from './connect.ts';
import { CLIENT_HEADER, TUNNEL_PATH, TUNNEL_PROTOCOL, type TunnelledClient } from './tunnelled.ts';

/** Milliseconds that the leader has to accept a tunnel. */
const TUNNEL_MS = 5000;

/**
 * Opens a tunnel.
 * @param leader HOST:PORT of its port for agents
 * @param signal ends an attempt: another one leads by now
 * @throws Error if the leader does not answer, or refuses, or the signal comes first
 */
export async function openTunnel(
  leader: string,
  tls: ConnectionOptions,
  client: TunnelledClient,
  signal?: AbortSignal,
): Promise<TLSSocket> {
  const { host, port } = parseTcp(leader);
  // A signal that came before has no listener here.
  signal?.throwIfAborted();
  return new Promise((resolve, reject) => {
    const call = request({
      ...tls,
      host,
      port,
      path: TUNNEL_PATH,
      createConnection: () => connectSoon({ ...tls, host, port }),
      headers: {
        connection: 'Upgrade',
        upgrade: TUNNEL_PROTOCOL,
        [CLIENT_HEADER]: JSON.stringify(client),
      },
    });
    const end = () => call.destroy(new Error(`${leader} does not lead any more`));
    const timer = setTimeout(() => call.destroy(new Error(`${leader} does not answer`)), TUNNEL_MS);
    const settled = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', end);
    };
    signal?.addEventListener('abort', end);
    call.once('upgrade', (_response, socket, head) => {
      settled();
      if (head.length > 0) {
        socket.unshift(head);
      }
      resolve(socket as TLSSocket);
    });
    call.once('response', (response) => {
      response.resume();
      call.destroy(new Error(`${leader} refused with HTTP ${response.statusCode}`));
    });
    call.once('error', (error) => {
      settled();
      reject(error);
    });
    call.end();
  });
}

/** Joins two connections: what comes by one leaves by the other, and both end together. */
export function join(one: Duplex, other: Duplex): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.pipe(to);
    from.once('error', () => to.destroy());
    from.once('close', () => endSoon(to));
  }
}

/** Ends a connection when what was written has gone. */
function endSoon(socket: Duplex & { destroySoon?: () => void }): void {
  if (socket.destroySoon) {
    socket.destroySoon();
  } else {
    socket.destroy();
  }
}
