/**
 * The ports of a follower. It hands each connection on to the leader, byte for byte: it reads no
 * token, no cookie and no message of an agent.
 */
import { chmodSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import type { Server as HttpsServer } from 'node:https';
import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { Closers } from '@mirrorplane/base';
import { type Logger, requireNotReplaceable } from '@mirrorplane/daemon';
import { type ProxyHeader, UNIX } from '../auth/proxies.ts';
import { ACCEPT_QUEUE, Strangers } from '../auth/strangers.ts';
import { clearSocket, formatListen, type ListenAddress, listenError } from '../listen.ts';
import type { ApiCertificate } from '../tls/api-certificate.ts';
import { expectTls } from '../tls/expect-tls.ts';
import { HANDSHAKE_TIMEOUT_MS, secureOptions } from '../tls/options.ts';
import { awayServer } from './away.ts';
import { join } from './tunnel.ts';
import type { TunnelledClient } from './tunnelled.ts';

/** The most connections of one port. The leader bounds those of strangers by their own addresses. */
const MAX_CONNECTIONS = 4096;
/** The most tunnels that are being opened at once, so that no client makes the leader busy. */
const MAX_OPENING = 64;
/** Milliseconds that a client of the API, and an agent, waits for a leader. */
const WAIT_MS = { api: 2000, agents: 8000 } as const;
/** Milliseconds before another try, while the leader does not answer. */
const PAUSE_MS = 50;

export interface DoorsOptions {
  /** Opens a tunnel to the leader. Rejects where there is none, and when the signal comes before it is open. */
  tunnel: (client: TunnelledClient, signal: AbortSignal) => Promise<TLSSocket>;
  trustedProxies: readonly string[];
  proxyHeader: ProxyHeader;
  log: Logger;
}

export class Doors {
  readonly #options: DoorsOptions;
  readonly #closers = new Closers();
  readonly #away: HttpServer = awayServer();
  readonly #clients = new Set<Socket>();
  readonly #joined = new Set<Socket>();
  readonly #opening: (() => void)[] = [];
  /** Ends the opening of tunnels to the present leader. */
  #cutting = new AbortController();
  #isOpening = 0;
  #closed = false;

  constructor(options: DoorsOptions) {
    this.#options = options;
    this.#closers.add(() => this.#away.close());
  }

  /** Listens for agents. @returns the port @throws Error if the address cannot be used */
  async openAgents(address: { host: string; port: number }): Promise<number> {
    const server = createServer({ noDelay: true });
    this.#accept(server, server, 'agents', false);
    await this.#listen(server, address, address);
    return portOf(server) ?? address.port;
  }

  /**
   * Listens for clients of the API.
   * @param certificate for an address with TLS
   * @returns the address with its real port @throws Error if the address cannot be used
   */
  async openApi(address: ListenAddress, certificate: ApiCertificate | undefined): Promise<ListenAddress> {
    if ('path' in address) {
      requireNotReplaceable(address.path);
      await clearSocket(address.path);
      const server = createServer();
      this.#accept(server, server, 'api', false);
      await this.#listen(server, address, address);
      chmodSync(address.path, 0o600);
      return address;
    }
    const { server, accepted } = address.scheme === 'https' ? this.#secure(certificate!) : plainServer();
    this.#accept(server, accepted, 'api', address.scheme === 'https');
    const host = address.host === 'localhost' ? '127.0.0.1' : address.host;
    await this.#listen(server, { host, port: address.port }, address);
    return { ...address, port: portOf(server) ?? address.port };
  }

  /**
   * Ends all connections that were handed on, and does not wait for those that are being opened:
   * their leader does not lead any more.
   */
  cut(): void {
    this.#cutting.abort();
    this.#cutting = new AbortController();
    for (const socket of this.#joined) {
      socket.destroy();
    }
  }

  /** Ends all connections, and frees the ports. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cutting.abort();
    for (const socket of this.#clients) {
      socket.destroy();
    }
    await this.#closers.close();
  }

  #secure(certificate: ApiCertificate): { server: Server; accepted: Server } {
    const options = { handshakeTimeout: HANDSHAKE_TIMEOUT_MS, ALPNProtocols: ['http/1.1'] };
    const server = createTlsServer({ ...secureOptions(certificate.current), ...options });
    server.on('tlsClientError', () => undefined);
    certificate.onChange((newer) => server.setSecureContext(secureOptions(newer)));
    expectTls(server as unknown as HttpsServer);
    return { server, accepted: server };
  }

  #accept(server: Server, accepted: Server, to: TunnelledClient['to'], byTls: boolean): void {
    const { log } = this.#options;
    server.maxConnections = MAX_CONNECTIONS;
    const bounds = to === 'api' ? { timeoutMs: Number.POSITIVE_INFINITY } : {};
    const strangers = new Strangers(
      (address) => log.warn({ address, port: to }, 'there were too many connections: one was ended'),
      bounds,
    );
    this.#closers.add(() => strangers.close());
    server.prependListener('connection', (socket: Socket) => {
      this.#clients.add(socket);
      socket.once('close', () => this.#clients.delete(socket));
      socket.on('error', () => undefined);
      if (socket.remoteAddress !== undefined) {
        strangers.add(socket);
      }
    });
    accepted.on(byTls ? 'secureConnection' : 'connection', (socket: Socket) => {
      socket.on('error', () => undefined);
      // Who says nothing costs the leader nothing.
      socket.once('data', (bytes) => {
        socket.pause();
        socket.unshift(bytes);
        void this.#handOn(socket, to, byTls, strangers);
      });
    });
  }

  async #handOn(socket: Socket, to: TunnelledClient['to'], byTls: boolean, strangers: Strangers): Promise<void> {
    const { trustedProxies, proxyHeader, log } = this.#options;
    const address = socket.remoteAddress ?? UNIX;
    const client = { to, address, byTls, proxies: [...trustedProxies], proxyHeader };
    const end = performance.now() + WAIT_MS[to];
    while (!this.#closed && !socket.destroyed) {
      try {
        const { tunnel, signal } = await this.#inTurn(() => this.#open(client));
        if (socket.destroyed || this.#closed) {
          tunnel.destroy();
          return;
        }
        if (signal.aborted) {
          tunnel.destroy();
          continue;
        }
        strangers.admit(socket);
        this.#joined.add(socket);
        socket.once('close', () => this.#joined.delete(socket));
        join(socket, tunnel);
        return;
      } catch (error) {
        if (performance.now() > end) {
          log.debug({ err: error, port: to }, 'a connection was not handed on');
          break;
        }
        await sleep(PAUSE_MS);
      }
    }
    if (to === 'api' && !socket.destroyed && !this.#closed) {
      this.#away.emit('connection', socket);
      socket.resume();
    } else {
      socket.destroy();
    }
  }

  /** `signal`: it came where the leader of the tunnel does not lead any more. */
  async #open(client: TunnelledClient): Promise<{ tunnel: TLSSocket; signal: AbortSignal }> {
    const { signal } = this.#cutting;
    return { tunnel: await this.#options.tunnel(client, signal), signal };
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isOpening >= MAX_OPENING) {
      await new Promise<void>((resolve) => this.#opening.push(resolve));
    }
    this.#isOpening++;
    try {
      return await work();
    } finally {
      this.#isOpening--;
      this.#opening.shift()?.();
    }
  }

  async #listen(
    server: Server,
    where: { host: string; port: number } | { path: string },
    address: ListenAddress | { host: string; port: number },
  ): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      server.once('error', (error) => reject(listenError(error, address)));
      server.listen({ ...where, backlog: ACCEPT_QUEUE }, resolve);
    });
    this.#closers.add(() => new Promise<void>((resolve) => server.close(() => resolve())));
  }
}

function plainServer(): { server: Server; accepted: Server } {
  const server = createServer({ noDelay: true });
  return { server, accepted: server };
}

function portOf(server: Server): number | undefined {
  const bound = server.address();
  return typeof bound === 'object' && bound ? bound.port : undefined;
}

/** The address as it is written in options. */
export const textOf = (address: ListenAddress): string => formatListen(address);
