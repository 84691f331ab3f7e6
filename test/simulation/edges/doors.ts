/**
 * Stands in for the ports of a follower: connections of agents wait for a leader as long as they do
 * there, and are handed on whole, not byte by byte.
 */

import { simulation } from '../core/simulation.ts';
import type { Listener, Offer } from '../world/network.ts';
import { setTimeout as sleep } from './timers-promises.ts';
import type { Tunnel } from './tunnel.ts';

/** As in the product, milliseconds. */
const WAIT_MS = 8000;
const PAUSE_MS = 50;

interface Options {
  tunnel: (client: object) => Promise<Tunnel>;
}

export class Doors {
  readonly #options: Options;
  readonly #joined = new Set<() => void>();
  #listener: Listener | undefined;
  #closed = false;

  constructor(options: Options) {
    this.#options = options;
  }

  async openAgents({ port }: { port: number }): Promise<number> {
    const { network, scheduler } = simulation();
    const process = scheduler.current!;
    this.#listener = { process, host: process.name, offered: (offer) => void this.#take(offer) };
    network.listen(this.#listener);
    return port;
  }

  async openApi<T>(address: T): Promise<T> {
    return address;
  }

  cut(): void {
    for (const end of this.#joined) {
      end();
    }
    this.#joined.clear();
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#listener) {
      simulation().network.unlisten(this.#listener);
    }
    this.cut();
  }

  async #take(offer: Offer): Promise<void> {
    const end = performance.now() + WAIT_MS;
    while (!this.#closed && !offer.isOver()) {
      const tunnel = await this.#options.tunnel({}).catch(() => undefined);
      if (tunnel && !this.#closed && !offer.isOver()) {
        const { host, process } = this.#listener!;
        this.#joined.add(offer.handOn(tunnel.to, { host, process }));
        return;
      }
      if (performance.now() > end) {
        break;
      }
      await sleep(PAUSE_MS);
    }
    offer.drop();
  }
}
