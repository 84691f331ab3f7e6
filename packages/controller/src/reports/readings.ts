/** When the counters of a node were read, and which readings of two nodes belong together. Pure but for what it remembers. */
import {
  type CounterReading,
  type CounterReport,
  parseDeliveryId,
  policyOfId,
  terminationId,
} from '@mirrorplane/contract';
import { type ArrivalReading, arrived, type SentReading } from '@mirrorplane/planner';

/** Readings that are kept of each kind: reports come every second. */
const KEPT = 4;
/** Reports over which the shortest way of a report to the controller is looked for: the clocks of both drift slowly. */
const OFFSETS = 30;
/** A report is never taken for older than this, in milliseconds. */
const OLDEST_MS = 60_000;

type Ends = Pick<CounterReport, 'deliveries' | 'terminations'>;

/** What had arrived, and when the controller was told. */
interface Arrivals extends ArrivalReading {
  /** Milliseconds since 1970: it was read at this moment or before. */
  toldAt: number;
}

/** The last readings of one node. */
export class Readings {
  /** Packets sent. A reading was made at `at` or before; newest last. */
  sent: SentReading[] = [];
  /** By the name of a node that this one sends to: what had arrived there at a moment before the last of `sent`. */
  readonly arrivedBefore = new Map<string, ArrivalReading>();
  #arrivals: Arrivals[] = [];
  /** By delivery id: the largest surplus so far, and when it came to be so large, in milliseconds since 1970. */
  readonly #surplus = new Map<string, { packets: number; at: number }>();
  #run: string | undefined;
  /** Time of the controller less time of the agent, of the last reports. */
  #offsets: number[] = [];

  /**
   * When a report was read, in milliseconds since 1970 by the clock of the controller: at this moment or later. What made a report
   * late is not counted: no report comes faster than the fastest of the last ones.
   * @param now when it came
   */
  readAt(reading: CounterReading | undefined, now: number): number {
    if (reading === undefined) {
      return now;
    }
    if (reading.run !== this.#run) {
      this.#run = reading.run;
      this.#offsets = [];
    }
    this.#offsets = [...this.#offsets, now - reading.readAt].slice(-OFFSETS);
    return Math.max(now - OLDEST_MS, Math.min(now, reading.readAt + Math.min(...this.#offsets)));
  }

  /** True where a report that came without a reading is one part of many: the last one has the reading. */
  isPart(reading: CounterReading | undefined): boolean {
    return reading === undefined && this.#run !== undefined;
  }

  /**
   * A whole report has come.
   * @param name of this node
   * @param totals what the node has counted so far, the report included
   * @param of the readings of another node
   */
  take(
    name: string,
    totals: Ends,
    { readAt, now }: { readAt: number; now: number },
    of: (node: string) => Readings | undefined,
  ): void {
    const at = new Date(now).toISOString();
    const packets = new Map(totals.deliveries.map(({ delivery, sent }) => [delivery, sent.packets]));
    this.sent = [...this.sent, { at, packets }].slice(-KEPT);
    const terminations = new Map(totals.terminations.map((report) => [report.termination, report]));
    const arrivals = { at: new Date(readAt).toISOString(), toldAt: now, terminations };
    this.#arrivals = [...this.#arrivals, arrivals].slice(-KEPT);
    for (const target of targetsOf(totals)) {
      const before = of(target)?.toldBefore(readAt);
      if (before) {
        this.arrivedBefore.set(target, before);
      }
    }
    for (const { delivery, policy, sent } of totals.deliveries) {
      const before = this.#arrivedOf(delivery)?.terminations.get(terminationId(policy, name));
      const packets = (before ? arrived(before) : 0) - sent.packets;
      if (packets > (this.#surplus.get(delivery)?.packets ?? 0)) {
        this.#surplus.set(delivery, { packets, at: now });
      }
    }
  }

  /**
   * The agent of this node has come back. What had arrived was shown as it came meanwhile; it goes on from there, and not from the
   * last reading of the node, so that no counter goes back.
   * @param totals what the node had counted when it was heard last
   * @param of the readings of another node
   */
  back(totals: Ends, of: (node: string) => Readings | undefined): void {
    for (const target of targetsOf(totals)) {
      const last = of(target)?.toldBefore(Number.POSITIVE_INFINITY);
      if (last) {
        this.arrivedBefore.set(target, last);
      }
    }
  }

  #arrivedOf(delivery: string): ArrivalReading | undefined {
    const parts = parseDeliveryId(delivery);
    return parts?.kind === 'erspan' ? this.arrivedBefore.get(parts.node) : undefined;
  }

  /** By delivery id: packets that have arrived beyond those sent, where it came to so many after this time (ms since 1970). */
  surplusSince(time: number): Map<string, number> {
    const recent = [...this.#surplus].filter(([, { at }]) => at > time);
    return new Map(recent.map(([delivery, { packets }]) => [delivery, packets]));
  }

  /** Forgets deliveries of policies that are gone. */
  prune(keep: (policy: string) => boolean): void {
    for (const delivery of this.#surplus.keys()) {
      if (!keep(policyOfId(delivery) ?? '')) {
        this.#surplus.delete(delivery);
      }
    }
  }

  /** The last that had arrived here when this moment came. Milliseconds since 1970. */
  toldBefore(at: number): ArrivalReading | undefined {
    return this.#arrivals.findLast(({ toldAt }) => toldAt <= at);
  }
}

/** Names of the nodes that the deliveries of a report send to. */
function targetsOf({ deliveries }: Ends): Set<string> {
  const parts = deliveries.map(({ delivery }) => parseDeliveryId(delivery));
  return new Set(parts.flatMap((one) => (one?.kind === 'erspan' ? [one.node] : [])));
}
