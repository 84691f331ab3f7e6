/** A small controller on loopback with real TLS, enrolment and sync connection. */
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import {
  AgentMessage,
  EnrollRequest,
  formatJoinToken,
  type LeaderMessage,
  type NodeProgram,
} from '@mirrorplane/contract';
import { type WebSocket, WebSocketServer } from 'ws';
import type { TestAuthority } from './support.ts';

export const SECRET = 'a-secret-of-some-length';

/** Records the requests, and sends what a test sets. */
export class TestController {
  readonly authority: TestAuthority;
  /** Every enrolment request that came in, with the secret in it. */
  readonly enrolments: EnrollRequest[] = [];
  /** Everything agents said, in order. */
  readonly messages: AgentMessage[] = [];
  /** CN of the client certificate of each connection. */
  readonly peers: string[] = [];
  /** Sent to every agent that connects. */
  program: NodeProgram | undefined;
  /** Sent before it: this one leads others. */
  leader: Omit<LeaderMessage, 'type'> | undefined;
  /** True: pings get no answer. */
  deaf = false;
  #server: Server | undefined;
  #sockets: WebSocketServer | undefined;
  #port = 0;
  readonly #identity: { key: string; certificate: string };
  readonly #chain: string;

  /** @param chain PEM sent after the certificate; default the authority */
  constructor(authority: TestAuthority, name = 'controller', chain = authority.certificate) {
    this.authority = authority;
    this.#identity = authority.issue(name);
    this.#chain = chain;
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  get token(): string {
    return formatJoinToken({ secret: SECRET, fingerprint: this.authority.fingerprint });
  }

  /** Listens; after a stop on the same port again. */
  async start(): Promise<void> {
    const server = createServer({
      key: this.#identity.key,
      cert: this.#identity.certificate + this.#chain,
      ca: this.authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('request', (request, response) => {
      // An agent that connects while the server stops is no longer upgraded.
      if (request.url !== '/enroll') {
        return void request.socket.destroy();
      }
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const asked = EnrollRequest.parse(JSON.parse(body));
        this.enrolments.push(asked);
        if (asked.secret !== SECRET) {
          response.writeHead(403, { 'content-type': 'application/problem+json' });
          response.end(JSON.stringify({ detail: 'the join token is not known' }));
          return;
        }
        const certificate = this.authority.sign(asked.csr);
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ certificate, authority: this.authority.certificate }));
      });
    });
    const sockets = new WebSocketServer({ server, path: '/sync', autoPong: !this.deaf });
    sockets.on('connection', (socket, request) => {
      const tls = request.socket as TLSSocket;
      if (!tls.authorized) {
        return socket.close(4401, 'no certificate');
      }
      this.peers.push(String(tls.getPeerCertificate().subject.CN));
      socket.on('message', (data) => this.messages.push(AgentMessage.parse(JSON.parse(data.toString()))));
      if (this.leader !== undefined) {
        this.sendRaw(JSON.stringify({ type: 'leader', ...this.leader }), socket);
      }
      if (this.program !== undefined) {
        this.send(this.program, socket);
      }
    });
    this.#server = server;
    this.#sockets = sockets;
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** Changes the program of every agent that is connected. */
  send(program: NodeProgram, only?: WebSocket): void {
    this.program = program;
    this.sendRaw(JSON.stringify({ type: 'program', program }), only);
  }

  /** Sends text as it is. */
  sendRaw(text: string, only?: WebSocket): void {
    for (const socket of only ? [only] : (this.#sockets?.clients ?? [])) {
      socket.send(text);
    }
  }

  /** The newest message of a type. */
  last<T extends AgentMessage['type']>(type: T): Extract<AgentMessage, { type: T }> | undefined {
    return this.messages.findLast((message): message is Extract<AgentMessage, { type: T }> => message.type === type);
  }

  /** Ends all connections and stops listening. */
  async stop(): Promise<void> {
    const server = this.#server;
    const closed = new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined)));
    this.#sockets?.close();
    for (const socket of this.#sockets?.clients ?? []) {
      socket.terminate();
    }
    server?.closeAllConnections();
    await closed;
  }
}
