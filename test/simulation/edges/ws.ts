/** Stands in for the library `ws`. */
import { simulation } from '../core/simulation.ts';
import type { Offer } from '../world/network.ts';
import { VirtualSocket } from '../world/socket.ts';

export type { RawData } from 'ws';

/** Milliseconds that TCP has where the product gives up soon. */
const SOON_MS = 450;
const HANDSHAKE_MS = 10_000;

interface Options {
  /** What the simulated process shows in place of a certificate. */
  cert?: string;
  headers?: Record<string, string>;
  handshakeTimeout?: number;
  createConnection?: unknown;
}

export class WebSocket extends VirtualSocket {
  constructor(url: string, { cert = '', headers = {}, handshakeTimeout, createConnection }: Options) {
    const running = simulation();
    super(running.scheduler.current!);
    const { hostname, pathname } = new URL(url);
    running.dial(this, {
      ...{ host: hostname, path: pathname, headers, certificate: cert },
      handshakeMs: handshakeTimeout ?? HANDSHAKE_MS,
      connectMs: createConnection ? SOON_MS : undefined,
    });
  }
}

/** The side that takes connections, where the product has a request in its hands already. */
export class WebSocketServer {
  handleUpgrade(_request: unknown, socket: unknown, _head: unknown, take: (socket: VirtualSocket) => void): void {
    take((socket as Offer).accept());
  }
}
