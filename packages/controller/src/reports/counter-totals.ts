/** Adds up what a node counts across the epochs of its counters, so that a total never falls. */
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

/** Counts by name, one level deep: `dropped.noDelivery` beside `matched`. */
type Flat = Record<string, Count>;

interface Total<R> {
  /** The report itself, for its names. */
  last: R;
  /** Sum over all earlier epochs. */
  base: Flat;
}

/** What is written to disk. */
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

/** True where a counter of `next` is behind that of `last`: counting began again from 0. */
function fellBehind(last: Flat, next: Flat): boolean {
  return Object.entries(last).some(([path, count]) => (next[path]?.packets ?? 0) < count.packets);
}

/** Kinds of what is counted. */
export type Counted = 'capture' | 'delivery' | 'termination';
type ReportOf = { capture: CaptureReport; delivery: DeliveryReport; termination: TerminationReport };

/** Why a count is not taken: the node does not have it, it went back, or nothing can count so much in that time. */
export type RefusedCount = 'foreign' | 'backward' | 'implausible';

/** What the controller knows itself of what a node may count. */
export interface CounterJudge {
  /** Asked of what the node has not counted before. `unknown`: it is of a policy that is gone, and nobody's fault. */
  owns: (kind: Counted, report: ReportOf[Counted]) => boolean | 'unknown';
  /** Seconds in which it can have been counted: since the last reading where there was one, else since the policy was made. */
  seconds: (policy: string, before: boolean) => number;
}

/** What was refused: how much of each kind, and one of it. */
export type RefusedCounts = Map<RefusedCount, { count: number; example: string }>;

/** More than these in a second no node can count: sixteen links of 400 Gbit/s, in small frames and in large ones. */
const MAX_PER_SECOND: Count = { packets: 1e10, bytes: 1e12 };
/** Seconds that readings may come late. */
const LATE_SECONDS = 60;

/** True where a counter has grown by more than can be in so many seconds. */
function grewTooFast(last: Flat, next: Flat, seconds: number): boolean {
  const most = Math.max(0, seconds) + LATE_SECONDS;
  return Object.entries(next).some(([path, { packets, bytes }]) => {
    const before = last[path] ?? ZERO;
    return (
      packets - before.packets > most * MAX_PER_SECOND.packets || bytes - before.bytes > most * MAX_PER_SECOND.bytes
    );
  });
}

/** Totals of one kind of report, by the id of what is counted. */
class Totals<R extends { policy: string; life?: number | undefined }> {
  readonly #totals: Map<string, Total<R>>;
  readonly #id: (report: R) => string;

  constructor(id: (report: R) => string, saved: [string, Total<R>][] = []) {
    this.#id = id;
    this.#totals = new Map(saved);
  }

