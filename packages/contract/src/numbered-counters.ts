/** Writes and reads counters as numbers: both ends of one connection. See `CounterNumbers`. */
import { MAX_CAPTURE_STATUSES } from './bounds.ts';
import { MOST, NOT_SAID, WIDTH } from './counter-numbers.ts';
import type { CaptureCounts, CaptureReport, Count, CounterReport } from './counters.ts';
import { captureId, hookCaptureId } from './ids.ts';
import type { CountersMessage } from './sync.ts';
import type { DeviceTraffic, TrafficReport } from './traffic.ts';

/** Numbers of rows, below this. */
const MAX_ROW_NUMBER = MAX_CAPTURE_STATUSES;

/** What the agent knows of a row that it has told. */
interface Told {
  number: number;
  /** What numbers do not say, as text. */
  rest: string;
}

/** Writes the reports of one connection of an agent. */
export class CounterWriter {
  readonly #told = new Map<string, Told>();
  /** Numbers of rows that have gone. */
  #free: number[] = [];
  /** The least number that no row ever had. */
  #next = 0;

  /** Nothing was told yet: the connection is a new one. */
  forget(): void {
    this.#told.clear();
    this.#free = [];
    this.#next = 0;
  }

  /**
   * Lets other rows have the numbers of rows that are no longer there: else the numbers of a connection
   * that lasts for weeks would be used up. A row that is told whole replaces what its number meant.
   * @param rows all that there are, also those of which nothing has to be told
   */
  retain(rows: readonly CaptureReport[]): void {
    if (this.#told.size <= rows.length) {
      return;
    }
    const there = new Set(rows.map(keyOf));
    for (const [key, { number }] of this.#told) {
      if (!there.has(key)) {
        this.#told.delete(key);
        this.#free.push(number);
      }
    }
  }

  /** The same report, with numbers in place of rows that the controller knows. */
  write({ report, traffic, ...message }: CountersMessage): CountersMessage {
    const [whole, parts, devices]: [number[], number[], number[]] = [[], [], []];
    const captures = report.captures.filter((row) => !this.#writeRow(row, whole, parts));
    const others = traffic?.devices.filter((device) => !writeDevice(device, devices));
    return {
      ...message,
      report: { ...report, captures: captures.map((row) => this.#numbered(row)) },
      ...(traffic && { traffic: { ...traffic, devices: others! } }),
      numbers: {
        ...(whole.length > 0 && { whole }),
        ...(parts.length > 0 && { parts }),
        ...(devices.length > 0 && { devices }),
      },
    };
  }

  /** @returns false: the row has to be told whole */
  #writeRow(row: CaptureReport, whole: number[], parts: number[]): boolean {
    const told = this.#told.get(keyOf(row));
    if (told === undefined || told.rest !== restOf(row)) {
      return false;
    }
    const { matched, sampledOut, copied, truncated } = row.counts;
    if (isWhole(row.counts) && whole.length < WIDTH.whole * MOST.whole) {
      whole.push(told.number, matched.packets, matched.bytes);
      return true;
    }
    if (parts.length >= WIDTH.parts * MOST.parts) {
      return false;
    }
    parts.push(told.number);
    for (const { packets, bytes } of [matched, sampledOut, copied, truncated]) {
      parts.push(packets, bytes);
    }
    return true;
  }

  /** The row with a number, if there is one left for it. */
  #numbered(row: CaptureReport): CaptureReport {
    const key = keyOf(row);
    const number = this.#told.get(key)?.number ?? this.#free.pop() ?? this.#next;
    if (number >= MAX_ROW_NUMBER) {
      return row;
    }
    this.#next = Math.max(this.#next, number + 1);
    this.#told.set(key, { number, rest: restOf(row) });
    return { ...row, number };
  }
}

/** Items that are looked at one after the other. Who is called keeps none of them: the next one may be the same object. */
export interface Passing<T> {
  forEach(visit: (item: T) => void): void;
}

/** A report as it is read: of one of an agent that tells numbers, no list of rows is made. */
export interface HeardCounters extends Omit<CountersMessage, 'report' | 'traffic' | 'numbers'> {
  report: Omit<CounterReport, 'captures'> & { captures: Passing<CaptureReport> };
  traffic?: Omit<TrafficReport, 'devices'> & { devices: Passing<DeviceTraffic> };
}

/** What most rows have none of. */
type Reasons = Pick<CaptureCounts, 'dropped' | 'skipped'>;

const NONE = Object.freeze({});
const NO_REASONS: Reasons = { dropped: NONE, skipped: NONE };

/** Reads the reports of one connection of an agent. */
export class CounterReader {
  /** By number of a row: what numbers do not say. No object is kept for each, and no counts. */
  readonly #policies: string[] = [];
  readonly #sources: string[] = [];
  readonly #directions: CaptureReport['direction'][] = [];
  readonly #lives: CaptureReport['life'][] = [];
  readonly #reasons = new Map<number, Reasons>();
  /** The number of the row that was told whole last: mostly the other direction of the same source, so the texts are shared. */
  #last = 0;

