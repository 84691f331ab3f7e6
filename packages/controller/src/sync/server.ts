/**
 * The agents' port: HTTPS with POST /enroll and POST /renew, and the WebSocket /sync for agents
 * with a certificate.
 */
import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import {
  type CounterReading,
  MAX_HELLO_BYTES,
  MAX_MESSAGE_BYTES,
  NOT_REGISTERED,
  problem,
  REFUSED_HEADER,
} from '@mirrorplane/contract';
import { WebSocketServer } from 'ws';
import { NODE_URN } from '../auth/authority.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { TokenBucket } from '../token-bucket.ts';
import { AgentSessions } from './agent-sessions.ts';
import { enroll, enrollProblem, renew } from './enroll.ts';
import type { Session } from './session.ts';
import { Strangers } from './strangers.ts';

/** The largest request to enrol, bytes. A certificate request has less than 1 KB. */
const MAX_ENROLL = 8 * 1024;
/**
 * The most frames of a message, and the most pieces of them. An agent sends one frame, and TCP
 * divides it into pieces.
 */
const MAX_FRAGMENTS = 64;
const MAX_CHUNKS = 4096;
/** Bytes of WebSocket frames around a hello (RFC 6455, section 5.2), and some pings. */
const FRAMING = 256;
/** The most connections of a node: the accepted one, and some that are not accepted yet. */
const MAX_CONNECTIONS_OF_NODE = 4;
/** Milliseconds that agents have to end their connections. */
const CLOSE_TIMEOUT_MS = 200;
/** Renewals of the certificate of one node: some at once, then one an hour. */
const RENEWALS = { reserve: 5, perSecond: 1 / 3600 };
/** Milliseconds between new certificates of the port. */
const RENEWAL_MS = 24 * 60 * 60 * 1000;

export interface AgentAddress {
  host: string;
  port: number;
}

