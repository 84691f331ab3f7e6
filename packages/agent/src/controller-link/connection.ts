/** What both connections to the controller have in common: TLS, signs of life, reasons. */
import type { IncomingMessage } from 'node:http';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { CONTROLLER_NAME } from '@mirrorplane/contract';
import type { WebSocket } from 'ws';

/**
 * The certificate of this node, its key, and the authority of the controller's certificate, all
 * PEM.
 */
export interface Credentials {
  key: string;
  certificate: string;
  authority: string;
}

/** Milliseconds for TCP, TLS and the upgrade together. */
export const HANDSHAKE_TIMEOUT_MS = 10_000;

/**
 * The least of these milliseconds where there are other controllers: one that hangs is left soon.
 * After each round through all of them it is longer, because the one that leads may be busy.
 */
export const LEAST_HANDSHAKE_MS = 2000;

/** Milliseconds for TCP alone, where there are other controllers. The kernel of a host answers at once. */
const CONNECT_TIMEOUT_MS = 500;

/**
 * Unanswered pings are counted, not seconds: an agent that was busy itself must not give up its
 * controller.
 */
const MAX_UNANSWERED = 3;

/** TLS as the controller's agents' port wants it. */
export function tlsOf({ key, certificate, authority }: Credentials): ConnectionOptions {
  return { key, cert: certificate, ca: authority, servername: CONTROLLER_NAME, minVersion: 'TLSv1.3' };
}

/** As `tls.connect`, and gives up soon where no host is. */
export function connectSoon(options: ConnectionOptions & { path?: string | undefined }): TLSSocket {
  // `path` is that of the request: `connect` would take it for a unix socket.
  const { path: _, ...rest } = options;
  const socket = connect(rest);
  const timer = setTimeout(() => socket.destroy(new Error('the host does not answer')), CONNECT_TIMEOUT_MS);
  for (const event of ['connect', 'close'] as const) {
    socket.once(event, () => clearTimeout(timer));
  }
  return socket;
}

/**
 * Pings from when the connection is open, and ends it if nothing comes any more.
 * @param intervalMs asked before each ping
 * @returns to call when `intervalMs` has changed: the next ping comes after the new one
 */
export function keepAlive(socket: WebSocket, intervalMs: () => number): () => void {
  let unanswered = 0;
  let timer: NodeJS.Timeout | undefined;
  const sign = () => {
    unanswered = 0;
  };
  const ping = () => {
    if (unanswered++ >= MAX_UNANSWERED) {
      socket.terminate();
      return;
    }
    socket.ping();
    timer = setTimeout(ping, intervalMs());
  };
  socket.on('open', () => {
    sign();
    timer = setTimeout(ping, intervalMs());
  });
  for (const event of ['pong', 'ping', 'message'] as const) {
    socket.on(event, sign);
  }
  socket.on('close', () => {
    clearTimeout(timer);
    timer = undefined;
  });
  return () => {
    if (timer !== undefined) {
      clearTimeout(timer);
      timer = setTimeout(ping, intervalMs());
    }
  };
}

/** Reads the first 500 characters of an answer, and calls `done` at its end. */
export function readText(response: IncomingMessage, done: (text: string) => void): void {
  let text = '';
  response.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(0, 500);
  });
  response.once('close', () => done(text));
}
