/** The agents' port: HTTPS with POST /enroll, and the WebSocket /sync for agents that have their certificate. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { type CounterReading, problem } from '@mirrorplane/contract';
import { WebSocketServer } from 'ws';
import { NODE_URN } from '../auth/authority.ts';
import type { Services } from '../services.ts';
import { enroll, enrollProblem } from './enroll.ts';
import { CLOSE, Session } from './session.ts';

/** Largest request to enrol and largest message of an agent (a node with some ten thousand devices), in bytes. */
const MAX_ENROLL = 64 * 1024;
const MAX_MESSAGE = 32 * 1024 * 1024;
/** How long agents may take to end their connections, in milliseconds. */
const CLOSE_TIMEOUT_MS = 200;
/** How often the port gets a fresh certificate, in milliseconds. */
const RENEWAL_MS = 24 * 60 * 60 * 1000;

export interface AgentAddress {
  host: string;
  port: number;
}

export class AgentServer {
  readonly #services: Services;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, maxPayload: MAX_MESSAGE, perMessageDeflate: false });
  readonly #connections = new Set<Socket>();
  readonly #pending = new Set<Session>();
  #renewal: NodeJS.Timeout | undefined;
  /** The connection of each node; the newest wins. */
  readonly #sessions = new Map<string, Session>();

  private constructor(services: Services, server: Server) {
    this.#services = services;
    this.#server = server;
  }

  /** Listens. @throws Error where the port is taken */
  static async open(services: Services, { host, port }: AgentAddress): Promise<AgentServer> {
    const hosts = host === '0.0.0.0' || host === '::' ? [] : [host];
    const { certificate, key } = await services.authority.serverCertificate(hosts);
    // Without rejectUnauthorized, for an agent that enrols has no certificate yet; /sync looks at it.
    const server = createServer({
      cert: certificate,
      key,
      ca: services.authority.pem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 20_000,
    });
    const agents = new AgentServer(services, server);
    server.on('connection', (connection: Socket) => {
      agents.#connections.add(connection);
      connection.once('close', () => agents.#connections.delete(connection));
    });
    server.on('request', (request, response) => void agents.#request(request, response));
    server.on('upgrade', (request, socket, head) => agents.#upgrade(request, socket, head));
    server.on('tlsClientError', (error) => services.log.debug({ err: error }, 'tls handshake failed'));
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, host, () => {
        server.off('error', reject);
        resolve();
      });
    });
    agents.#renewal = setInterval(() => void agents.#renew(hosts), RENEWAL_MS).unref();
    services.planning.onPlanned(({ programs }) => {
      for (const [node, session] of agents.#sessions) {
        const program = programs.get(node);
        if (program) {
          session.send(program);
        }
      }
    });
    return agents;
  }

  /** The port that is listened on. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Totals of the node with this reading are on the disk: its agent is told, if it is there. */
  countersSaved(node: string, reading: CounterReading): void {
    this.#sessions.get(node)?.countersSaved(reading);
  }

