/** The part of a look on one node: what it has counted, over new beginnings of the node's agent. */
import { type LookNode, type LookTotals, type LookUnseen, NO_LOOK_TOTALS } from '@mirrorplane/contract';
import type { LookFeed } from './kept-packet.ts';

type Counted = NonNullable<LookFeed['counts']>;

const COUNTED = ['seen', 'written', 'overRate', 'ringFull', 'lostOnTheWay', 'dropsHeard', 'dropsLost'] as const;

/** Sums counts that begin again when the agent of the node does. */
export class NodeShare {
  readonly node: string;
  #state: LookNode['state'] = 'asked';
  #message: string | undefined;
  /** Counts of beginnings before this one. */
  #before: Counted = NO_LOOK_TOTALS;
  #counts: Counted = NO_LOOK_TOTALS;
  #received = 0;
  #unbelieved = 0;
  #run: number | undefined;
  #looking = false;
  #unseen: readonly LookUnseen[] = [];
  #unheard: string | undefined;
  /** Lost packets that no kept packet tells of so far. */
  #untold = 0;

  constructor(node: string) {
    this.node = node;
  }

  get state(): LookNode['state'] {
    return this.#state;
  }

  /** True from the first thing that the node told until it has told the last. */
  get looking(): boolean {
    return this.#looking;
  }

  /** The node is asked, looks, refuses, or does not look any more. */
  set(state: LookNode['state'], message?: string): void {
    this.#state = state;
    this.#message = message;
  }

  /** The look has ended on the node, and nothing more of it comes from there. */
  end(message?: string): void {
    this.#looking = false;
    this.set('away', message);
  }

  /** Notes what a node tells, except its packets. */
  note({ run, counts, unseen, unheard, packets = [], unbelieved = 0 }: LookFeed): void {
    // What comes late from a node that does not look any more changes nothing of that.
    if (this.#state !== 'away') {
      this.set('running');
    }
    this.#looking = true;
    this.#received += packets.length;
    if (run !== this.#run) {
      this.#run = run;
      this.#before = sumOf(this.#before, this.#counts);
      this.#counts = NO_LOOK_TOTALS;
    }
    if (unseen !== undefined) {
      this.#unseen = unseen;
      this.#unheard = unheard;
    }
    const lost = lostOf(this.totals());
    this.#counts = counts ?? this.#counts;
    this.#unbelieved += unbelieved;
    // Counts of a node that lies may go back.
    this.#untold = Math.max(0, plus(this.#untold, lostOf(this.totals()) - lost));
  }

  /** Packets that were lost before the next one that is kept. They are told once. */
  takeLost(): number {
    const lost = this.#untold;
    this.#untold = 0;
    return lost;
  }

  totals(): LookTotals {
    const { lostOnTheWay, ...counts } = sumOf(this.#before, this.#counts);
    return { ...counts, lostOnTheWay: plus(lostOnTheWay, this.#unbelieved), received: this.#received };
  }

  describe(): LookNode {
    return {
      node: this.node,
      state: this.#state,
      ...(this.#message !== undefined && { message: this.#message }),
      counts: this.totals(),
      unseen: [...this.#unseen],
      ...(this.#unheard !== undefined && { unheard: this.#unheard }),
    };
  }
}

/** A sum of counts. A node may tell any, and each has to stay a whole number that is exact. */
export const plus = (a: number, b: number): number => Math.min(a + b, Number.MAX_SAFE_INTEGER);

const lostOf = ({ overRate, ringFull, lostOnTheWay }: Counted) => plus(plus(overRate, ringFull), lostOnTheWay);

function sumOf(a: Counted, b: Counted): Counted {
  const sum = { ...a };
  for (const name of COUNTED) {
    sum[name] = plus(sum[name], b[name]);
  }
  return sum;
}

/** Counts of all nodes of a look. */
export function totalsOf(shares: Iterable<NodeShare>): LookTotals {
  const sum = { ...NO_LOOK_TOTALS };
  for (const share of shares) {
    const totals = share.totals();
    for (const name of Object.keys(sum) as (keyof LookTotals)[]) {
      sum[name] = plus(sum[name], totals[name]);
    }
  }
  return sum;
}
