/**
 * The agents' port: HTTPS with POST /enroll, and the WebSockets /sync and /looks for agents with a
 * certificate.
 */
import { type IncomingMessage, STATUS_CODES } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { TLSSocket } from 'node:tls';
import {
  type ControllerMessage,
  type CounterReading,
  MAX_HELLO_BYTES,
  MAX_MESSAGE_BYTES,
  REFUSED_HEADER,
} from '@mirrorplane/contract';
import { WebSocketServer } from 'ws';
import { ACCEPT_QUEUE, Strangers } from '../auth/strangers.ts';
import { controllerFault } from '../cluster/identity.ts';
import { LINK_PATH } from '../cluster/link.ts';
import { CLIENT_HEADER, readClient, TUNNEL_PATH } from '../cluster/tunnelled.ts';
import { listenError } from '../listen.ts';
import type { Services } from '../services.ts';
import { addressOf } from './address.ts';
import { AgentRequests } from './agent-requests.ts';
import { AgentSessions, type CutOff } from './agent-sessions.ts';
import { type Identity, type Refused, registeredNode } from './identity.ts';
import { LookConnections } from './look-connections.ts';
import { PortCertificates } from './port-certificates.ts';
import type { Session } from './session.ts';
import { writeInPieces } from './write-in-pieces.ts';

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
/** Milliseconds between two looks whether they have. */
const CLOSE_PAUSE_MS = 5;

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
  readonly #requests: AgentRequests;
  readonly #looks: LookConnections;
  readonly #certificates: PortCertificates;

  private constructor(services: Services, server: Server, certificates: PortCertificates) {
    this.#certificates = certificates;
    this.#services = services;
    this.#server = server;
    this.#looks = new LookConnections(services);
    this.#sessions = new AgentSessions(services, (node, code, why) => this.#looks.end(node, code, why));
    this.#requests = new AgentRequests(services);
    const { leadership } = services;
    this.#strangers = new Strangers(
      (address) =>
        services.refusals.add({
          request: 'connection',
          reason: 'tooMany',
          message: 'a connection took too long, or there were too many connections',
          address,
        }),
      leadership && { addressOf: (socket) => leadership.tunnels.addressOf(socket) },
    );
  }

  /**
   * Listens.
   * @param beforeListening is waited for when all else is prepared
   * @throws Error if the port is taken, and what `beforeListening` throws
   */
  static async open(
    services: Services,
    address: AgentAddress,
    beforeListening: () => Promise<void> = async () => undefined,
  ): Promise<AgentServer> {
    const { host } = address;
    const hosts = host === '0.0.0.0' || host === '::' ? [] : [host];
    const port = await PortCertificates.make(services, hosts);
    // rejectUnauthorized is off, because an enrolling agent has no certificate yet. /sync checks
    // the certificate.
    const server = createServer({
      ...port.context,
      SNICallback: port.choose,
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: 15_000,
      connectionsCheckingInterval: 2000,
      keepAliveTimeout: 1000,
    });
    const agents = new AgentServer(services, server, port);
    server.on('connection', (connection: Socket) => {
      agents.#connections.add(connection);
      agents.#strangers.add(connection);
      connection.once('close', () => agents.#connections.delete(connection));
    });
    server.on('request', (request, response) => void agents.#requests.answer(request, response));
    server.on('upgrade', (request, socket, head) => agents.#upgrade(request, socket, head));
    server.on('tlsClientError', (error) => services.log.debug({ err: error }, 'tls handshake failed'));
    await beforeListening();
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenError(error, address)));
      server.listen({ port: address.port, host, backlog: ACCEPT_QUEUE }, () => {
        server.removeAllListeners('error');
        // Without a listener, an error of a server that listens ends the process.
        server.on('error', (error) => services.log.error({ err: error }, 'the port for agents has an error'));
        resolve();
      });
    });
    port.follow((context) => server.setSecureContext(context));
    services.leadership?.tunnels.serve('agents', server);
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

  /** Sends a message to the agent of a node, if it is connected. */
  send(node: string, message: ControllerMessage): void {
    this.#sessions.send(node, message);
  }

  /** The node is deleted: sends an empty program to its agent, and ends the session. */
  dismiss(node: string): void {
    this.#sessions.dismiss(node);
  }

  /** Ends the sessions of a node at once. */
  cutOff(node: string, why: CutOff): void {
    this.#sessions.cutOff(node, why);
  }

  async close(): Promise<void> {
    this.#certificates.close();
    this.#strangers.close();
    this.#sessions.close();
    this.#looks.close();
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    // Agents get a moment to close. Then all other connections end too, perhaps during a handshake.
    const end = performance.now() + CLOSE_TIMEOUT_MS;
    while (this.#sessions.areOpen && performance.now() < end) {
      await sleep(CLOSE_PAUSE_MS);
    }
    for (const connection of this.#connections) {
      connection.destroy();
    }
    await closed;
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { log } = this.#services;
    const tls = request.socket as TLSSocket;
    socket.on('error', (error) => log.debug({ err: error }, 'agent connection failed'));
    if (this.#isOfController(request, tls, head)) {
      return;
    }
    const kind = KINDS.get(request.url ?? '');
    const identity = kind === undefined ? UNKNOWN_PATH : this.#identify(tls, kind);
    if ('status' in identity) {
      this.#refuseUpgrade(tls, identity, kind ?? 'sync');
      return;
    }
    const { node } = identity;
    if (kind === 'looks') {
      this.#strangers.admit(tls);
      this.#looks.accept(node, request, socket, head);
      return;
    }
    writeInPieces(socket);
    this.#sockets.handleUpgrade(request, socket, head, (webSocket) => {
      this.#strangers.admit(tls);
      const address = addressOf(tls, this.#services);
      const session = this.#sessions.begin(webSocket, { ...identity, address });
      endUnlessGreeted(tls, session);
    });
  }

  /** Serves another controller, which follows this one. @returns false: the request is of an agent */
  #isOfController(request: IncomingMessage, socket: TLSSocket, head: Buffer): boolean {
    const { leadership, authority, clock, log } = this.#services;
    const { url } = request;
    if (leadership === undefined || (url !== LINK_PATH && url !== TUNNEL_PATH)) {
      return false;
    }
    const fault = controllerFault(socket, { authority, clock });
    const client = url === TUNNEL_PATH ? readClient(request.headers[CLIENT_HEADER]) : undefined;
    if (fault !== undefined || (url === TUNNEL_PATH && client === undefined)) {
      const message = fault ?? 'the request does not say for whom it is';
      this.#refuseUpgrade(socket, { reason: 'noController', message, status: fault === undefined ? 400 : 401 }, 'sync');
      return true;
    }
    this.#strangers.admit(socket);
    if (client === undefined) {
      leadership.followers.accept(request, socket, head);
      return true;
    }
    try {
      leadership.tunnels.accept(socket, client, head);
    } catch (error) {
      log.debug({ err: error }, 'a connection of another controller is refused');
      socket.destroy();
    }
    return true;
  }

  /** Answers, and releases the socket without waiting for the other end. */
  #refuseUpgrade(socket: TLSSocket, { reason, message, status }: Refused, request: 'sync' | 'looks'): void {
    this.#services.refusals.add({ request, reason, message, address: addressOf(socket, this.#services) });
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

  /**
   * The node of the certificate. Refused if the node has too many connections, or is asked for no
   * look.
   */
  #identify(socket: TLSSocket, kind: 'sync' | 'looks'): Identity | Refused {
    const identity = registeredNode(socket, this.#services);
    if ('status' in identity) {
      if (identity.contested !== undefined) {
        this.#sessions.contested(identity.contested, addressOf(socket, this.#services), identity.message);
      }
      return identity;
    }
    const { node } = identity;
    if (kind === 'looks') {
      return this.#looks.refusal(node) ?? identity;
    }
    if (this.#sessions.countOf(node) >= MAX_CONNECTIONS_OF_NODE) {
      const message = `node "${node}" has ${MAX_CONNECTIONS_OF_NODE} connections already: check whether its agent was started twice`;
      return { reason: 'tooManyOfNode', message, status: 429 };
    }
    const pause = this.#sessions.pauseOf(node, addressOf(socket, this.#services));
    if (pause > 0) {
      const message = `node "${node}" has sent messages that cannot be taken: its agent may connect again in ${Math.ceil(pause / 1000)} s`;
      return { reason: 'badMessages', message, status: 429 };
    }
    return identity;
  }
}

const KINDS: ReadonlyMap<string, 'sync' | 'looks'> = new Map([
  ['/sync', 'sync'],
  ['/looks', 'looks'],
]);
const UNKNOWN_PATH: Refused = { reason: 'unknownPath', message: 'no such path', status: 404 };

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
