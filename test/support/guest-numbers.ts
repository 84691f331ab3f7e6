/**
 * Numbered packets in both directions between a QEMU machine and a VM, and what captures have seen
 * of them.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Lab } from '@mirrorplane/lab';
import { PYTHON } from './traffic.ts';

const SCRIPT = join(import.meta.dirname, 'guest-numbers.py');
const PORT = 9;
/** Numbers that a guest can count. */
const MOST = 65_535;

/** Packets under way. */
export interface RunningNumbers {
  /** Ends it and returns how many were sent: numbers 0 up to that. */
  stop(): Promise<number>;
}

/** Of every packet that all VMs of the lab get. */
export const TO_ALL = '255.255.255.255';

/**
 * Sends numbered packets from a VM that is a namespace, to another or TO_ALL, until it is stopped.
 * `interval` in seconds.
 */
export function startNumbers(lab: Lab, from: string, to: string, stream: number, interval: number): RunningNumbers {
  const address = to === TO_ALL ? to : lab.address(to);
  const argv = [PYTHON, SCRIPT, address, String(stream), String(interval)];
  const child: ChildProcess = lab.spawn(from, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const closed = once(child, 'close');
  return {
    stop: async () => {
      child.stdin?.end('\n');
      await closed;
      return Number(said);
    },
  };
}

/**
 * Sends numbered packets from a QEMU machine until it is stopped, 65535 at most. `interval` in
 * seconds.
 */
export async function startGuestNumbers(
  lab: Lab,
  from: string,
  to: string,
  stream: number,
  interval: number,
): Promise<{ stop(): Promise<void> }> {
  const pid = `/run/sender-${stream}`;
  const argv = ['probe', 'send', lab.address(to), PORT, stream, 0, MOST, Math.round(interval * 1e6)].join(' ');
  await lab.exec(from, ['sh', '-c', `${argv} >/dev/null & echo $! >${pid}`]);
  return { stop: async () => void (await lab.exec(from, ['sh', '-c', `kill $(cat ${pid}) && rm ${pid}`])) };
}

/**
 * A numbered packet as `MAC/STREAM/NUMBER` of the sender, or null for any other frame. `frame` is
 * hex.
 */
export function numberedKey(frame: string): string | null {
  const at = 2 * (14 + 20 + 8);
  if (frame.slice(24, 28) !== '0800' || frame.slice(at, at + 8) !== '6d706e72') {
    return null;
  }
  const word = (i: number) => Number.parseInt(frame.slice(at + 8 * i, at + 8 * (i + 1)), 16);
  return `${frame.slice(12, 24)}/${word(1)}/${word(2)}`;
}

/** How often each key is there. */
export function tally(keys: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const key of keys) {
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return counts;
}

/** Runs of neighbouring numbers with one count. */
export function runsOf(counts: readonly number[]): { first: number; last: number; count: number }[] {
  const runs: { first: number; last: number; count: number }[] = [];
  counts.forEach((count, number) => {
    const run = runs.at(-1);
    if (run?.count === count) {
      run.last = number;
    } else {
      runs.push({ first: number, last: number, count });
    }
  });
  return runs;
}
