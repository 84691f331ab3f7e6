/**
 * Nodes whose agents send messages that cannot be taken. Such an agent connects again at once, and
 * tells all that it knows. Where it says the same each time, it would go on so for ever, and all
 * agents of its version with it. So a node has to wait after some of them, longer each time.
 */

/** Bad messages in turn without a pause: the whole that an agent tells mends most of them. */
const FREE = 8;
/** Milliseconds of a pause: the first one, and the longest. Each is twice the one before. */
const PAUSE_MS = { first: 1000, longest: 60_000 } as const;
/** Milliseconds without a bad message after which those before are forgotten. */
const FORGET_MS = 10 * 60 * 1000;

interface Told {
  count: number;
  /** When the last one came. */
  at: number;
}

export class BadMessages {
  readonly #nodes = new Map<string, Told>();
  readonly #now: () => number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** The agent of a node has sent one. */
  add(node: string): void {
    const now = this.#now();
    for (const [name, { at }] of this.#nodes) {
      if (now - at > FORGET_MS) {
        this.#nodes.delete(name);
      }
    }
    this.#nodes.set(node, { count: (this.#nodes.get(node)?.count ?? 0) + 1, at: now });
  }

  /** The node joins again: perhaps with another agent. */
  forget(node: string): void {
    this.#nodes.delete(node);
  }

  /** Milliseconds until the agent of a node may connect again. 0: it may. */
  pauseOf(node: string): number {
    const told = this.#nodes.get(node);
    if (told === undefined || told.count <= FREE) {
      return 0;
    }
    const pause = Math.min(PAUSE_MS.longest, PAUSE_MS.first * 2 ** (told.count - FREE - 1));
    return Math.max(0, told.at + pause - this.#now());
  }
}