  /**
   * The report with all its rows, or what is wrong with it. Its rows are looked at before the next report
   * is read.
   */
  read({ numbers, ...message }: CountersMessage): HeardCounters | { problem: string } {
    for (const row of message.report.captures) {
      this.#take(row);
    }
    const { whole = [], parts = [], devices = [] } = numbers ?? {};
    const unknown = this.#unknownIn(whole, WIDTH.whole) ?? this.#unknownIn(parts, WIDTH.parts);
    if (unknown !== undefined) {
      return { problem: `row ${unknown} of the counters was never told` };
    }
    const { report, traffic, ...rest } = message;
    const captures: Passing<CaptureReport> = {
      forEach: (visit) => {
        report.captures.forEach(visit);
        this.#readWhole(whole, visit);
        this.#readParts(parts, visit);
      },
    };
    const carried: Passing<DeviceTraffic> | undefined = traffic && {
      forEach: (visit) => {
        traffic.devices.forEach(visit);
        readDevices(devices, visit);
      },
    };
    return { ...rest, report: { ...report, captures }, ...(carried && { traffic: { ...traffic, devices: carried } }) };
  }

  #take({ number, policy, source, direction, life, counts: { dropped, skipped } }: CaptureReport): void {
    if (number === undefined) {
      return;
    }
    const [lastPolicy, lastSource] = [this.#policies[this.#last], this.#sources[this.#last]];
    this.#policies[number] = policy === lastPolicy ? lastPolicy : policy;
    this.#sources[number] = source === lastSource ? lastSource : source;
    this.#directions[number] = direction;
    this.#lives[number] = life;
    this.#last = number;
    if (Object.keys(dropped).length + Object.keys(skipped).length > 0) {
      this.#reasons.set(number, { dropped, skipped });
    } else {
      this.#reasons.delete(number);
    }
  }

  /** The first number of a row that nobody has told. */
  #unknownIn(list: readonly number[], width: number): number | undefined {
    for (let at = 0; at < list.length; at += width) {
      if (this.#policies[list[at]!] === undefined) {
        return list[at];
      }
    }
    return undefined;
  }

  #readWhole(list: readonly number[], visit: (row: CaptureReport) => void): void {
    const row = passingRow();
    const { matched, copied } = row.counts;
    for (let at = 0; at < list.length; at += WIDTH.whole) {
      this.#name(row, list[at]!);
      setCount(matched, list, at + 1);
      setCount(copied, list, at + 1);
      visit(row);
    }
  }

  #readParts(list: readonly number[], visit: (row: CaptureReport) => void): void {
    const row = passingRow();
    const { matched, sampledOut, copied, truncated } = row.counts;
    for (let at = 0; at < list.length; at += WIDTH.parts) {
      this.#name(row, list[at]!);
      setCount(matched, list, at + 1);
      setCount(sampledOut, list, at + 3);
      setCount(copied, list, at + 5);
      setCount(truncated, list, at + 7);
      visit(row);
    }
  }

  #name(row: CaptureReport, number: number): void {
    const { dropped, skipped } = this.#reasons.get(number) ?? NO_REASONS;
    row.policy = this.#policies[number]!;
    row.source = this.#sources[number]!;
    row.direction = this.#directions[number]!;
    row.life = this.#lives[number];
    row.counts.dropped = dropped;
    row.counts.skipped = skipped;
  }
}

function keyOf({ policy, source, direction }: CaptureReport): string {
  return hookCaptureId(captureId(policy, source), direction);
}

function restOf({ life, counts: { dropped, skipped } }: CaptureReport): string {
  return JSON.stringify([life ?? null, dropped, skipped]);
}

/** Whether all that matched was copied as it was. */
function isWhole({ matched, sampledOut, copied, truncated }: CaptureCounts): boolean {
  const isNothing = (count: typeof matched) => count.packets === 0 && count.bytes === 0;
  const isSame = matched.packets === copied.packets && matched.bytes === copied.bytes;
  return isSame && isNothing(sampledOut) && isNothing(truncated);
}

/** A row that is written to again and again. */
function passingRow(): CaptureReport {
  const count = () => ({ packets: 0, bytes: 0 });
  const counts = { matched: count(), sampledOut: count(), copied: count(), truncated: count() };
  const row = { policy: '', source: '', direction: 'inbound' as const, life: undefined };
  return { ...row, counts: { ...counts, dropped: NONE, skipped: NONE } };
}

function setCount(count: Count, list: readonly number[], at: number): void {
  count.packets = list[at]!;
  count.bytes = list[at + 1]!;
}

/** @returns false: there is no more room for it */
function writeDevice({ ifindex, inbound, outbound, unread = NOT_SAID }: DeviceTraffic, into: number[]): boolean {
  if (into.length >= WIDTH.devices * MOST.devices || !Number.isInteger(unread)) {
    return false;
  }
  into.push(ifindex, inbound.packets, inbound.bytes, outbound.packets, outbound.bytes, unread);
  return true;
}

function readDevices(list: readonly number[], visit: (device: DeviceTraffic) => void): void {
  const count = () => ({ packets: 0, bytes: 0 });
  const device: DeviceTraffic = { ifindex: 0, inbound: count(), outbound: count(), unread: undefined };
  for (let at = 0; at < list.length; at += WIDTH.devices) {
    device.ifindex = list[at]!;
    setCount(device.inbound, list, at + 1);
    setCount(device.outbound, list, at + 3);
    device.unread = list[at + 5] === NOT_SAID ? undefined : list[at + 5];
    visit(device);
  }
}
