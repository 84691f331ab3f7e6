/** All nodes, as `LiveNodes` and its parts keep them. */
import { type KeptNode, newNode } from './live-node.ts';
import { type DeviceRoom, MOST_DEVICES } from './node-traffic.ts';

export class KeptNodes {
  readonly all = new Map<string, KeptNode>();
  readonly #clock: () => number;
  /** Milliseconds of a clock that does not jump, for rates. */
  readonly steady: () => number;
  readonly #room: DeviceRoom = { used: 0, most: MOST_DEVICES };

  /** @param clock milliseconds since 1970 @param steady milliseconds of a clock that does not jump */
  constructor(clock: () => number, steady: () => number) {
    this.#clock = clock;
    this.steady = steady;
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#clock();
  }

  get(name: string): KeptNode | undefined {
    return this.all.get(name);
  }

  /** The node; a new one where there is none. */
  ensure(name: string): KeptNode {
    const node = this.all.get(name) ?? newNode(name, this.now(), this.#room);
    this.all.set(name, node);
    return node;
  }

  delete(name: string): void {
    this.all.get(name)?.traffic.close();
    this.all.delete(name);
  }
}
