/** How often each agent reports its counters. Pure but for what it remembers. */
import { COUNTER_INTERVAL_MS } from '@mirrorplane/contract';

const { least, most } = COUNTER_INTERVAL_MS;
/**
 * So many agents may report once a second. With twice as many, each reports every two seconds. And
 * so many may be looked at.
 */
const AGENTS_A_SECOND = 100;
/** Milliseconds that a look at a policy lasts: whoever goes on looking asks again sooner. */
const LOOK_MS = 15_000;

export class CounterPace {
  readonly #clock: () => number;
  /** By node: until when somebody looks at it, on that clock. */
  readonly #looks = new Map<string, number>();
  #everyMs: number = least;
  #hurry: (node: string) => void = () => undefined;

  /** @param clock milliseconds of a clock that does not jump */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Calls `hurry` for each node that somebody begins to look at. */
  onLook(hurry: (node: string) => void): void {
    this.#hurry = hurry;
  }

  /** Sets the number of connected agents. */
  shareAmong(agents: number): void {
    const seconds = Math.ceil(agents / AGENTS_A_SECOND);
    this.#everyMs = Math.min(most, Math.max(least, seconds * 1000));
  }

  /** Somebody looks at counters of these nodes. Of more than fit into a second, the others stay as they are. */
  look(nodes: Iterable<string>): void {
    const now = this.#clock();
    for (const node of nodes) {
      const before = this.#looks.get(node);
      if (before === undefined && this.#looks.size >= AGENTS_A_SECOND) {
        return;
      }
      this.#looks.set(node, now + LOOK_MS);
      if (before === undefined) {
        this.#hurry(node);
      }
    }
  }

  /** Milliseconds between reports of a node at which nobody looks. */
  get everyMs(): number {
    return this.#everyMs;
  }

  /** Milliseconds between reports of a node, from now on. */
  of(node: string): number {
    const until = this.#looks.get(node);
    if (until === undefined) {
      return this.#everyMs;
    }
    if (until > this.#clock()) {
      return least;
    }
    this.#looks.delete(node);
    return this.#everyMs;
  }
}
