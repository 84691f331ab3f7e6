/** Totals of one kind of report over all epochs, and what they were a while ago. */
import { addCount, type Count, ZERO } from '@mirrorplane/contract';
import type { CountedRow } from '@mirrorplane/planner';
import type { CounterJudge, RefusedCount } from './counted.ts';
import type { CheckCount, EveryCount } from './every-count.ts';

/** Counts by name, one level deep: `dropped.noDelivery` beside `matched`. */
type Flat = Record<string, Count>;

export interface SavedTotal<R> {
  /** The last report, which also has the names. */
  last: R;
  /** Sum over all earlier epochs. */
  base: Flat;
}

/** @template M what is remembered of an earlier sum */
interface Total<R, M> extends SavedTotal<R> {
  /** The period in which the sum was changed last. */
  period: number;
  /** The sum at the begin of that period, and of the one before. Undefined: there was none. */
  newer?: M | undefined;
  older?: M | undefined;
}

const isCount = (value: unknown): value is Count =>
  typeof value === 'object' && value !== null && 'packets' in value && 'bytes' in value;

function flatten(value: object, prefix = '', into: Flat = {}): Flat {
  for (const [name, field] of Object.entries(value)) {
    if (isCount(field)) {
      into[prefix + name] = field;
    } else if (typeof field === 'object' && field !== null) {
      flatten(field, `${prefix}${name}.`, into);
    }
  }
  return into;
}

/**
 * A copy of which no part is shared: equal parts of a report may be one object. Nothing is added to
 * lists.
 */
function copyOf(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === 'object' && field !== null && !Array.isArray(field) ? copyOf(field) : field,
    ]),
  );
}

/** A copy of `report` with `base` added to its counts. */
function plus<R extends object>(report: R, base: Flat): R {
  const sum = copyOf(report);
  for (const [path, count] of Object.entries(base)) {
    const names = path.split('.');
    const last = names.pop()!;
    const parent = names.reduce((at, name) => at[name] as Record<string, unknown>, sum);
    parent[last] = isCount(parent[last]) ? addCount(parent[last], count) : count;
  }
  return sum as R;
}

/** Of a count of `next` and one of `last`, or the other way round. */
const isNoLess: CheckCount = (count, now) => (now?.packets ?? 0) >= count.packets;
const isNoMore: CheckCount = (count, before) => count.packets <= (before?.packets ?? 0);

/**
 * The fastest possible growth in a second: sixteen links of 400 Gbit/s, with small frames for
 * packets and large ones for bytes.
 */
const MAX_PER_SECOND: Count = { packets: 1e10, bytes: 1e12 };
/** The accepted delay of readings, seconds. */
const LATE_SECONDS = 60;

/** Whether a count has grown as far as is possible in this time. */
function isPossibleIn(seconds: number): CheckCount {
  const most = Math.max(0, seconds) + LATE_SECONDS;
  const [packetsAtMost, bytesAtMost] = [most * MAX_PER_SECOND.packets, most * MAX_PER_SECOND.bytes];
  return ({ packets, bytes }, before = ZERO) =>
    packets - before.packets <= packetsAtMost && bytes - before.bytes <= bytesAtMost;
}

/** A judge for one kind of report. */
export interface JudgeOf<R> {
  fits: (report: R) => boolean;
  owns: (report: R) => boolean | 'unknown';
  seconds: CounterJudge['seconds'];
  mayBring: CounterJudge['mayBring'];
}

/** The most counts of each kind that a node may bring along from an earlier record. */
const MOST_BROUGHT = 4096;

/**
 * How one kind of report is kept.
 * @template B what of an earlier sum is compared with later ones @template M how that is remembered
 */
export interface Kind<R, B, M = B> {
  id: (report: R) => string;
  /** The same report, with parts of an earlier one where they are equal. */
  slim: (report: R, like: R | undefined) => R;
  every: EveryCount<R>;
  remember: (sum: R) => M;
  recall: (remembered: M) => B;
}

/** Totals of one kind of report, by id. */
export class Totals<R extends { policy: string; life?: number | undefined }, B, M = B> {
  readonly #totals = new Map<string, Total<R, M>>();
  readonly #byPolicy = new Map<string, Set<Total<R, M>>>();
  readonly #kind: Kind<R, B, M>;
  /** Periods that have passed. */
  #period = 0;
  /** Foreign counts of the first report. While they stay as they are, they are nobody's fault. */
  readonly #brought = new Map<string, R>();

  constructor(kind: Kind<R, B, M>, saved: [string, SavedTotal<R>][] = []) {
    this.#kind = kind;
    for (const [id, { last, base }] of saved) {
      this.#add(id, { last: kind.slim(last, undefined), base, period: 0 });
    }
  }

