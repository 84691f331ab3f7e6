/** All nodes, as `LiveNodes` and its parts keep them. */
import { type KeptNode, newNode } from './live-node.ts';

export class KeptNodes {
  readonly all = new Map<string, KeptNode>();
  readonly #clock: () => number;

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
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
    const node = this.all.get(name) ?? newNode(name, this.now());
    this.all.set(name, node);
    return node;
  }
}
