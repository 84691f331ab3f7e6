/**
 * Nodes whose agents send messages that cannot be taken. Such an agent connects again at once, and
 * tells all that it knows. Where it says the same each time, it would go on so for ever, and all
 * agents of its version with it. So a node has to wait after some of them, longer each time.
 *
 * A sender is the name of a node, or the name and an address: a connection that is not accepted says
 * nothing about the agent of the node.
 */

/** Bad messages in turn without a pause: the whole that an agent tells mends most of them. */
const FREE = 8;
/** Milliseconds of a pause: the first one, and the longest. Each is twice the one before. */
const PAUSE_MS = { first: 1000, longest: 60_000 } as const;
/** Senders that are remembered: the ones that sent a bad message last. */
const MOST_SENDERS = 4096;
/** Milliseconds without a bad message after which those before are forgotten. */
const FORGET_MS = 10 * 60 * 1000;

interface Told {
  count: number;
  /** When the last one came. */
  at: number;
}

export class BadMessages {
  /** By sender, the last one at the end. */
  readonly #senders = new Map<string, Told>();
  readonly #now: () => number;

  /** @param now milliseconds of a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** A sender has sent one. */
  add(sender: string): void {
    const now = this.#now();
    const count = (this.#senders.get(sender)?.count ?? 0) + 1;
    this.#senders.delete(sender);
    this.#senders.set(sender, { count, at: now });
    for (const [name, { at }] of this.#senders) {
      if (this.#senders.size <= MOST_SENDERS && now - at <= FORGET_MS) {
        break;
      }
      this.#senders.delete(name);
    }
  }

  /** The node joins again: perhaps with another agent. */
  forget(node: string): void {
    this.#senders.delete(node);
  }

  /** Milliseconds until a sender may connect again. 0: it may. */
  pauseOf(sender: string): number {
    const told = this.#senders.get(sender);
    if (told === undefined || told.count <= FREE) {
      return 0;
    }
    const pause = Math.min(PAUSE_MS.longest, PAUSE_MS.first * 2 ** (told.count - FREE - 1));
    return Math.max(0, told.at + pause - this.#now());
  }
}