  /**
   * @param refuse told what is not taken
   * @param judge left out: everything is taken
   */
  take(
    reports: readonly R[],
    newEpoch: boolean,
    judge?: { owns: (report: R) => boolean | 'unknown'; seconds: CounterJudge['seconds'] },
    refuse: (why: RefusedCount, id: string) => void = () => undefined,
  ): void {
    if (newEpoch) {
      for (const total of this.#totals.values()) {
        fold(total);
      }
    }
    for (const report of reports) {
      const id = this.#id(report);
      const total = this.#totals.get(id);
      const owns = total || !judge ? true : judge.owns(report);
      if (owns !== true) {
        if (owns === false) {
          refuse('foreign', id);
        }
        continue;
      }
      const next = flatten(report);
      if (!total) {
        const tooMuch = judge && grewTooFast({}, next, judge.seconds(report.policy, false));
        if (tooMuch) {
          refuse('implausible', id);
        }
        this.#totals.set(id, { last: report, base: tooMuch ? negative(next) : {} });
        continue;
      }
      const another = newEpoch || (total.last.life !== undefined && total.last.life !== report.life);
      const back = fellBehind(flatten(total.last), next);
      const why =
        judge && back && !another
          ? 'backward'
          : judge && grewTooFast(another ? {} : flatten(total.last), next, judge.seconds(report.policy, true))
            ? 'implausible'
            : undefined;
      if (why !== undefined) {
        // The total stays, and follows what comes after.
        refuse(why, id);
        total.base = difference(flatten(plus(total.last, total.base)), next);
      } else if (!newEpoch && (another || back)) {
        fold(total);
      }
      total.last = report;
    }
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

// Keys of saved totals: files of older versions have the same.
const captureKey = ({ policy, source, direction }: CaptureReport) =>
  hookCaptureId(captureId(policy, source), direction);
const deliveryKey = ({ policy, delivery }: DeliveryReport) => `${policy}/${delivery}`;
const terminationKey = ({ policy, termination }: TerminationReport) => `${policy}/${termination}`;

/** The counters of one node since the controller knows it. */
export class CounterTotals {
  #epoch: string | undefined;
  #unknownErspan = { base: 0, last: 0 };
  /** As the agent says it: what matters is whether it grows. */
  #peers: PeerReport[] = [];
  #captures = new Totals<CaptureReport>(captureKey);
  #deliveries = new Totals<DeliveryReport>(deliveryKey);
  #terminations = new Totals<TerminationReport>(terminationKey);
  #older: PreviousReport | undefined;
  #newer: PreviousReport | undefined;
  /** True where something was taken since the last `save`. */
  changed = false;

  /**
   * Takes a report over. What it no longer mentions keeps its last counts.
   * @param judge left out: everything is taken
   * @returns what was not taken
   */
  take(report: CounterReport, judge?: CounterJudge): RefusedCounts {
    const refused: RefusedCounts = new Map();
    const refuse = (why: RefusedCount, example: string) => {
      refused.set(why, { example, count: (refused.get(why)?.count ?? 0) + 1 });
    };
    const judgeOf = (kind: Counted) =>
      judge && { owns: (one: ReportOf[Counted]) => judge.owns(kind, one), seconds: judge.seconds };
    const newEpoch = this.#epoch !== undefined && this.#epoch !== report.epoch;
    const { base, last } = this.#unknownErspan;
    this.#unknownErspan = { base: newEpoch ? base + last : base, last: report.unknownErspan };
    this.#epoch = report.epoch;
    this.#peers = report.peers;
    this.#captures.take(report.captures, newEpoch, judgeOf('capture'), refuse);
    this.#deliveries.take(report.deliveries, newEpoch, judgeOf('delivery'), refuse);
    this.#terminations.take(report.terminations, newEpoch, judgeOf('termination'), refuse);
    this.changed = true;
    return refused;
  }

  /** Forgets policies that no longer exist. */
  prune(keep: (policy: string) => boolean): void {
    for (const totals of [this.#captures, this.#deliveries, this.#terminations]) {
      totals.prune(keep);
    }
  }

  /** The totals as one report, of an epoch that never ends; undefined where nothing was ever reported. */
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

  /** The totals of what left the node for others and came from them. */
  ends(): Pick<CounterReport, 'deliveries' | 'terminations'> {
    return { deliveries: this.#deliveries.sums(), terminations: this.#terminations.sums() };
  }

  /** Totals of one to two periods ago, for what has grown lately; undefined until then. */
  get previous(): PreviousReport | undefined {
    return this.#older;
  }

  /**
   * A period has passed.
   * @param arrivedBefore what had arrived where, before the last report was read
   */
  tick(arrivedBefore?: PreviousReport['arrivedBefore']): void {
    const counters = this.sums();
    this.#older = this.#newer;
    this.#newer = counters && { counters, ...(arrivedBefore && { arrivedBefore: new Map(arrivedBefore) }) };
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
    // What has grown since it was saved has grown lately, and nothing else has.
    totals.tick();
    totals.tick();
    return totals;
  }
}
