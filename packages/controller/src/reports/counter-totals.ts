/** Sums the counters of a node over their epochs, so that a total never decreases. */
import type {
  CaptureReport,
  Count,
  CounterReport,
  DeliveryReport,
  PeerReport,
  TerminationReport,
} from '@mirrorplane/contract';
import { addCount, captureId, hookCaptureId, ZERO } from '@mirrorplane/contract';
import type { PreviousReport } from '@mirrorplane/planner';
import { addCaptureGrowth, addDeliveryGrowth, addTerminationGrowth, type Grown } from './grown.ts';

/** Counts by name, one level deep: `dropped.noDelivery` beside `matched`. */
type Flat = Record<string, Count>;

interface Total<R> {
  /** The last report, which also has the names. */
  last: R;
  /** Sum over all earlier epochs. */
  base: Flat;
}

/** The saved form. */
export interface SavedTotals {
  epoch: string;
  unknownErspan: { base: number; last: number };
  captures: [string, Total<CaptureReport>][];
  deliveries: [string, Total<DeliveryReport>][];
  terminations: [string, Total<TerminationReport>][];
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

/** A copy of `report` with `base` added to its counts. */
function plus<R extends object>(report: R, base: Flat): R {
  const sum = structuredClone(report) as Record<string, unknown>;
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

/** True if a counter of `next` is larger than in `last`. */
function hasGrown(last: object, next: object): boolean {
  return !everyCount(next, last, (count, before) => count.packets <= (before?.packets ?? 0));
}

/** Kinds of counters. */
export type Counted = 'capture' | 'delivery' | 'termination';
type ReportOf = { capture: CaptureReport; delivery: DeliveryReport; termination: TerminationReport };

/**
 * Why a count is refused. `foreign`: the node does not have the part. `backward`: it has decreased.
 * `implausible`: it has grown too fast.
 */
export type RefusedCount = 'foreign' | 'backward' | 'implausible';

/** Decides which counters a node may report. */
export interface CounterJudge {
  /** Whether a report names the policy, and the other node, that are in its id. */
  fits: (kind: Counted, report: ReportOf[Counted]) => boolean;
  /**
   * Whether the node has a part that it reports for the first time. `unknown`: the part belongs to
   * a policy that no longer exists, which is no fault.
   */
  owns: (kind: Counted, report: ReportOf[Counted]) => boolean | 'unknown';
  /**
   * The time in which the count can have grown, seconds: since the last reading, or else since the
   * policy was made.
   */
  seconds: (policy: string, before: boolean) => number;
  /**
   * Whether the node may have counted for this policy under an earlier record, which nobody
   * remembers: it has not told all its counters yet, and the policy is the older one. Such counts
   * are not taken, and no fault until they grow.
   */
  mayBring: (policy: string) => boolean;
}

/** Refused counts: the number of each kind, and one example. */
export type RefusedCounts = Map<RefusedCount, { count: number; example: string }>;

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

/** A judge for one kind of report. */
interface JudgeOf<R> {
  fits: (report: R) => boolean;
  owns: (report: R) => boolean | 'unknown';
  seconds: CounterJudge['seconds'];
  mayBring: CounterJudge['mayBring'];
}

/** The most counts of each kind that a node may bring along from an earlier record. */
const MOST_BROUGHT = 4096;

/** Totals of one kind of report, by id. */
class Totals<R extends { policy: string; life?: number | undefined }> {
  readonly #totals: Map<string, Total<R>>;
  readonly #id: (report: R) => string;
  /** Foreign counts of the first report. While they stay as they are, they are nobody's fault. */
  readonly #brought = new Map<string, R>();

  constructor(id: (report: R) => string, saved: [string, Total<R>][] = []) {
    this.#id = id;
    this.#totals = new Map(saved);
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
    for (const report of reports) {
      const id = this.#id(report);
      const total = this.#totals.get(id);
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
        this.#totals.set(id, { last: report, base: tooMuch ? negative(flatten(report)) : {} });
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
      }
    }
  }

  sums(): R[] {
    return [...this.#totals.values()].map(({ last, base }) => (Object.keys(base).length > 0 ? plus(last, base) : last));
  }

  save(): [string, Total<R>][] {
    return [...this.#totals];
  }
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
function fold<R extends object>(total: Total<R>): void {
  total.base = flatten(plus(total.last, total.base));
  const zero = structuredClone(total.last);
  clear(zero);
  total.last = zero;
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

// Keys of saved totals. They are the same in files of older versions.
const captureKey = ({ policy, source, direction }: CaptureReport) =>
  hookCaptureId(captureId(policy, source), direction);
const deliveryKey = ({ policy, delivery }: DeliveryReport) => `${policy}/${delivery}`;
const terminationKey = ({ policy, termination }: TerminationReport) => `${policy}/${termination}`;

/** The totals of one node. */
export class CounterTotals {
  #epoch: string | undefined;
  #unknownErspan = { base: 0, last: 0 };
  /** As the agent reports it. Only its growth matters. */
  #peers: PeerReport[] = [];
  #captures = new Totals<CaptureReport>(captureKey);
  #deliveries = new Totals<DeliveryReport>(deliveryKey);
  #terminations = new Totals<TerminationReport>(terminationKey);
  #older: PreviousReport | undefined;
  #newer: PreviousReport | undefined;
  #grown: Grown = new Map();
  /** True if a report was accepted since the last `save`. */
  changed = false;
  /** True if the last report had counts that were not taken over. A difference does not repeat them. */
  isIncomplete = false;

  /**
   * Adds a report. Parts that the report no longer mentions keep their last counts.
   * @param judge left out: everything is accepted
   * @returns the refused counts
   */
  take(report: CounterReport, judge?: CounterJudge): RefusedCounts {
    const refused: RefusedCounts = new Map();
    this.isIncomplete = false;
    const refuse = (why: RefusedCount | undefined, example: string) => {
      this.isIncomplete ||= why === undefined || why === 'foreign';
      if (why === undefined) {
        return;
      }
      refused.set(why, { example, count: (refused.get(why)?.count ?? 0) + 1 });
    };
    const judgeOf = (kind: Counted): JudgeOf<ReportOf[Counted]> | undefined =>
      judge && {
        fits: (one) => judge.fits(kind, one),
        owns: (one) => judge.owns(kind, one),
        seconds: judge.seconds,
        mayBring: judge.mayBring,
      };
    const newEpoch = this.#epoch !== undefined && this.#epoch !== report.epoch;
    const { base, last } = this.#unknownErspan;
    this.#unknownErspan = { base: newEpoch ? base + last : base, last: report.unknownErspan };
    this.#epoch = report.epoch;
    this.#peers = report.peers;
    this.#captures.take(report.captures, newEpoch, judgeOf('capture'), refuse, (now, before) =>
      addCaptureGrowth(this.#grown, now, before),
    );
    this.#deliveries.take(report.deliveries, newEpoch, judgeOf('delivery'), refuse, (now, before) =>
      addDeliveryGrowth(this.#grown, now, before),
    );
    this.#terminations.take(report.terminations, newEpoch, judgeOf('termination'), refuse, (now, before) =>
      addTerminationGrowth(this.#grown, now, before),
    );
    this.changed = true;
    return refused;
  }

  /** Forgets policies that no longer exist. */
  prune(keep: (policy: string) => boolean): void {
    for (const totals of [this.#captures, this.#deliveries, this.#terminations]) {
      totals.prune(keep);
    }
  }

  /**
   * The totals as one report, with an epoch that never ends. Undefined if nothing was ever
   * reported.
   */
  sums(): CounterReport | undefined {
    if (this.#epoch === undefined) {
      return undefined;
    }
    return {
      epoch: 'total',
      captures: this.#captures.sums(),
      deliveries: this.#deliveries.sums(),
      terminations: this.#terminations.sums(),
      peers: this.#peers,
      unknownErspan: this.#unknownErspan.base + this.#unknownErspan.last,
    };
  }

  /** The growth since this was asked last. */
  takeGrown(): Grown {
    const grown = this.#grown;
    this.#grown = new Map();
    return grown;
  }

  /** The totals of deliveries to other nodes and of terminations. */
  ends(): Pick<CounterReport, 'deliveries' | 'terminations'> {
    return { deliveries: this.#deliveries.sums(), terminations: this.#terminations.sums() };
  }

  /** Totals of one to two periods ago, to find recent growth. Undefined before that. */
  get previous(): PreviousReport | undefined {
    return this.#older;
  }

  /**
   * A period has passed.
   * @param arrivedBefore readings of receivers before the last report was read
   * @param at time of the last report, ISO 8601
   */
  tick(arrivedBefore?: PreviousReport['arrivedBefore'], at?: string): void {
    const counters = this.sums();
    this.#older = this.#newer;
    this.#newer = counters && {
      counters,
      ...(arrivedBefore && { arrivedBefore: new Map(arrivedBefore) }),
      ...(at !== undefined && { at }),
    };
  }

  save(): SavedTotals | undefined {
    this.changed = false;
    return this.#epoch === undefined
      ? undefined
      : {
          epoch: this.#epoch,
          unknownErspan: this.#unknownErspan,
          captures: this.#captures.save(),
          deliveries: this.#deliveries.save(),
          terminations: this.#terminations.save(),
        };
  }

  static restore(saved: SavedTotals): CounterTotals {
    const totals = new CounterTotals();
    totals.#epoch = saved.epoch;
    totals.#unknownErspan = saved.unknownErspan;
    totals.#captures = new Totals<CaptureReport>(captureKey, saved.captures);
    totals.#deliveries = new Totals<DeliveryReport>(deliveryKey, saved.deliveries);
    totals.#terminations = new Totals<TerminationReport>(terminationKey, saved.terminations);
    // Only growth since the save counts as recent.
    totals.tick();
    totals.tick();
    return totals;
  }
}
