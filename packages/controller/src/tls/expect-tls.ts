/**
 * The first bytes of connections to a port with TLS. Who speaks plain HTTP there gets an answer with
 * the right address, and who says nothing does not stay.
 */
import type { Server } from 'node:https';
import type { Socket } from 'node:net';
import { jsonText, problem } from '@mirrorplane/contract';
import { HANDSHAKE_TIMEOUT_MS } from './options.ts';

/** The first byte of a handshake (RFC 8446, section 5.1: ContentType). */
const HANDSHAKE = 0x16;
/** Bytes of a request in which its host is looked for. */
const MAX_HEAD = 4096;
/** Milliseconds that the other end has to read the answer. */
const ANSWERED_MS = 250;

/** Begins a handshake only where the client begins one. To be called before the server listens. */
export function expectTls(server: Server): void {
  const begin = server.listeners('connection');
  server.removeAllListeners('connection');
  server.on('connection', (socket: Socket) => {
    const timer = setTimeout(() => socket.destroy(), HANDSHAKE_TIMEOUT_MS).unref();
    socket.once('close', () => clearTimeout(timer));
    // Errors of a connection that never was.
    socket.on('error', () => undefined);
    socket.once('data', (bytes) => {
      clearTimeout(timer);
      if (bytes[0] !== HANDSHAKE) {
        answerPlain(socket, bytes);
        return;
      }
      socket.pause();
      socket.unshift(bytes);
      for (const listener of begin) {
        listener.call(server, socket);
      }
    });
  });
}

function answerPlain(socket: Socket, bytes: Buffer): void {
  const text = bytes.toString('latin1', 0, MAX_HEAD);
  setTimeout(() => socket.destroy(), ANSWERED_MS).unref();
  if (!/^[A-Z]{3,10} \S+ HTTP\/1\.[01]\r?\n/.test(text)) {
    socket.destroy();
    return;
  }
  // Only what a host can be: the text goes back to the sender, perhaps to a browser.
  const [, named] = /^host:[ \t]*([\w.:[\]-]{1,255})[ \t]*\r?$/im.exec(text) ?? [];
  const where = named ?? `HOST:${socket.localPort}`;
  const detail = `this port speaks TLS, and the request is plain HTTP: use https://${where}`;
  const forPeople = /^accept:.*text\/html/im.test(text);
  const body = forPeople ? `${detail}\n` : jsonText(problem('BAD_REQUEST', detail));
  const head = [
    'HTTP/1.1 400 Bad Request',
    `Content-Type: ${forPeople ? 'text/plain; charset=utf-8' : 'application/problem+json'}`,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    'X-Content-Type-Options: nosniff',
  ];
  // What else is sent is read away: otherwise the reset of the connection would overtake the answer.
  socket.resume().end(`${head.join('\r\n')}\r\n\r\n${body}`);
}
