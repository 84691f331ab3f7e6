/**
 * Runs tcpdump on a device of the lab: starts it, asks for its counts, and ends it without losing a
 * packet.
 */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { until } from '@mirrorplane/base';
import { inNetns, run, start } from './netns.ts';

/** A running tcpdump on a device of the lab. */
export interface Capture {
  /** The pcap file, complete after `stop`. */
  file: string;
  /** Packets captured so far. */
  count(): Promise<number>;
  /** The current counts of tcpdump. */
  statistics(): Promise<CaptureStatistics>;
  /** Waits until at least `packets` are captured. Throws after `limitMs` (default 5000). */
  waitFor(packets: number, limitMs?: number): Promise<void>;
  /** Ends tcpdump after it has written everything that the kernel has captured. */
  stop(): Promise<CaptureResult>;
  /** Ends tcpdump at once, if the file is no longer needed. */
  abort(): Promise<void>;
}

/**
 * Counts of tcpdump: packets that passed the filter (`received`), that tcpdump has written
 * (`captured`), and that the kernel had no room for (`dropped`).
 */
export interface CaptureStatistics {
  captured: number;
  received: number;
  dropped: number;
}

/** The result of a packet capture. */
export interface CaptureResult {
  file: string;
  packets: number;
  /** Packets that the kernel had no room for. If this is not 0, `packets` is too low. */
  dropped: number;
  /** One line for each packet, as `tcpdump -nne -t` prints it. Empty with `lines: false`. */
  lines: string[];
}

/** What to capture. */
export interface CaptureOptions {
  /** A pcap filter. Default everything. */
  filter?: string;
  /** Only packets that the device receives (`in`) or sends (`out`). Default both. */
  direction?: 'in' | 'out';
  /** Kernel buffer, KiB. Default 16384. */
  bufferKiB?: number;
  /** Bytes kept of each packet. Default all. */
  snapLength?: number;
  /** Write each packet to the file at once. Default false. */
  flush?: boolean;
  /** Print the packets at the end. Default true. Use false for very many packets. */
  lines?: boolean;
}

/**
 * Starts tcpdump on a device in a namespace, writing to `file`. Returns when it sees every packet.
 */
export async function startCapture(
  ns: string,
  device: string,
  file: string,
  options: CaptureOptions = {},
): Promise<Capture> {
  const direction = options.direction ?? (device === 'lo' ? 'in' : undefined);
  const argv = tcpdumpOf(device, file, { ...options, direction });
  const child = start(inNetns(ns, argv), { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const exited = once(child, 'exit');
  const ended = () => child.exitCode !== null || child.signalCode !== null;
  await until(
    `tcpdump on ${device}`,
    () => {
      if (ended()) {
        throw new Error(`tcpdump on ${device}: ${said.trim()}`);
      }
      return said.includes('listening on');
    },
    { limitMs: 45_000 },
  );
  const numbers = () => statistics(child, () => said, ended);
  return {
    file,
    count: async () => (await numbers()).captured,
    statistics: numbers,
    waitFor: async (packets, limitMs = 5000) => {
      await until(`${packets} packets on ${device}`, async () => (await numbers()).captured >= packets, { limitMs });
    },
    abort: async () => {
      child.kill('SIGKILL');
      await exited;
    },
    stop: async () => {
      // If ended at once, tcpdump would lose the packets that it has not read yet.
      let last = { captured: 0, received: 0, dropped: 0 };
      await until(`tcpdump on ${device} to read all`, async () => {
        const idle = sleeps(child);
        last = await numbers();
        // Packets of the other direction count as received too, and so do packets that came before
        // the filter was in force, so the counts may never agree. If tcpdump was asleep before it
        // was asked, it had read everything until then.
        return idle || (direction === undefined && last.captured >= last.received - last.dropped);
      });
      child.kill('SIGINT');
      await exited;
      const lines = options.lines === false ? [] : await printed(file);
      return { file, packets: last.captured, dropped: last.dropped, lines };
    },
  };
}

function tcpdumpOf(
  device: string,
  file: string,
  {
    bufferKiB = 16_384,
    flush,
    snapLength,
    direction,
    filter,
  }: Omit<CaptureOptions, 'direction'> & { direction: 'in' | 'out' | undefined },
): string[] {
  return [
    ...['tcpdump', '-n', '--immediate-mode', '-Z', 'root', '-i', device, '-w', file, '-B', String(bufferKiB)],
    ...(flush ? ['-U'] : []),
    ...(snapLength === undefined ? [] : ['-s', String(snapLength)]),
    ...(direction === undefined ? [] : ['-Q', direction]),
    ...(filter ? [filter] : []),
  ];
}

async function printed(file: string): Promise<string[]> {
  const { stdout } = await run(['tcpdump', '-nne', '-t', '-r', file]);
  // Indented lines are a hex dump of the packet above.
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('\t'));
}

/**
 * True while a process waits in the kernel: tcpdump does so only where there is no packet left to
 * read.
 */
function sleeps({ pid }: ChildProcess): boolean {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return stat[stat.lastIndexOf(')') + 2] === 'S';
}

/** Asks tcpdump for its numbers (SIGUSR1) and waits for the answer. */
async function statistics(child: ChildProcess, said: () => string, ended: () => boolean): Promise<CaptureStatistics> {
  const pattern = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped by kernel/g;
  const before = [...said().matchAll(pattern)].length;
  child.kill('SIGUSR1');
  let answers: RegExpExecArray[] = [];
  await until(
    'statistics of tcpdump',
    () => {
      if (ended()) {
        throw new Error(`tcpdump ended: ${said().trim()}`);
      }
      answers = [...said().matchAll(pattern)];
      return answers.length > before;
    },
    { limitMs: 5000 },
  );
  const [, captured, received, dropped] = answers.at(-1) ?? [];
  return { captured: Number(captured), received: Number(received), dropped: Number(dropped) };
}