export class AgentServer {
  readonly #services: Services;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({
    noServer: true,
    maxPayload: MAX_MESSAGE_BYTES,
    maxFragments: MAX_FRAGMENTS,
    maxBufferedChunks: MAX_CHUNKS,
    perMessageDeflate: false,
  });
  readonly #strangers: Strangers;
  readonly #connections = new Set<Socket>();
  readonly #sessions: AgentSessions;
  readonly #renewals = new Map<string, TokenBucket>();
  #renewal: NodeJS.Timeout | undefined;

  private constructor(services: Services, server: Server) {
    this.#services = services;
    this.#server = server;
    this.#sessions = new AgentSessions(services);
    this.#strangers = new Strangers((address) =>
      services.refusals.add({
        request: 'connection',
        reason: 'tooMany',
        message: 'a connection took too long, or there were too many connections',
        address,
      }),
    );
  }

  /** Listens. @throws Error if the port is taken */
  static async open(services: Services, { host, port }: AgentAddress): Promise<AgentServer> {
    const hosts = host === '0.0.0.0' || host === '::' ? [] : [host];
    const { certificate, key } = await services.authority.serverCertificate(hosts);
    // rejectUnauthorized is off, because an enrolling agent has no certificate yet. /sync checks
    // the certificate.
    const server = createServer({
      cert: certificate,
      key,
      ca: services.authority.pem,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      connectionsCheckingInterval: 2000,
      keepAliveTimeout: 1000,
    });
    const agents = new AgentServer(services, server);
    server.on('connection', (connection: Socket) => {
      agents.#connections.add(connection);
      agents.#strangers.add(connection);
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
    return agents;
  }

  /** The port number. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Totals with this reading are on disk. Acknowledges them to the agent, if it is connected. */
  countersSaved(node: string, reading: CounterReading): void {
    this.#sessions.countersSaved(node, reading);
  }

  /** The node is deleted: sends an empty program to its agent, and ends the session. */
  dismiss(node: string): void {
    this.#renewals.delete(node);
    this.#sessions.dismiss(node);
  }

  async close(): Promise<void> {
    clearInterval(this.#renewal);
    this.#strangers.close();
    this.#sessions.close();
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      // Agents get a moment to close. All other connections, perhaps during a handshake, end at
      // once.
      setTimeout(() => {
        for (const connection of this.#connections) {
          connection.destroy();
        }
      }, CLOSE_TIMEOUT_MS).unref();
    });
  }

  /**
   * Renews the port's certificate, because a controller may run longer than a certificate is valid.
   */
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
      const handle = request.method === 'POST' ? this.#handler(request, address) : undefined;
      if (handle) {
        answer = { status: 200, type: 'application/json', body: await handle(await readJson(request)) };
      } else {
        answer = asProblem(problem('NOT_FOUND', 'this port has POST /enroll, POST /renew and the WebSocket /sync'));
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

  /** The handler of a request. Undefined: unknown path or method. */
  #handler(request: IncomingMessage, address: string): ((body: unknown) => Promise<unknown>) | undefined {
    if (request.url === '/enroll') {
      return (body) => enroll(body, address, this.#services);
    }
    return request.url === '/renew'
      ? (body) => this.#renewAgent(body, request.socket as TLSSocket, address)
      : undefined;
  }

  async #renewAgent(body: unknown, socket: TLSSocket, address: string): Promise<unknown> {
    const identity = this.#registered(socket);
    if ('status' in identity) {
      const { reason, message } = identity;
      this.#services.refusals.add({ request: 'renew', reason, message, address });
      throw new ProblemError('UNAUTHENTICATED', message);
    }
    const { node } = identity;
    const share = this.#renewals.get(node) ?? new TokenBucket(RENEWALS);
    this.#renewals.set(node, share);
    if (!share.take()) {
      const message = `node "${node}" renews too often: a certificate is valid for a year`;
      this.#services.refusals.add({ request: 'renew', reason: 'tooOften', message, address, node });
      throw new ProblemError('UNAVAILABLE', message);
    }
    return renew(body, { node, address }, this.#services);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { log } = this.#services;
    const tls = request.socket as TLSSocket;
    socket.on('error', (error) => log.debug({ err: error }, 'agent connection failed'));
    const identity = request.url === '/sync' ? this.#identify(tls) : REFUSED.unknownPath;
    if ('status' in identity) {
      this.#refuseUpgrade(tls, identity);
      return;
    }
    const { node } = identity;
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#strangers.admit(tls);
      const address = tls.remoteAddress ?? 'unknown';
      const session = this.#sessions.begin(webSocket, { node, address, certificateEndsAt: endOf(tls) });
      endUnlessGreeted(tls, session);
    });
  }

  /** Answers, and releases the socket without waiting for the other end. */
  #refuseUpgrade(socket: TLSSocket, { reason, message, status }: Refused): void {
    this.#services.refusals.add({ request: 'sync', reason, message, address: socket.remoteAddress ?? 'unknown' });
    const body = `${message}\n`;
    const head = [
      `${REFUSED_HEADER}: ${reason}`,
      'Content-Type: text/plain',
      `Content-Length: ${Buffer.byteLength(body)}`,
      'Connection: close',
    ];
    // `end` is not used: a half-open socket on the other side would not notice that it should
    // close.
    socket.write(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head.join('\r\n')}\r\n\r\n${body}`);
    socket.once('end', () => socket.destroy()).resume();
    this.#strangers.dismiss(socket);
  }

  /** The node of the certificate. Refused if the node has too many connections. */
  #identify(socket: TLSSocket): { node: string } | Refused {
    const identity = this.#registered(socket);
    if ('status' in identity) {
      return identity;
    }
    const { node } = identity;
    if (this.#sessions.countOf(node) >= MAX_CONNECTIONS_OF_NODE) {
      const message = `node "${node}" has ${MAX_CONNECTIONS_OF_NODE} connections already: check whether its agent was started twice`;
      return { reason: 'tooManyOfNode', message, status: 429 };
    }
    return identity;
  }

  /**
   * The node of the certificate, which must be signed by our authority, for the node's current
   * registration.
   */
  #registered(socket: TLSSocket): { node: string } | Refused {
    const certificate = socket.getPeerCertificate();
    if (!certificate.subject) {
      return REFUSED.noCertificate;
    }
    if (!socket.authorized) {
      const message = `the client certificate is not valid: ${socket.authorizationError}`;
      return { reason: 'invalidCertificate', message, status: 401 };
    }
    const node = String(certificate.subject.CN);
    const record = this.#services.view.get('nodes', node)?.value;
    const names = (certificate.subjectaltname ?? '').split(', ');
    if (!record || !names.includes(`URI:${NODE_URN}${record.uid}`)) {
      const message = `node "${node}" is not registered, or was registered again: enrol again`;
      return { reason: NOT_REGISTERED, message, status: 401 };
    }
    return { node };
  }
}

/** Why an upgrade is refused. `reason` is a label of the metrics. */
interface Refused {
  reason: string;
  message: string;
  status: number;
}

const REFUSED = {
  unknownPath: { reason: 'unknownPath', message: 'no such path', status: 404 },
  noCertificate: { reason: 'noCertificate', message: 'a client certificate is needed: enrol first', status: 401 },
} as const satisfies Record<string, Refused>;

/** Ends a connection that sends more bytes than a hello before its hello is accepted. */
function endUnlessGreeted(socket: TLSSocket, session: Session): void {
  let bytes = 0;
  // This listener runs after the WebSocket's, so that bytes in the same piece as a hello count as
  // bytes after it.
  const count = (chunk: Buffer) => {
    bytes += chunk.length;
    if (session.greeted) {
      socket.off('data', count);
    } else if (bytes > MAX_HELLO_BYTES + FRAMING) {
      socket.destroy();
    }
  };
  socket.on('data', count);
}

/** End of the other end's certificate, ISO 8601. */
function endOf(socket: TLSSocket): string {
  return new Date(socket.getPeerCertificate().valid_to).toISOString();
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
