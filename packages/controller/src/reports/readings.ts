/**
 * Finds when a node's counters were read, and which readings of two nodes belong together. No I/O;
 * it only keeps state.
 */
import {
  type CounterReading,
  type CounterReport,
  parseDeliveryId,
  policyOfId,
  terminationId,
} from '@mirrorplane/contract';
import { type ArrivalReading, arrived, type SentReading } from '@mirrorplane/planner';
import { ReadingTimes } from './reading-times.ts';

/** Number of kept readings of each kind. Reports come every second, and those of other nodes every five perhaps. */
const KEPT = 8;

type Ends = Pick<CounterReport, 'deliveries' | 'terminations'>;

/** A reading of what had arrived, and the time of its report. */
interface Arrivals extends ArrivalReading {
  /** Milliseconds since 1970. It was read at this time or earlier. */
  toldAt: number;
}

/** The last readings of one node. */
export class Readings {
  /** Packets sent, the newest reading last. Each was read at `at` or earlier. */
  sent: SentReading[] = [];
  /** By receiving node: a reading of what had arrived there, taken before the last of `sent`. Another map where one differs. */
  arrivedBefore: ReadonlyMap<string, ArrivalReading> = new Map();
  /** Grows whenever `sent`, `arrivedBefore` or the surplus may be others. */
  version = 0;
  #arrivals: Arrivals[] = [];
  /**
   * By delivery id: the largest surplus so far, and the time when it was reached, milliseconds
   * since 1970.
   */
  readonly #surplus = new Map<string, { packets: number; at: number }>();
  readonly #times = new ReadingTimes();

  /**
   * Reading time of a report, in milliseconds since 1970 by the controller's clock. See `ReadingTimes`.
   * @param now arrival time of the report
   */
  readAt(reading: CounterReading | undefined, now: number): number {
    return this.#times.at(reading, now);
  }

  /**
   * True if a report without a reading is a part of a divided report, whose last part has the
   * reading.
   */
  isPart(reading: CounterReading | undefined): boolean {
    return reading === undefined && this.#times.areTold;
  }

  /**
   * A complete report has arrived.
   * @param name of this node
   * @param totals totals of the node, including this report
   * @param of returns the readings of another node
   */
  take(
    name: string,
    totals: Ends,
    { readAt, now }: { readAt: number; now: number },
    of: (node: string) => Readings | undefined,
  ): void {
    this.version++;
    // A node has a delivery for each policy of its pool, and nearly all of them send nothing.
    const sending = totals.deliveries.filter(({ sent }) => sent.packets > 0);
    const packets = new Map(sending.map(({ delivery, sent }) => [delivery, sent.packets]));
    const numbered = new Map(sending.flatMap((row) => (row.numbered ? [[row.delivery, row.numbered]] : [])));
    const reading = { at: new Date(now).toISOString(), packets, ...(numbered.size > 0 && { numbered }) };
    this.sent = [...this.sent, reading].slice(-KEPT);
    const terminations = new Map(totals.terminations.map((report) => [report.termination, report]));
    const arrivals = { at: new Date(readAt).toISOString(), toldAt: now, terminations };
    this.#arrivals = [...this.#arrivals, arrivals].slice(-KEPT);
    const arrivedBefore = new Map(this.arrivedBefore);
    for (const { delivery, policy, sent } of totals.deliveries) {
      const target = targetOf(delivery);
      const told = target === undefined ? undefined : of(target)?.toldBefore(readAt);
      if (target !== undefined && told) {
        arrivedBefore.set(target, told);
      }
      const there = target === undefined ? undefined : (told ?? arrivedBefore.get(target));
      if (there === undefined || there.terminations.size === 0) {
        continue;
      }
      const before = there.terminations.get(terminationId(policy, name));
      const packets = (before ? arrived(before) : 0) - sent.packets;
      if (packets > (this.#surplus.get(delivery)?.packets ?? 0)) {
        this.#surplus.set(delivery, { packets, at: now });
      }
    }
    this.arrivedBefore = arrivedBefore;
  }

  /**
   * The agent of this node has reconnected. Meanwhile, the newest counters of receivers were shown.
   * They continue from there, and not from the node's last reading, so that no shown counter
   * decreases.
   * @param totals totals of the node at its last report
   * @param of returns the readings of another node
   */
  back(totals: Ends, of: (node: string) => Readings | undefined): void {
    this.version++;
    const arrivedBefore = new Map(this.arrivedBefore);
    for (const { delivery } of totals.deliveries) {
      const target = targetOf(delivery);
      const last = target === undefined ? undefined : of(target)?.toldBefore(Number.POSITIVE_INFINITY);
      if (last) {
        arrivedBefore.set(target!, last);
      }
    }
    this.arrivedBefore = arrivedBefore;
  }

  /**
   * By delivery id: surplus of arrived packets over sent packets, if it was reached after this time
   * (ms since 1970).
   */
  surplusSince(time: number): Map<string, number> {
    const recent = [...this.#surplus].filter(([, { at }]) => at > time);
    return new Map(recent.map(([delivery, { packets }]) => [delivery, packets]));
  }

  /** Forgets deliveries of policies that no longer exist. */
  prune(keep: (policy: string) => boolean): void {
    for (const delivery of this.#surplus.keys()) {
      if (!keep(policyOfId(delivery) ?? '')) {
        this.version++;
        this.#surplus.delete(delivery);
      }
    }
  }

  /** What has arrived by the last report, by termination id. Undefined: none has come. */
  get arrived(): ArrivalReading['terminations'] | undefined {
    return this.#arrivals.at(-1)?.terminations;
  }

  /** The last reading of arrived packets before this time. Milliseconds since 1970. */
  toldBefore(at: number): ArrivalReading | undefined {
    return this.#arrivals.findLast(({ toldAt }) => toldAt <= at);
  }
}

/** Name of the node that a delivery sends to. Undefined: it stays on its node. */
function targetOf(delivery: string): string | undefined {
  const parts = parseDeliveryId(delivery);
  return parts?.kind === 'erspan' ? parts.node : undefined;
}
