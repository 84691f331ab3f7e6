/** Totals of one kind of report over all epochs, and what they were a while ago. */
import { type Count, type Passing, ZERO } from '@mirrorplane/contract';
import type { CountedRow } from '@mirrorplane/planner';
import type { CounterJudge, RefusedCount } from './counted.ts';
import type { CheckCount } from './every-count.ts';
import type { SavedTotal, Shelf } from './shelf.ts';

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
  const packetsAtMost = most * MAX_PER_SECOND.packets;
  const bytesAtMost = most * MAX_PER_SECOND.bytes;
  return ({ packets, bytes }, before = ZERO) =>
    packets - before.packets <= packetsAtMost && bytes - before.bytes <= bytesAtMost;
}

/** A judge for one kind of report. */
export interface JudgeOf<R> {
  fits: (report: R) => boolean;
  owns: (report: R) => boolean | 'unknown';
  seconds: CounterJudge['seconds'];
  mayBring: (report: R) => boolean;
}

/** The most counts of each kind that a node may bring along: a kernel has no more slots of one kind. */
const MOST_BROUGHT = 8192;

/** Totals of one kind of report, by id. @template H stands for one of them */
export class Totals<R extends { policy: string; life?: number | undefined }, B, H> {
  readonly #shelf: Shelf<R, B, H>;
  /** Counts that are not taken, and that the node may have. While they stay as they are, they are nobody's fault. */
  readonly #brought = new Map<string, R>();
  /** The last check of growth: rows of a report mostly have the same time. */
  #possible: { seconds: number; check: CheckCount } = { seconds: 0, check: isPossibleIn(0) };

  constructor(shelf: Shelf<R, B, H>, saved: readonly [string, SavedTotal<R>][] = []) {
    this.#shelf = shelf;
    for (const [, { last, base }] of saved) {
      shelf.restore(last, base);
    }
  }

  /**
   * @param refuse called for each refused count, and for each that cannot be judged yet
   * @param judge left out: everything is accepted
   * @param grown called for each accepted report, with the one before; left out where counting began again.
   *   It keeps none of both
   */
  take(
    reports: Passing<R>,
    newEpoch: boolean,
    judge: JudgeOf<R> | undefined,
    refuse: (why: RefusedCount | undefined, report: R, shelf: Pick<Shelf<R, B, H>, 'id'>) => void,
    grown: (report: R, before?: R) => void,
  ): void {
    const shelf = this.#shelf;
    if (newEpoch) {
      for (const total of shelf.all()) {
        shelf.fold(total);
      }
    }
    reports.forEach((report) => {
      const total = shelf.find(report);
      const fits = !judge || judge.fits(report);
      const owns = fits && (!judge || total !== undefined || judge.owns(report));
      if (owns !== true) {
        const isBrought = fits && this.#isBrought(report, judge?.mayBring(report) === true);
        const isFault = owns === false && !isBrought;
        refuse(isFault ? 'foreign' : undefined, report, shelf);
        return;
      }
      if (this.#brought.size > 0) {
        this.#brought.delete(shelf.id(report));
      }
      if (total === undefined) {
        const tooMuch = judge && this.#grewTooFast(undefined, report, judge.seconds(report.policy, false));
        if (tooMuch) {
          refuse('implausible', report, shelf);
        }
        shelf.add(report, !tooMuch);
        return;
      }
      const last = shelf.last(total);
      const another = newEpoch || (last.life !== undefined && last.life !== report.life);
      // True if a counter is smaller than before, because counting started again from 0.
      const back = !shelf.every(last, report, isNoLess);
      const why =
        judge && back && !another
          ? 'backward'
          : judge && this.#grewTooFast(another ? undefined : last, report, judge.seconds(report.policy, true))
            ? 'implausible'
            : undefined;
      if (why !== undefined) {
        refuse(why, report, shelf);
        shelf.put(total, report, 'stay');
      } else {
        grown(report, another || back ? undefined : last);
        shelf.put(total, report, !newEpoch && (another || back) ? 'again' : 'on');
      }
    });
  }

  /** Whether a foreign count was brought along, and has not grown since. */
  #isBrought(report: R, isNew: boolean): boolean {
    const id = this.#shelf.id(report);
    if (isNew && this.#brought.size < MOST_BROUGHT) {
      this.#brought.set(id, structuredClone(report));
    }
    const brought = this.#brought.get(id);
    const isAsBefore = brought !== undefined && brought.life === report.life;
    return isAsBefore && this.#shelf.every(report, brought, isNoMore);
  }

  /** True if a counter has grown faster than possible in this time. @param last undefined: from 0 */
  #grewTooFast(last: R | undefined, report: R, seconds: number): boolean {
    if (this.#possible.seconds !== seconds) {
      this.#possible = { seconds, check: isPossibleIn(seconds) };
    }
    return !this.#shelf.every(report, last, this.#possible.check);
  }

  /** Forgets policies that no longer exist. @returns whether there were any */
  prune(keep: (policy: string) => boolean): boolean {
    const gone = [...this.#shelf.policies()].filter((policy) => !keep(policy));
    for (const policy of gone) {
      this.#shelf.remove(policy);
    }
    for (const [id, { policy }] of this.#brought) {
      if (!keep(policy)) {
        this.#brought.delete(id);
      }
    }
    return gone.length > 0;
  }

  /** Policies that have a total. */
  policies(): Iterable<string> {
    return this.#shelf.policies();
  }

  /** The sums of one policy, and what they were two periods ago. */
  counted(policy: string, isCompared: boolean): CountedRow<R, B>[] {
    const rows: CountedRow<R, B>[] = [];
    for (const total of this.#shelf.of(policy)) {
      const report = this.#shelf.sum(total);
      const before = isCompared ? this.#shelf.before(total) : undefined;
      rows.push(before === undefined ? { report } : { report, before });
    }
    return rows;
  }

  /** A period has passed. What it was at its end is remembered by the next change of each total. */
  tick(): void {
    this.#shelf.tick();
  }

  sums(): R[] {
    return [...this.#shelf.all()].map((total) => this.#shelf.sum(total));
  }

  save(): [string, SavedTotal<R>][] {
    return [...this.#shelf.all()].map((total) => this.#shelf.saved(total));
  }
}
