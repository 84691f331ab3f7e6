/**
 * Connections of clients that another controller has accepted, and hands on to the leader. The
 * other controller says who the client is. The leader believes it, because it has proven to be a
 * controller.
 */
import type { Server as HttpServer } from 'node:http';
import { isIP, type Server, type Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import * as z from 'zod';
import { type Peer, PROXY_HEADERS, type ProxyHeader, TrustedProxies, UNIX } from '../auth/proxies.ts';

/** Path of the request that begins a tunnel, and the protocol that it asks for. */
export const TUNNEL_PATH = '/controllers/tunnel';
export const TUNNEL_PROTOCOL = 'mirrorplane-tunnel';
/** Header of that request: a `TunnelledClient` as JSON. */
export const CLIENT_HEADER = 'mirrorplane-client';

/** A client of another controller. */
export const TunnelledClient = z.object({
  /** Which port it has come to. */
  to: z.enum(['api', 'agents']),
  /** Its IP address, or `unix`. */
  address: z.string().refine((text) => text === UNIX || isIP(text) !== 0),
  /** Whether it speaks TLS with the other controller. What comes here is in the clear, within TLS between controllers. */
  byTls: z.boolean(),
  /** The proxies that the other controller believes, and their header. */
  proxies: z.array(z.string().max(64)).max(256),
  proxyHeader: z.enum(PROXY_HEADERS),
});
export type TunnelledClient = z.infer<typeof TunnelledClient>;

/** Reads the header. Undefined: it is none. */
export function readClient(text: unknown): TunnelledClient | undefined {
  try {
    return TunnelledClient.parse(JSON.parse(String(text)));
  } catch {
    return undefined;
  }
}

interface Tunnel extends TunnelledClient {
  trusted: TrustedProxies;
}

type Ends = Pick<Socket, 'remoteAddress' | 'remotePort' | 'localAddress' | 'localPort'>;

export class Tunnels {
  /**
   * By both ends of the connection: what is inside of the tunnel has the same ends. A client of
   * another port of this host may come from the same address and port as the other controller.
   */
  readonly #open = new Map<string, Tunnel>();
  readonly #servers: Partial<Record<TunnelledClient['to'], Server>> = {};

  /** Names the server of connections to one kind of port. */
  serve(to: TunnelledClient['to'], server: Server | HttpServer): void {
    this.#servers[to] = server;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Takes a connection whose other end is a controller. @throws Error if the client cannot be served */
  accept(socket: TLSSocket, client: TunnelledClient, head: Buffer): void {
    const server = this.#servers[client.to];
    if (server === undefined) {
      throw new Error(`this controller serves no clients of "${client.to}" yet`);
    }
    const trusted = new TrustedProxies(client.proxies, client.proxyHeader);
    const key = keyOf(socket);
    this.#open.set(key, { ...client, trusted });
    socket.once('close', () => this.#open.delete(key));
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${TUNNEL_PROTOCOL}\r\n\r\n`);
    if (head.length > 0) {
      socket.unshift(head);
    }
    server.emit('connection', socket);
  }

  /** Address of the client at the other end, also where it is behind another controller. */
  addressOf(socket: Ends): string | undefined {
    return this.#of(socket)?.address ?? socket.remoteAddress;
  }

  /**
   * The other end of a connection to the API, and the proxies that are believed there.
   * @param own the proxies of this controller
   */
  peerOf(socket: Ends & Peer, own: TrustedProxies): { peer: Peer; proxies: TrustedProxies } {
    const tunnel = this.#of(socket);
    if (tunnel === undefined) {
      return { peer: socket, proxies: own };
    }
    const remoteAddress = tunnel.address === UNIX ? undefined : tunnel.address;
    return { peer: { remoteAddress, encrypted: tunnel.byTls }, proxies: tunnel.trusted };
  }

  #of(socket: Ends): Tunnel | undefined {
    return this.#open.size === 0 ? undefined : this.#open.get(keyOf(socket));
  }
}

const keyOf = ({ remoteAddress, remotePort, localAddress, localPort }: Ends) =>
  `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;

export type { ProxyHeader };
