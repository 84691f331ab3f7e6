/** Writes and reads counters as numbers: both ends of one connection. See `CounterNumbers`. */
import { MAX_CAPTURE_STATUSES } from './bounds.ts';
import { MOST, NOT_SAID, WIDTH } from './counter-numbers.ts';
import { type CaptureCounts, type CaptureReport, ZERO } from './counters.ts';
import { captureId, hookCaptureId } from './ids.ts';
import type { CountersMessage } from './sync.ts';
import type { DeviceTraffic } from './traffic.ts';

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

/** Reads the reports of one connection of an agent. */
export class CounterReader {
  /** The last row of each number. */
  readonly #rows: CaptureReport[] = [];

  /** The report with all its rows, or what is wrong with it. */
  read({ numbers: told, ...message }: CountersMessage): CountersMessage | { problem: string } {
    const captures = message.report.captures.map((row) => this.#take(row));
    const { whole = [], parts = [], devices = [] } = told ?? {};
    for (let at = 0; at < whole.length; at += WIDTH.whole) {
      const count = countAt(whole, at + 1);
      const counts = { matched: count, sampledOut: ZERO, copied: count, truncated: ZERO };
      if (!this.#add(captures, whole[at]!, counts)) {
        return unknown(whole[at]!);
      }
    }
    for (let at = 0; at < parts.length; at += WIDTH.parts) {
      const [matched, sampledOut] = [countAt(parts, at + 1), countAt(parts, at + 3)];
      const counts = { matched, sampledOut, copied: countAt(parts, at + 5), truncated: countAt(parts, at + 7) };
      if (!this.#add(captures, parts[at]!, counts)) {
        return unknown(parts[at]!);
      }
    }
    const { traffic } = message;
    const carried = traffic && { ...traffic, devices: [...traffic.devices, ...devicesOf(devices)] };
    return { ...message, report: { ...message.report, captures }, ...(carried && { traffic: carried }) };
  }

  #take({ number, ...row }: CaptureReport): CaptureReport {
    if (number !== undefined) {
      this.#rows[number] = row;
    }
    return row;
  }

  /** @returns false: nobody has told what the number means */
  #add(
    captures: CaptureReport[],
    number: number,
    counts: Pick<CaptureCounts, 'matched' | 'sampledOut' | 'copied' | 'truncated'>,
  ): boolean {
    const before = this.#rows[number];
    if (before === undefined) {
      return false;
    }
    const { policy, source, direction, life } = before;
    const { dropped, skipped } = before.counts;
    const { matched, sampledOut, copied, truncated } = counts;
    const all = { matched, sampledOut, copied, truncated, dropped, skipped };
    const row =
      life === undefined
        ? { policy, source, direction, counts: all }
        : { policy, source, direction, life, counts: all };
    this.#rows[number] = row;
    captures.push(row);
    return true;
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

function countAt(list: readonly number[], at: number): { packets: number; bytes: number } {
  return { packets: list[at]!, bytes: list[at + 1]! };
}

/** @returns false: there is no more room for it */
function writeDevice({ ifindex, inbound, outbound, unread = NOT_SAID }: DeviceTraffic, into: number[]): boolean {
  if (into.length >= WIDTH.devices * MOST.devices || !Number.isInteger(unread)) {
    return false;
  }
  into.push(ifindex, inbound.packets, inbound.bytes, outbound.packets, outbound.bytes, unread);
  return true;
}

function devicesOf(list: readonly number[]): DeviceTraffic[] {
  const devices: DeviceTraffic[] = [];
  for (let at = 0; at < list.length; at += WIDTH.devices) {
    const [inbound, outbound, unread] = [countAt(list, at + 1), countAt(list, at + 3), list[at + 5]!];
    const device = { ifindex: list[at]!, inbound, outbound };
    devices.push(unread === NOT_SAID ? device : { ...device, unread });
  }
  return devices;
}

function unknown(number: number): { problem: string } {
  return { problem: `row ${number} of the counters was never told` };
}