  #add(id: string, total: Total<R, M>): void {
    this.#totals.set(id, total);
    const { policy } = total.last;
    this.#byPolicy.set(policy, (this.#byPolicy.get(policy) ?? new Set()).add(total));
  }

  /**
   * @param refuse called for each refused count, and for each that cannot be judged yet
   * @param judge left out: everything is accepted
   * @param grown called for each accepted report, with the one before; left out where counting began again
   */
  take(
    reports: readonly R[],
    newEpoch: boolean,
    judge: JudgeOf<R> | undefined,
    refuse: (why: RefusedCount | undefined, id: string) => void,
    grown: (report: R, before?: R) => void,
  ): void {
    if (newEpoch) {
      for (const total of this.#totals.values()) {
        fold(total);
      }
    }
    for (const told of reports) {
      const id = this.#kind.id(told);
      const total = this.#totals.get(id);
      const report = this.#kind.slim(told, total?.last);
      const fits = !judge || judge.fits(report);
      const owns = fits && (!judge || total !== undefined || judge.owns(report));
      if (owns !== true) {
        const isFault =
          owns === false && !(fits && this.#isBrought(id, report, judge?.mayBring(report.policy) === true));
        refuse(isFault ? 'foreign' : undefined, id);
        continue;
      }
      this.#brought.delete(id);
      if (!total) {
        const tooMuch = judge && this.#grewTooFast(undefined, report, judge.seconds(report.policy, false));
        if (tooMuch) {
          refuse('implausible', id);
        }
        const base = tooMuch ? negative(flatten(report)) : NO_BASE;
        this.#add(id, { last: report, base, period: this.#period });
        continue;
      }
      this.#remember(total);
      const another = newEpoch || (total.last.life !== undefined && total.last.life !== report.life);
      // True if a counter is smaller than before, because counting started again from 0.
      const back = !this.#kind.every(total.last, report, isNoLess);
      const why =
        judge && back && !another
          ? 'backward'
          : judge && this.#grewTooFast(another ? undefined : total.last, report, judge.seconds(report.policy, true))
            ? 'implausible'
            : undefined;
      if (why !== undefined) {
        // The total stays unchanged. Later counts continue from here.
        refuse(why, id);
        total.base = difference(flatten(plus(total.last, total.base)), flatten(report));
      } else {
        grown(report, another || back ? undefined : total.last);
        if (!newEpoch && (another || back)) {
          fold(total);
        }
      }
      total.last = report;
    }
  }

  /** Whether a foreign count was brought along, and has not grown since. */
  #isBrought(id: string, report: R, isNew: boolean): boolean {
    if (isNew && this.#brought.size < MOST_BROUGHT) {
      this.#brought.set(id, report);
    }
    const brought = this.#brought.get(id);
    const isAsBefore = brought !== undefined && brought.life === report.life;
    return isAsBefore && this.#kind.every(report, brought, isNoMore);
  }

  /** True if a counter has grown faster than possible in this time. @param last undefined: from 0 */
  #grewTooFast(last: R | undefined, report: R, seconds: number): boolean {
    return !this.#kind.every(report, last, isPossibleIn(seconds));
  }

  /** Forgets policies that no longer exist. @returns whether there were any */
  prune(keep: (policy: string) => boolean): boolean {
    if (this.#byPolicy.keys().every(keep)) {
      return false;
    }
    for (const [id, { last }] of this.#totals) {
      if (!keep(last.policy)) {
        this.#totals.delete(id);
        this.#byPolicy.delete(last.policy);
      }
    }
    return true;
  }

  /** Policies that have a total. */
  policies(): Iterable<string> {
    return this.#byPolicy.keys();
  }

  /** The sums of one policy, and what they were two periods ago. */
  counted(policy: string, isCompared: boolean): CountedRow<R, B>[] {
    return [...(this.#byPolicy.get(policy) ?? [])].map((total) => {
      const before = isCompared ? this.#older(total) : undefined;
      return { report: sumOf(total), ...(before && { before }) };
    });
  }

  /** A period has passed. What it was at its end is remembered by the next change of each total. */
  tick(): void {
    this.#period++;
  }

  /** The sum is about to change: remembers what it was at the end of the last two periods. */
  #remember(total: Total<R, M>): void {
    const periods = this.#period - total.period;
    if (periods > 0) {
      const sum = this.#kind.remember(sumOf(total));
      total.older = periods > 1 ? sum : total.newer;
      total.newer = sum;
      total.period = this.#period;
    }
  }

  /** The sum two periods ago. Undefined: there was none. */
  #older(total: Total<R, M>): B | undefined {
    const periods = this.#period - total.period;
    const { remember, recall } = this.#kind;
    const older = periods === 0 ? total.older : periods === 1 ? total.newer : remember(sumOf(total));
    return older && recall(older);
  }

  sums(): R[] {
    return [...this.#totals.values()].map(sumOf);
  }

  save(): [string, SavedTotal<R>][] {
    return [...this.#totals].map(([id, { last, base }]) => [id, { last, base }]);
  }
}

/** Most totals have no earlier epochs. Nobody changes it. */
const NO_BASE: Flat = Object.freeze({});

function sumOf<R extends object>({ last, base }: SavedTotal<R>): R {
  return base === NO_BASE || Object.keys(base).length === 0 ? last : plus(last, base);
}

function difference(a: Flat, b: Flat): Flat {
  const paths = new Set([...Object.keys(a), ...Object.keys(b)]);
  return Object.fromEntries(
    [...paths].map((path) => {
      const [x, y] = [a[path] ?? ZERO, b[path] ?? ZERO];
      return [path, { packets: x.packets - y.packets, bytes: x.bytes - y.bytes }];
    }),
  );
}

function negative(flat: Flat): Flat {
  return difference({}, flat);
}

/** Moves the last counts into the base and sets them to 0. */
function fold<R extends object>(total: SavedTotal<R>): void {
  total.base = flatten(plus(total.last, total.base));
  const zero = copyOf(total.last);
  clear(zero);
  total.last = zero as R;
}

function clear(value: object): void {
  for (const [name, field] of Object.entries(value)) {
    if (isCount(field)) {
      Object.assign(value, { [name]: { packets: 0, bytes: 0 } });
    } else if (Array.isArray(field)) {
      Object.assign(value, { [name]: [] });
    } else if (typeof field === 'object' && field !== null) {
      clear(field);
    }
  }
}
