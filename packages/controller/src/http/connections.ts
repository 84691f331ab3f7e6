/** Bounds of the connections to the API, so that nobody can keep others out. */
import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { Strangers } from '../auth/strangers.ts';
import type { Services } from '../services.ts';

/**
 * The most connections: browsers and tools of operators, and readers of events. Half of them may be
 * those of strangers (`MAX_STRANGERS`).
 */
const MAX_CONNECTIONS = 2048;
/** Milliseconds that the other end may read nothing of an answer. Then the connection is ended. */
export const STALLED_ANSWER_MS = 60_000;
/**
 * Milliseconds that requests have to end when the controller stops. Node.js waits without limit for
 * a connection that has sent no request, or a part of one.
 */
const CLOSE_TIMEOUT_MS = 2000;

/** Ends connections that take the place of others. The server's time without activity has to be `STALLED_ANSWER_MS`. */
export function boundConnections(app: FastifyInstance, { refusedSignIns, leadership }: Services): void {
  const { server } = app;
  server.maxConnections = MAX_CONNECTIONS;
  const message = 'there were too many connections without a valid token: the oldest one was ended';
  const strangers = new Strangers(
    (address) => refusedSignIns.add({ request: 'apiConnection', reason: 'tooMany', message, address }),
    {
      timeoutMs: Number.POSITIVE_INFINITY,
      mostOfAddress: Number.POSITIVE_INFINITY,
      ...(leadership && { addressOf: (socket) => leadership.tunnels.addressOf(socket) }),
    },
  );
  const open = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    // A connection by a unix socket has no address. Its file decides who may connect.
    if (socket.remoteAddress !== undefined) {
      strangers.add(socket);
    }
  });
  // After the credentials of a request were checked, and before its body is read.
  app.addHook('preParsing', async (request) => {
    if (request.who) {
      strangers.admit(request.socket);
    }
  });
  app.addHook('onRequest', async (_request, reply) => {
    // Without activity: an answer may be a stream with nothing to say. It stays, unless there is
    // something that the other end does not read.
    reply.raw.on('timeout', (socket) => {
      if (socket.writableLength > 0) {
        socket.destroy();
      }
    });
  });
  answerInTurn(app);
  app.addHook('preClose', async () => {
    strangers.close();
    // Not by `closeAllConnections`: it does not know a connection whose handshake has not ended.
    setTimeout(() => {
      for (const socket of open) {
        socket.destroy();
      }
    }, CLOSE_TIMEOUT_MS).unref();
  });
}

/**
 * Begins with a request of a connection when the answer to the one before has gone. Answers go in
 * this order anyway, and a client that sends many requests at once takes its turn with others.
 */
function answerInTurn(app: FastifyInstance): void {
  const answered = new WeakMap<Socket, Promise<void>>();
  app.addHook('onRequest', async ({ socket }, reply) => {
    const before = answered.get(socket);
    answered.set(socket, new Promise((resolve) => reply.raw.once('close', resolve)));
    await before;
  });
}
