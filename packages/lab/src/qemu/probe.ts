/**
 * The lab's side of `probe`, which sends and counts numbered packets in a QEMU machine (`probe.c`).
 */
import type { Lab } from '../lab.ts';

/** A run of numbered packets. */
export interface Numbered {
  /** 32 bits. Distinguishes runs. A guest counts up to 16 streams. */
  stream: number;
  /** The first number. Numbers are below 65536. */
  first: number;
  count: number;
  /** Microseconds from one packet to the next. */
  intervalUs: number;
  /** Bytes of payload, 12 to 1472. Default 12. */
  size?: number;
}

/** The UDP port that numbered packets go to (discard). */
const NUMBERED_PORT = 9;
/** Extra time of a command through the console, on top of the sending time, milliseconds. */
const GRACE_MS = 60_000;

/** Sends numbered packets from a QEMU machine to a VM. Returns when all are sent. */
export async function sendNumbered(lab: Lab, from: string, to: string, numbered: Numbered): Promise<void> {
  const { stream, first, count, intervalUs, size = 12 } = numbered;
  const argv = [
    'probe',
    'send',
    lab.address(to),
    ...[NUMBERED_PORT, stream, first, count, intervalUs, size].map(String),
  ];
  await lab.exec(from, argv, { timeoutMs: (count * intervalUs) / 1000 + GRACE_MS });
}

/** The counts of a guest. */
export interface Counted {
  /**
   * Frames that the guest had no room for, or could not count. If this is not 0, the counts are too
   * low.
   */
  lost: number;
  /**
   * For each stream, how often each number arrived, from 0 to the highest number that arrived. At
   * most 255.
   */
  streams: Map<number, number[]>;
}

/** Reads what `probe report` prints. */
export function countedIn(report: string): Counted {
  const counted: Counted = { lost: 0, streams: new Map() };
  for (const line of report.trim().split('\n')) {
    if (line.startsWith('lost ')) {
      counted.lost = Number(line.slice(5));
      continue;
    }
    const [stream = 0, first = 0, last = -1, count = 0] = line.split(' ').map(Number);
    const counts = counted.streams.get(stream) ?? [];
    counted.streams.set(stream, counts);
    for (let number = first; number <= last; number++) {
      counts[number] = count;
    }
  }
  return counted;
}
