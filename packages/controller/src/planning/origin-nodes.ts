/**
 * Remembers the node that an interface has just left. This node relays copies until every sender
 * has the new program.
 */
import type { Interface } from '@mirrorplane/contract';

/** Milliseconds that a node keeps receiving for a destination that has left it. */
export const LINGER_MS = 2000;

type Place = Pick<Interface, 'id' | 'devices' | 'home'>;

/** Remembers, between plannings, where interfaces had a second device. */
export class OriginNodes {
  readonly #clock: () => number;
  /** By interface: nodes with a device in the previous planning. */
  #before: ReadonlyMap<string, readonly string[]> = new Map();
  readonly #left = new Map<string, { node: string; until: number }>();

  /** @param clock milliseconds, monotonic */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** Processes the current interfaces. Returns, by interface, the node that it has left. */
  look(interfaces: readonly Place[]): ReadonlyMap<string, string> {
    const now = this.#clock();
    const places = new Map(interfaces.map(({ id, devices }) => [id, devices.map(({ node }) => node)]));
    for (const { id, home } of interfaces) {
      const nodes = places.get(id)!;
      const gone = (this.#before.get(id) ?? []).filter((node) => !nodes.includes(node));
      // If the interface had only one device and then none for a moment, no sender has a path to
      // another node.
      if (
        home !== undefined &&
        nodes.includes(home) &&
        (this.#before.get(id) ?? []).includes(home) &&
        gone.length > 0
      ) {
        this.#left.set(id, { node: gone.at(-1)!, until: now + LINGER_MS });
      }
    }
    for (const [id, { node, until }] of this.#left) {
      if (until <= now || !places.has(id) || places.get(id)!.includes(node)) {
        this.#left.delete(id);
      }
    }
    this.#before = places;
    return new Map([...this.#left].map(([id, { node }]) => [id, node]));
  }

  /** Milliseconds until the next node is forgotten. Undefined if there is none. */
  get due(): number | undefined {
    if (this.#left.size === 0) {
      return undefined;
    }
    return Math.max(0, Math.min(...[...this.#left.values()].map(({ until }) => until)) - this.#clock());
  }
}
