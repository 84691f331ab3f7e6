/** The part of a look on one node: what it has counted, over new beginnings of the node's agent. */
import { type LookNode, type LookTotals, type LookUnseen, NO_LOOK_TOTALS } from '@mirrorplane/contract';
import type { LookFeed } from './kept-packet.ts';

type Counted = NonNullable<LookFeed['counts']>;

const COUNTED = ['seen', 'written', 'overRate', 'ringFull', 'lostOnTheWay'] as const;

/** Sums counts that begin again when the agent of the node does. */
export class NodeShare {
  readonly node: string;
  #state: LookNode['state'] = 'asked';
  #message: string | undefined;
  /** Counts of beginnings before this one. */
  #before: Counted = NO_LOOK_TOTALS;
  #counts: Counted = NO_LOOK_TOTALS;
  #received = 0;
  #unseen: readonly LookUnseen[] = [];
  /** Lost packets that no kept packet tells of so far. */
  #untold = 0;

  constructor(node: string) {
    this.node = node;
  }

  get state(): LookNode['state'] {
    return this.#state;
  }

  /** The node is asked, looks, refuses, or does not look any more. */
  set(state: LookNode['state'], message?: string): void {
    this.#state = state;
    this.#message = message;
  }

  /** Notes what a node tells, except its packets. */
  note({ counts, unseen, packets = [] }: LookFeed): void {
    this.set('running');
    this.#received += packets.length;
    if (unseen !== undefined) {
      this.#unseen = unseen;
    }
    if (counts !== undefined) {
      const lost = lostOf(this.totals());
      if (COUNTED.some((name) => counts[name] < this.#counts[name])) {
        this.#before = sumOf(this.#before, this.#counts);
      }
      this.#counts = counts;
      this.#untold += lostOf(this.totals()) - lost;
    }
  }

  /** Packets that were lost before the next one that is kept. They are told once. */
  takeLost(): number {
    const lost = this.#untold;
    this.#untold = 0;
    return lost;
  }

  totals(): LookTotals {
    return { ...sumOf(this.#before, this.#counts), received: this.#received };
  }

  describe(): LookNode {
    return {
      node: this.node,
      state: this.#state,
      ...(this.#message !== undefined && { message: this.#message }),
      counts: this.totals(),
      unseen: [...this.#unseen],
    };
  }
}

const lostOf = ({ overRate, ringFull, lostOnTheWay }: Counted) => overRate + ringFull + lostOnTheWay;

function sumOf(a: Counted, b: Counted): Counted {
  const sum = { ...a };
  for (const name of COUNTED) {
    sum[name] += b[name];
  }
  return sum;
}

/** Counts of all nodes of a look. */
export function totalsOf(shares: Iterable<NodeShare>): LookTotals {
  const sum = { ...NO_LOOK_TOTALS };
  for (const share of shares) {
    const totals = share.totals();
    for (const name of Object.keys(sum) as (keyof LookTotals)[]) {
      sum[name] += totals[name];
    }
  }
  return sum;
}
