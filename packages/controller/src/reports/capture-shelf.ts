/**
 * Totals of captures as plain numbers. There are two for each source, and where everything counts, all
 * of them change with each report: as objects they would be most of what the garbage collector moves.
 */
import { type CaptureCounts, type CaptureReport, captureId, hookCaptureId, ZERO } from '@mirrorplane/contract';
import { addCaptureCounts, type CaptureBefore } from '@mirrorplane/planner';
import {
  COPIED,
  COUNTS,
  countAt,
  countsAt,
  countsFrom,
  emptyCounts,
  isEmpty,
  minus,
  NO_REASONS,
  type Reasons,
  readCounts,
  reasonsOf,
  TRUNCATED,
  writeCounts,
} from './capture-counts.ts';
import { everyCaptureCount } from './every-count.ts';
import { type Flat, flatten, type Goes, NO_BASE, type SavedTotal, type Shelf } from './shelf.ts';

/** Places in the numbers of a row, behind the counts of its last report. */
const LIFE = COUNTS;
const PERIOD = COUNTS + 1;
/** What was copied until the ends of the last two periods: packets and bytes. NaN: there was no total. */
const NEWER = COUNTS + 2;
const OLDER = COUNTS + 4;
const WIDTH = COUNTS + 6;

const NOTHING = emptyCounts();

/** What was lost until the end of a period. Most captures lose nothing. */
type Lost = Pick<CaptureBefore['counts'], 'dropped' | 'truncated'>;

/** A row is a number: twice that of its source, and 1 more for what goes out. */
const DIRECTIONS = ['inbound', 'outbound'] as const;

export class CaptureShelf implements Shelf<CaptureReport, CaptureBefore, number> {
  readonly every = everyCaptureCount;
  /** By policy and source: the number of this source. */
  readonly #places = new Map<string, Map<string, number>>();
  /** By that number. */
  readonly #policies: string[] = [];
  readonly #sources: string[] = [];
  /** Numbers of sources that are gone. */
  readonly #free: number[] = [];
  #numbers = new Float64Array(0);
  readonly #reasons = new Map<number, Reasons>();
  /** Sums over earlier epochs, which most nodes do not have. */
  #base: Float64Array | undefined;
  readonly #baseReasons = new Map<number, Reasons>();
  readonly #newerLost = new Map<number, Lost>();
  readonly #olderLost = new Map<number, Lost>();
  /** Periods that have passed. */
  #period = 0;
  /** For `last`. */
  readonly #last: CaptureReport = { policy: '', source: '', direction: 'inbound', counts: emptyCounts() };

  find({ policy, source, direction }: CaptureReport): number | undefined {
    const place = this.#places.get(policy)?.get(source);
    const row = place === undefined ? undefined : rowOf(place, direction);
    return row !== undefined && this.#isThere(row) ? row : undefined;
  }

  id({ policy, source, direction }: CaptureReport): string {
    return hookCaptureId(captureId(policy, source), direction);
  }

  add(report: CaptureReport, isCounted: boolean): void {
    this.#begin(report, isCounted ? undefined : minus(NOTHING, report.counts));
  }

  restore(last: CaptureReport, base: Flat): void {
    this.#begin(last, isEmpty(base) ? undefined : countsFrom(base));
  }

