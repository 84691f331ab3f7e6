/** Totals as the reports that they are made of: for kinds of which a node has few that change. */
import type { EveryCount } from './every-count.ts';
import {
  difference,
  type Flat,
  flatten,
  type Goes,
  NO_BASE,
  type SavedTotal,
  type Shelf,
  sumOf,
  zeroOf,
} from './shelf.ts';

interface Total<R> extends SavedTotal<R> {
  /** The period in which the sum was changed last. */
  period: number;
  /** The sum at the begin of that period, and of the one before. Undefined: there was none. */
  newer?: R | undefined;
  older?: R | undefined;
}

/** How one kind of report is kept. */
export interface Kind<R> {
  id: (report: R) => string;
  every: EveryCount<R>;
}

export class ObjectShelf<R extends { policy: string }> implements Shelf<R, R, Total<R>> {
  readonly #totals = new Map<string, Total<R>>();
  readonly #byPolicy = new Map<string, Total<R>[]>();
  readonly id: Kind<R>['id'];
  readonly every: Kind<R>['every'];
  /** Periods that have passed. */
  #period = 0;

  constructor({ id, every }: Kind<R>) {
    this.id = id;
    this.every = every;
  }

  find(report: R): Total<R> | undefined {
    return this.#totals.get(this.id(report));
  }

  add(report: R, isCounted: boolean): void {
    this.restore(report, isCounted ? NO_BASE : difference({}, flatten(report)));
  }

  restore(last: R, base: Flat): void {
    const total = { last, base, period: this.#period };
    this.#totals.set(this.id(last), total);
    const ofPolicy = this.#byPolicy.get(last.policy);
    if (ofPolicy) {
      ofPolicy.push(total);
    } else {
      this.#byPolicy.set(last.policy, [total]);
    }
  }

  last({ last }: Total<R>): R {
    return last;
  }

  put(total: Total<R>, report: R, goes: Goes): void {
    this.#remember(total);
    if (goes === 'stay') {
      total.base = difference(flatten(sumOf(total)), flatten(report));
    } else if (goes === 'again') {
      this.fold(total);
    }
    total.last = report;
  }

  fold(total: Total<R>): void {
    total.base = flatten(sumOf(total));
    total.last = zeroOf(total.last);
  }

  sum(total: Total<R>): R {
    return sumOf(total);
  }

  before(total: Total<R>): R | undefined {
    const periods = this.#period - total.period;
    return periods === 0 ? total.older : periods === 1 ? total.newer : sumOf(total);
  }

  saved({ last, base }: Total<R>): [string, SavedTotal<R>] {
    return [this.id(last), { last, base }];
  }

  tick(): void {
    this.#period++;
  }

  all(): Iterable<Total<R>> {
    return this.#totals.values();
  }

  of(policy: string): Iterable<Total<R>> {
    return this.#byPolicy.get(policy) ?? [];
  }

  policies(): Iterable<string> {
    return this.#byPolicy.keys();
  }

  remove(policy: string): void {
    for (const { last } of this.of(policy)) {
      this.#totals.delete(this.id(last));
    }
    this.#byPolicy.delete(policy);
  }

  /** The sum is about to change: remembers what it was at the end of the last two periods. */
  #remember(total: Total<R>): void {
    const periods = this.#period - total.period;
    if (periods > 0) {
      const sum = sumOf(total);
      total.older = periods > 1 ? sum : total.newer;
      total.newer = sum;
      total.period = this.#period;
    }
  }
}