  /** The node is deleted: its kernel is to do nothing any more, and its agent has nothing more to say. */
  dismiss(node: string): void {
    const session = this.#sessions.get(node);
    if (session) {
      session.sendEmpty();
      session.close(CLOSE.deleted, 'the node is deleted');
      this.#sessions.delete(node);
    }
    this.#services.live.delete(node);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    for (const session of [...this.#pending, ...this.#sessions.values()]) {
      session.close(CLOSE.goingAway, 'the controller stops');
    }
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      // Agents get a moment to say goodbye; whoever else is connected, perhaps in the middle of a handshake, none.
      setTimeout(() => {
        for (const connection of this.#connections) {
          connection.destroy();
        }
      }, CLOSE_TIMEOUT_MS).unref();
    });
  }

  /** A controller may run for longer than a certificate is good. */
  async #renew(hosts: readonly string[]): Promise<void> {
    const { authority, log } = this.#services;
    try {
      const { certificate, key } = await authority.serverCertificate(hosts);
      this.#server.setSecureContext({ cert: certificate, key, ca: authority.pem, minVersion: 'TLSv1.3' });
    } catch (error) {
      log.error({ err: error }, 'certificate of the agents port not renewed');
    }
  }

  async #request(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const address = request.socket.remoteAddress ?? 'unknown';
    let answer: { status: number; type: string; body: unknown };
    try {
      if (request.url !== '/enroll' || request.method !== 'POST') {
        answer = asProblem(problem('NOT_FOUND', 'this port has POST /enroll and the WebSocket /sync'));
      } else {
        const body = await readJson(request);
        answer = { status: 200, type: 'application/json', body: await enroll(body, address, this.#services) };
      }
    } catch (error) {
      answer = asProblem(error instanceof BodyError ? problem('BAD_REQUEST', error.message) : enrollProblem(error));
      if (answer.status >= 500) {
        this.#services.log.error({ err: error }, 'request of an agent failed');
      }
    }
    response.writeHead(answer.status, { 'content-type': answer.type, connection: 'close' });
    response.end(JSON.stringify(answer.body));
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { log } = this.#services;
    socket.on('error', (error) => log.debug({ err: error }, 'agent connection failed'));
    const identity =
      request.url === '/sync' ? this.#identify(request.socket as TLSSocket) : { refusal: 'no such path', status: 404 };
    if ('refusal' in identity) {
      log.warn({ address: request.socket.remoteAddress, problem: identity.refusal }, 'agent refused');
      const text = identity.status === 404 ? 'Not Found' : 'Unauthorized';
      const body = `${identity.refusal}\n`;
      socket.end(
        `HTTP/1.1 ${identity.status} ${text}\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      );
      return;
    }
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { live, observer, clock } = this.#services;
      const session: Session = new Session(webSocket, identity.node, {
        live,
        observer,
        log,
        clock,
        onHello: (greeted) => this.#join(greeted),
        onInventory: () => this.#services.planning.request(),
        onClose: (closed) => this.#leave(closed),
      });
      this.#pending.add(session);
      webSocket.on('close', () => this.#pending.delete(session));
    });
  }

  /** Which node the certificate is for. It has to be of our authority, and of the node's present registration. */
  #identify(socket: TLSSocket): { node: string } | { refusal: string; status: number } {
    const certificate = socket.getPeerCertificate();
    if (!certificate.subject) {
      return { refusal: 'a client certificate is needed: enrol first', status: 401 };
    }
    if (!socket.authorized) {
      return { refusal: `the client certificate is not valid: ${socket.authorizationError}`, status: 401 };
    }
    const node = String(certificate.subject.CN);
    const record = this.#services.view.get('nodes', node)?.value;
    const names = (certificate.subjectaltname ?? '').split(', ');
    if (!record || !names.includes(`URI:${NODE_URN}${record.uid}`)) {
      return { refusal: `node "${node}" is not registered, or was registered anew: enrol again`, status: 401 };
    }
    return { node };
  }

  #join(session: Session): void {
    const { node } = session;
    this.#pending.delete(session);
    if (!this.#services.view.get('nodes', node)) {
      // Deleted between the upgrade and the hello.
      this.#services.live.delete(node);
      session.close(CLOSE.deleted, 'the node is deleted');
      return;
    }
    const older = this.#sessions.get(node);
    this.#sessions.set(node, session);
    older?.close(CLOSE.replaced, 'a newer connection of the node took over');
    this.#services.log.info({ node }, 'agent connected');
    this.#services.observer.connected(node);
    // At once what was planned last, for an agent that was away; then whatever its hello changes.
    const program = this.#services.planning.planned?.programs.get(node);
    if (program && program.revision >= (this.#services.live.get(node)?.appliedRevision ?? 0)) {
      session.send(program);
    }
    this.#services.planning.request();
  }

  #leave(session: Session): void {
    const { node } = session;
    if (this.#sessions.get(node) === session) {
      this.#sessions.delete(node);
      this.#services.live.disconnected(node);
      this.#services.log.info({ node }, 'agent disconnected');
      this.#services.observer.disconnected(node);
      this.#services.planning.request();
      this.#services.planning.requestAfterGrace();
    }
  }
}

class BodyError extends Error {}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += (chunk as Buffer).length;
    if (size > MAX_ENROLL) {
      throw new BodyError(`the body is larger than ${MAX_ENROLL} bytes`);
    }
    chunks.push(chunk as Buffer);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    throw new BodyError('the body is not JSON');
  }
}

function asProblem(document: ReturnType<typeof problem>) {
  return { status: document.status, type: 'application/problem+json', body: document };
}
