/** Sums the counters of a node over their epochs, so that a total never decreases. */
import type {
  CaptureReport,
  CounterReport,
  DeliveryReport,
  HeardCounters,
  PeerReport,
  TerminationReport,
} from '@mirrorplane/contract';
import type { CountedRows, PreviousReport } from '@mirrorplane/planner';
import { CaptureShelf } from './capture-shelf.ts';
import type { Counted, CounterJudge, RefusedCount, RefusedCounts, ReportOf } from './counted.ts';
import { everyDeliveryCount, everyTerminationCount } from './every-count.ts';
import { addCaptureGrowth, addDeliveryGrowth, addTerminationGrowth, type Grown } from './grown.ts';
import { type Kind, ObjectShelf } from './object-shelf.ts';
import type { SavedTotal } from './shelf.ts';
import { type JudgeOf, Totals } from './totals.ts';

/** The saved form. */
export interface SavedTotals {
  epoch: string;
  unknownErspan: { base: number; last: number };
  captures: [string, SavedTotal<CaptureReport>][];
  deliveries: [string, SavedTotal<DeliveryReport>][];
  terminations: [string, SavedTotal<TerminationReport>][];
}

const DELIVERIES: Kind<DeliveryReport> = {
  id: ({ policy, delivery }) => `${policy}/${delivery}`,
  every: everyDeliveryCount,
};
const TERMINATIONS: Kind<TerminationReport> = {
  id: ({ policy, termination }) => `${policy}/${termination}`,
  every: everyTerminationCount,
};

const capturesOf = (saved?: SavedTotals['captures']) => new Totals(new CaptureShelf(), saved);
const deliveriesOf = (saved?: SavedTotals['deliveries']) => new Totals(new ObjectShelf(DELIVERIES), saved);
const terminationsOf = (saved?: SavedTotals['terminations']) => new Totals(new ObjectShelf(TERMINATIONS), saved);

/** What is known of a node at the end of an earlier period. */
interface Earlier extends Pick<PreviousReport, 'at' | 'arrivedBefore'> {
  hasCounted: boolean;
  peers: readonly PeerReport[];
}

/** The totals of one node. */
export class CounterTotals {
  #epoch: string | undefined;
  #unknownErspan = { base: 0, last: 0 };
  /** As the agent reports it. Only its growth matters. */
  #peers: PeerReport[] = [];
  #captures = capturesOf();
  #deliveries = deliveriesOf();
  #terminations = terminationsOf();
  #older: Earlier | undefined;
  #newer: Earlier | undefined;
  #grown: Grown = new Map();
  /** Grows whenever a total may be another one, or what it is compared with. */
  version = 0;
  /** True if a report was accepted since the last `save`. */
  changed = false;
  /** True if the last report had counts that were not taken over. A difference does not repeat them. */
  isIncomplete = false;

  /**
   * Adds a report. Parts that the report no longer mentions keep their last counts.
   * @param judge left out: everything is accepted
   * @param isPart more of the report follows, with the senders of refused packets
   * @returns the refused counts
   */
  take(report: HeardCounters['report'], judge?: CounterJudge, isPart = false): RefusedCounts {
    const refused: RefusedCounts = new Map();
    this.isIncomplete = false;
    const refuse = <R>(why: RefusedCount | undefined, one: R, { id }: { id: (report: R) => string }) => {
      this.isIncomplete ||= why === undefined || why === 'foreign';
      if (why === undefined) {
        return;
      }
      refused.set(why, { example: id(one), count: (refused.get(why)?.count ?? 0) + 1 });
    };
    const judgeOf = (kind: Counted): JudgeOf<ReportOf[Counted]> | undefined =>
      judge && {
        fits: (one) => judge.fits(kind, one),
        owns: (one) => judge.owns(kind, one),
        seconds: judge.seconds,
        mayBring: (one) => judge.mayBring(kind, one),
      };
    const newEpoch = this.#epoch !== undefined && this.#epoch !== report.epoch;
    const { base, last } = this.#unknownErspan;
    this.#unknownErspan = { base: newEpoch ? base + last : base, last: report.unknownErspan };
    this.#epoch = report.epoch;
    if (!isPart || newEpoch || report.peers.length > 0) {
      this.#peers = report.peers;
    }
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
    this.version++;
    return refused;
  }

  /** Forgets policies that no longer exist. */
  prune(keep: (policy: string) => boolean): void {
    for (const totals of [this.#captures, this.#deliveries, this.#terminations]) {
      this.version += totals.prune(keep) ? 1 : 0;
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

  /** Policies of which anything was counted. */
  policies(): Set<string> {
    return new Set([this.#captures, this.#deliveries, this.#terminations].flatMap((totals) => [...totals.policies()]));
  }

  /** The totals of one policy, with those of one to two periods ago. */
  counted(policy: string): CountedRows {
    const isCompared = this.#older?.hasCounted ?? false;
    return {
      captures: this.#captures.counted(policy, isCompared),
      deliveries: this.#deliveries.counted(policy, isCompared),
      terminations: this.#terminations.counted(policy, isCompared),
    };
  }

  /** Senders of refused packets, as the agent reports them. Undefined: nothing was ever reported. */
  get peers(): readonly PeerReport[] | undefined {
    return this.#epoch === undefined ? undefined : this.#peers;
  }

  /** ERSPAN packets of unknown senders. */
  get unknownErspan(): number {
    return this.#unknownErspan.base + this.#unknownErspan.last;
  }

  /** One to two periods ago, to find recent growth. Undefined before that. */
  get previous(): Pick<Earlier, 'at' | 'arrivedBefore' | 'peers'> | undefined {
    return this.#older?.hasCounted ? this.#older : undefined;
  }

  /**
   * A period has passed.
   * @param arrivedBefore readings of receivers before the last report was read
   * @param at time of the last report, ISO 8601
   */
  tick(arrivedBefore?: PreviousReport['arrivedBefore'], at?: string): void {
    this.version++;
    for (const totals of [this.#captures, this.#deliveries, this.#terminations]) {
      totals.tick();
    }
    this.#older = this.#newer;
    this.#newer = {
      hasCounted: this.#epoch !== undefined,
      peers: this.#peers,
      ...(arrivedBefore && { arrivedBefore }),
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
    totals.#captures = capturesOf(saved.captures);
    totals.#deliveries = deliveriesOf(saved.deliveries);
    totals.#terminations = terminationsOf(saved.terminations);
    // Only growth since the save counts as recent.
    totals.tick();
    totals.tick();
    return totals;
  }
}