  last(row: number): CaptureReport {
    const last = this.#last;
    last.policy = this.#policies[row >> 1]!;
    last.source = this.#sources[row >> 1]!;
    last.direction = DIRECTIONS[row & 1]!;
    last.life = this.#life(row);
    readCounts(this.#numbers, row * WIDTH, this.#reasons.get(row) ?? NO_REASONS, last.counts);
    return last;
  }

  put(row: number, report: CaptureReport, goes: Goes): void {
    this.#remember(row);
    if (goes === 'stay') {
      this.#setBase(row, minus(this.#sum(row), report.counts));
    } else if (goes === 'again') {
      this.fold(row);
    }
    this.#write(row, report);
  }

  fold(row: number): void {
    this.#setBase(row, this.#sum(row));
    this.#setCounts(row, NOTHING);
  }

  sum(row: number): CaptureReport {
    return this.#report(row, this.#sum(row));
  }

  before(row: number): CaptureBefore | undefined {
    const periods = this.#period - this.#numbers[row * WIDTH + PERIOD]!;
    if (periods > 1) {
      const { copied, dropped, truncated } = this.#sum(row);
      return { counts: { copied, dropped, truncated } };
    }
    const at = row * WIDTH + (periods === 0 ? OLDER : NEWER);
    if (Number.isNaN(this.#numbers[at])) {
      return undefined;
    }
    const lost = (periods === 0 ? this.#olderLost : this.#newerLost).get(row);
    const { dropped = NO_REASONS.dropped, truncated = ZERO } = lost ?? {};
    return { counts: { copied: countAt(this.#numbers, at), dropped, truncated } };
  }

  saved(row: number): [string, SavedTotal<CaptureReport>] {
    const last = this.#report(row, this.#counts(row));
    const base = this.#baseOf(row);
    return [this.id(last), { last, base: base ? flatten({ counts: base }) : NO_BASE }];
  }

  tick(): void {
    this.#period++;
  }

  *all(): Iterable<number> {
    for (const policy of this.#places.keys()) {
      yield* this.of(policy);
    }
  }

  of(policy: string): number[] {
    const rows: number[] = [];
    for (const place of this.#places.get(policy)?.values() ?? []) {
      for (const row of [2 * place, 2 * place + 1]) {
        if (this.#isThere(row)) {
          rows.push(row);
        }
      }
    }
    return rows;
  }

  policies(): Iterable<string> {
    return this.#places.keys();
  }

  remove(policy: string): void {
    for (const row of this.of(policy)) {
      for (const map of [this.#reasons, this.#baseReasons, this.#newerLost, this.#olderLost]) {
        map.delete(row);
      }
    }
    this.#free.push(...(this.#places.get(policy)?.values() ?? []));
    this.#places.delete(policy);
  }

  /** A row with a first report. @param base undefined: nothing was counted before */
  #begin(report: CaptureReport, base: CaptureCounts | undefined): void {
    const row = rowOf(this.#placeOf(report), report.direction);
    const at = row * WIDTH;
    this.#write(row, report);
    this.#numbers[at + PERIOD] = this.#period;
    this.#numbers.fill(Number.NaN, at + NEWER, at + WIDTH);
    if (base) {
      this.#setBase(row, base);
    }
  }

  #placeOf({ policy, source }: CaptureReport): number {
    const sources = this.#places.get(policy) ?? new Map<string, number>();
    this.#places.set(policy, sources);
    const known = sources.get(source);
    if (known !== undefined) {
      return known;
    }
    const place = this.#free.pop() ?? this.#sources.length;
    this.#policies[place] = policy;
    this.#sources[place] = source;
    sources.set(source, place);
    this.#grow(2 * (place + 1));
    for (const row of [2 * place, 2 * place + 1]) {
      this.#numbers.fill(Number.NaN, row * WIDTH, (row + 1) * WIDTH);
      this.#base?.fill(0, row * COUNTS, (row + 1) * COUNTS);
    }
    return place;
  }

  /** Makes room for rows, and some to spare. */
  #grow(rows: number): void {
    if (this.#numbers.length < rows * WIDTH) {
      const most = rows + (rows >> 2);
      this.#numbers = enlarged(this.#numbers, most * WIDTH);
      this.#base &&= enlarged(this.#base, most * COUNTS);
    }
  }

  #isThere(row: number): boolean {
    return !Number.isNaN(this.#numbers[row * WIDTH]);
  }

  #life(row: number): number | undefined {
    const life = this.#numbers[row * WIDTH + LIFE]!;
    return Number.isNaN(life) ? undefined : life;
  }

  #report(row: number, counts: CaptureCounts): CaptureReport {
    const [policy, source] = [this.#policies[row >> 1]!, this.#sources[row >> 1]!];
    const [direction, life] = [DIRECTIONS[row & 1]!, this.#life(row)];
    return life === undefined ? { policy, source, direction, counts } : { policy, source, direction, life, counts };
  }

  /** The counts of the last report. */
  #counts(row: number): CaptureCounts {
    return countsAt(this.#numbers, row * WIDTH, this.#reasons.get(row) ?? NO_REASONS);
  }

  #sum(row: number): CaptureCounts {
    const base = this.#baseOf(row);
    return base ? addCaptureCounts(this.#counts(row), base) : this.#counts(row);
  }

  #write(row: number, { life = Number.NaN, counts }: CaptureReport): void {
    this.#numbers[row * WIDTH + LIFE] = life;
    this.#setCounts(row, counts);
  }

  #setCounts(row: number, counts: CaptureCounts): void {
    writeCounts(this.#numbers, row * WIDTH, counts);
    setReasons(this.#reasons, row, counts);
  }

  #baseOf(row: number): CaptureCounts | undefined {
    return this.#base && countsAt(this.#base, row * COUNTS, this.#baseReasons.get(row) ?? NO_REASONS);
  }

  #setBase(row: number, counts: CaptureCounts): void {
    this.#base ??= new Float64Array((this.#numbers.length / WIDTH) * COUNTS);
    writeCounts(this.#base, row * COUNTS, counts);
    setReasons(this.#baseReasons, row, counts);
  }

  /** The sum is about to change: remembers what it was at the ends of the last two periods. */
  #remember(row: number): void {
    const [numbers, at] = [this.#numbers, row * WIDTH];
    const periods = this.#period - numbers[at + PERIOD]!;
    if (periods === 0) {
      return;
    }
    numbers[at + PERIOD] = this.#period;
    if (periods === 1) {
      this.#age(row);
    }
    const mayHaveLost = this.#reasons.has(row) || numbers[at + TRUNCATED] !== 0 || numbers[at + TRUNCATED + 1] !== 0;
    if (this.#base || mayHaveLost) {
      const { copied, dropped, truncated } = this.#sum(row);
      numbers[at + NEWER] = copied.packets;
      numbers[at + NEWER + 1] = copied.bytes;
      const isLossless = isEmpty(dropped) && truncated.packets === 0 && truncated.bytes === 0;
      setLost(this.#newerLost, row, isLossless ? undefined : { dropped, truncated });
    } else {
      numbers[at + NEWER] = numbers[at + COPIED]!;
      numbers[at + NEWER + 1] = numbers[at + COPIED + 1]!;
      setLost(this.#newerLost, row, undefined);
    }
    if (periods > 1) {
      this.#age(row);
    }
  }

  /** What it was at the end of the last period, it was at the end of the one before. */
  #age(row: number): void {
    const at = row * WIDTH;
    this.#numbers[at + OLDER] = this.#numbers[at + NEWER]!;
    this.#numbers[at + OLDER + 1] = this.#numbers[at + NEWER + 1]!;
    setLost(this.#olderLost, row, this.#newerLost.get(row));
  }
}

function rowOf(place: number, direction: CaptureReport['direction']): number {
  return 2 * place + (direction === 'inbound' ? 0 : 1);
}

function enlarged(numbers: Float64Array, length: number): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(length);
  larger.set(numbers);
  return larger;
}

function setReasons(map: Map<number, Reasons>, row: number, counts: CaptureCounts): void {
  const reasons = reasonsOf(counts);
  if (reasons !== NO_REASONS) {
    map.set(row, reasons);
  } else if (map.size > 0) {
    map.delete(row);
  }
}

function setLost(map: Map<number, Lost>, row: number, lost: Lost | undefined): void {
  if (lost) {
    map.set(row, lost);
  } else if (map.size > 0) {
    map.delete(row);
  }
}
