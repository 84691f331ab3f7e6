/** Totals of one kind of report over all epochs, and what they were a while ago. */
import { addCount, type Count, ZERO } from '@mirrorplane/contract';
import type { CountedRow } from '@mirrorplane/planner';
import type { CounterJudge, RefusedCount } from './counted.ts';

/** Counts by name, one level deep: `dropped.noDelivery` beside `matched`. */
type Flat = Record<string, Count>;

export interface SavedTotal<R> {
  /** The last report, which also has the names. */
  last: R;
  /** Sum over all earlier epochs. */
  base: Flat;
}

/** @template B what is remembered of an earlier sum */
interface Total<R, B> extends SavedTotal<R> {
  /** The sum one period ago, and two periods ago. Undefined: there was none. */
  newer?: B | undefined;
  older?: B | undefined;
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

/** A copy of which no part is shared: equal parts of a report may be one object. */
function copyOf(value: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(value).map(([name, field]) => [
      name,
      typeof field === 'object' && field !== null ? copyOf(field) : field,
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

/**
 * Whether every count of a report passes. Without a list of all counts, because reports come all the time.
 * @param check gets a count, and that of the same name in `other`, if there is one
 */
function everyCount(
  report: object,
  other: object | undefined,
  check: (count: Count, other?: Count) => boolean,
): boolean {
  for (const name in report) {
    const field = (report as Record<string, unknown>)[name];
    if (typeof field !== 'object' || field === null) {
      continue;
    }
    const same = (other as Record<string, unknown> | undefined)?.[name];
    const passes = isCount(field)
      ? check(field, same as Count | undefined)
      : everyCount(field, same as object | undefined, check);
    if (!passes) {
      return false;
    }
  }
  return true;
}

/** True if a counter of `next` is smaller than in `last`, because counting started again from 0. */
function fellBehind(last: object, next: object): boolean {
  return !everyCount(last, next, (count, now) => (now?.packets ?? 0) >= count.packets);
}

/**
 * The fastest possible growth in a second: sixteen links of 400 Gbit/s, with small frames for
 * packets and large ones for bytes.
 */
const MAX_PER_SECOND: Count = { packets: 1e10, bytes: 1e12 };
/** The accepted delay of readings, seconds. */
const LATE_SECONDS = 60;

/** True if a counter has grown faster than possible in this time. @param last undefined: from 0 */
function grewTooFast(last: object | undefined, next: object, seconds: number): boolean {
  const most = Math.max(0, seconds) + LATE_SECONDS;
  return !everyCount(
    next,
    last,
    ({ packets, bytes }, before = ZERO) =>
      packets - before.packets <= most * MAX_PER_SECOND.packets && bytes - before.bytes <= most * MAX_PER_SECOND.bytes,
  );
}

/** True if a counter of `next` is larger than in `last`. */
function hasGrown(last: object, next: object): boolean {
  return !everyCount(next, last, (count, before) => count.packets <= (before?.packets ?? 0));
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

/** How one kind of report is kept. */
export interface Kind<R, B> {
  id: (report: R) => string;
  /** The same report, with parts of an earlier one where they are equal. */
  slim: (report: R, like: R | undefined) => R;
  /** What of a sum is compared with later ones. */
  remember: (sum: R) => B;
}

/** Totals of one kind of report, by id. */
export class Totals<R extends { policy: string; life?: number | undefined }, B> {
  readonly #totals = new Map<string, Total<R, B>>();
  readonly #byPolicy = new Map<string, Set<Total<R, B>>>();
  readonly #kind: Kind<R, B>;
  /** Foreign counts of the first report. While they stay as they are, they are nobody's fault. */
  readonly #brought = new Map<string, R>();

  constructor(kind: Kind<R, B>, saved: [string, SavedTotal<R>][] = []) {
    this.#kind = kind;
    for (const [id, { last, base }] of saved) {
      this.#add(id, { last: kind.slim(last, undefined), base });
    }
  }

  #add(id: string, total: Total<R, B>): void {
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
        const tooMuch = judge && grewTooFast(undefined, report, judge.seconds(report.policy, false));
        if (tooMuch) {
          refuse('implausible', id);
        }
        this.#add(id, { last: report, base: tooMuch ? negative(flatten(report)) : NO_BASE });
        continue;
      }
      const another = newEpoch || (total.last.life !== undefined && total.last.life !== report.life);
      const back = fellBehind(total.last, report);
      const why =
        judge && back && !another
          ? 'backward'
          : judge && grewTooFast(another ? undefined : total.last, report, judge.seconds(report.policy, true))
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
    return brought !== undefined && brought.life === report.life && !hasGrown(brought, report);
  }

  prune(keep: (policy: string) => boolean): void {
    for (const [id, { last }] of this.#totals) {
      if (!keep(last.policy)) {
        this.#totals.delete(id);
        this.#byPolicy.delete(last.policy);
      }
    }
  }

  /** Policies that have a total. */
  policies(): Iterable<string> {
    return this.#byPolicy.keys();
  }

  /** The sums of one policy, and what they were two periods ago. */
  counted(policy: string, isCompared: boolean): CountedRow<R, B>[] {
    return [...(this.#byPolicy.get(policy) ?? [])].map((total) => ({
      report: sumOf(total),
      ...(isCompared && total.older && { before: total.older }),
    }));
  }

  /** A period has passed. */
  tick(): void {
    for (const total of this.#totals.values()) {
      total.older = total.newer;
      total.newer = this.#kind.remember(sumOf(total));
    }
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
    } else if (typeof field === 'object' && field !== null) {
      clear(field);
    }
  }
}
