/**
 * Remembers the node that an interface has just left. This node relays copies until every sender
 * has the new program.
 */
import type { Interface } from '@mirrorplane/contract';
import { forDiffering, foundIn } from '@mirrorplane/planner';

/** Milliseconds that a node keeps receiving for a destination that has left it. */
export const LINGER_MS = 2000;

type Place = Pick<Interface, 'id' | 'devices' | 'home'>;

/** Remembers, between plannings, where interfaces had a second device. */
export class OriginNodes {
  readonly #clock: () => number;
  /** The interfaces of the previous planning. */
  #last: readonly Place[] = [];
  readonly #left = new Map<string, { node: string; until: number }>();

  /** @param clock milliseconds, monotonic */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /**
   * Processes the current interfaces, sorted by id.
   * @returns by interface: the node that it has left
   */
  look(interfaces: readonly Place[]): ReadonlyMap<string, string> {
    const now = this.#clock();
    forDiffering(this.#last, interfaces, (id, item) => this.#take(id, item, now));
    this.#last = interfaces;
    for (const [id, { node, until }] of this.#left) {
      const item = foundIn(interfaces, id);
      if (until <= now || item === undefined || nodesOf(item).includes(node)) {
        this.#left.delete(id);
      }
    }
    return new Map([...this.#left].map(([id, { node }]) => [id, node]));
  }

  #take(id: string, item: Place | undefined, now: number): void {
    const last = foundIn(this.#last, id);
    if (item === undefined || last === undefined) {
      return;
    }
    const [before, nodes] = [nodesOf(last), nodesOf(item)];
    const gone = before.filter((node) => !nodes.includes(node));
    const { home } = item;
    // If the interface had only one device and then none for a moment, no sender has a path to
    // another node.
    if (home !== undefined && nodes.includes(home) && before.includes(home) && gone.length > 0) {
      this.#left.set(id, { node: gone.at(-1)!, until: now + LINGER_MS });
    }
  }

  /** Milliseconds until the next node is forgotten. Undefined if there is none. */
  get due(): number | undefined {
    if (this.#left.size === 0) {
      return undefined;
    }
    return Math.max(0, Math.min(...[...this.#left.values()].map(({ until }) => until)) - this.#clock());
  }
}

/** Nodes where it has a device. */
function nodesOf({ devices }: Place): string[] {
  return devices.map(({ node }) => node);
}
