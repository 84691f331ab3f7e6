/** Adds up what a node counts across the epochs of its counters, so that a total never falls. */
import type {
  CaptureReport,
  Count,
  CounterReport,
  DeliveryReport,
  PeerReport,
  TerminationReport,
} from '@mirrorplane/contract';
import { addCount } from '@mirrorplane/contract';

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

/** True where a counter of `next` is behind that of `last`: it was counted anew from 0. */
function fellBehind(last: Flat, next: Flat): boolean {
  return Object.entries(last).some(([path, count]) => (next[path]?.packets ?? 0) < count.packets);
}

/** Totals of one kind of report, by the id of what is counted. */
class Totals<R extends { policy: string; life?: number | undefined }> {
  readonly #totals: Map<string, Total<R>>;
  readonly #id: (report: R) => string;

  constructor(id: (report: R) => string, saved: [string, Total<R>][] = []) {
    this.#id = id;
    this.#totals = new Map(saved);
  }

  take(reports: readonly R[], newEpoch: boolean): void {
    if (newEpoch) {
      for (const total of this.#totals.values()) {
        fold(total);
      }
    }
    for (const report of reports) {
      const id = this.#id(report);
      const total = this.#totals.get(id);
      if (!total) {
        this.#totals.set(id, { last: report, base: {} });
        continue;
      }
      const another = total.last.life !== undefined && total.last.life !== report.life;
      if (!newEpoch && (another || fellBehind(flatten(total.last), flatten(report)))) {
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

/** The counters of one node since the controller knows it. */
export class CounterTotals {
  #epoch: string | undefined;
  #unknownErspan = { base: 0, last: 0 };
  /** As the agent says it: what matters is whether it grows. */
  #peers: PeerReport[] = [];
  #captures = new Totals<CaptureReport>(({ policy, source, direction }) => `${policy}/${source}/${direction}`);
  #deliveries = new Totals<DeliveryReport>(({ policy, delivery }) => `${policy}/${delivery}`);
  #terminations = new Totals<TerminationReport>(({ policy, termination }) => `${policy}/${termination}`);
  #older: CounterReport | undefined;
  #newer: CounterReport | undefined;
  /** True where something was taken since the last `save`. */
  changed = false;

  /** Takes a report over. What it no longer mentions keeps its last counts. */
  take(report: CounterReport): void {
    const newEpoch = this.#epoch !== undefined && this.#epoch !== report.epoch;
    const { base, last } = this.#unknownErspan;
    this.#unknownErspan = { base: newEpoch ? base + last : base, last: report.unknownErspan };
    this.#epoch = report.epoch;
    this.#peers = report.peers;
    this.#captures.take(report.captures, newEpoch);
    this.#deliveries.take(report.deliveries, newEpoch);
    this.#terminations.take(report.terminations, newEpoch);
    this.changed = true;
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

  /** Totals of one to two periods ago, for what has grown lately; undefined until then. */
  get previous(): CounterReport | undefined {
    return this.#older;
  }

  /** A period has passed. */
  tick(): void {
    this.#older = this.#newer;
    this.#newer = this.sums();
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
    totals.#captures = new Totals<CaptureReport>(
      ({ policy, source, direction }) => `${policy}/${source}/${direction}`,
      saved.captures,
    );
    totals.#deliveries = new Totals<DeliveryReport>(
      ({ policy, delivery }) => `${policy}/${delivery}`,
      saved.deliveries,
    );
    totals.#terminations = new Totals<TerminationReport>(
      ({ policy, termination }) => `${policy}/${termination}`,
      saved.terminations,
    );
    return totals;
  }
}
