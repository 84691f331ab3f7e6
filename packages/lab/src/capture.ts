/** tcpdump on a device of the lab: started, asked for its numbers, and ended without losing a packet. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { until } from '@mirrorplane/base';
import { inNetns, run, start } from './netns.ts';

/** A running tcpdump on a device of the lab. */
export interface Capture {
  /** The pcap file, complete after `stop`. */
  file: string;
  /** Packets taken so far. */
  count(): Promise<number>;
  /** What tcpdump says of itself now. */
  statistics(): Promise<CaptureStatistics>;
  /** Waits until at least `packets` are taken. Throws after `limitMs` (default 5000). */
  waitFor(packets: number, limitMs?: number): Promise<void>;
  /** Ends it once everything the kernel has taken is in the file. */
  stop(): Promise<CaptureResult>;
  /** Ends it at once, for one whose file is of no more use. */
  abort(): Promise<void>;
}

/** Packets that the filter let pass, those of them that tcpdump has written, and those that the kernel had no room for. */
export interface CaptureStatistics {
  captured: number;
  received: number;
  dropped: number;
}

/** What a capture has taken. */
export interface CaptureResult {
  file: string;
  packets: number;
  /** Packets that the kernel had no room for: when not 0, `packets` is too low. */
  dropped: number;
  /** One line a packet, as `tcpdump -nne -t` prints it; empty where `lines: false` was asked for. */
  lines: string[];
}

/** What to capture. */
export interface CaptureOptions {
  /** A pcap filter. Default everything. */
  filter?: string;
  /** Only what the device sends or receives. Default both. */
  direction?: 'in' | 'out';
  /** Kernel buffer, KiB. Default 16384. */
  bufferKiB?: number;
  /** Bytes kept of each packet. Default all. */
  snapLength?: number;
  /** Each packet is in the file as soon as tcpdump has it. Default false. */
  flush?: boolean;
  /** Print the packets at the end. Default true; false for captures of very many. */
  lines?: boolean;
}

/** Starts tcpdump on a device in a namespace, writing to `file`; returns once it sees every packet from now on. */
export async function startCapture(
  ns: string,
  device: string,
  file: string,
  options: CaptureOptions = {},
): Promise<Capture> {
  const argv = ['tcpdump', '-n', '--immediate-mode', '-Z', 'root', '-i', device, '-w', file];
  argv.push('-B', String(options.bufferKiB ?? 16_384));
  if (options.flush) {
    argv.push('-U');
  }
  if (options.snapLength !== undefined) {
    argv.push('-s', String(options.snapLength));
  }
  const direction = options.direction ?? (device === 'lo' ? 'in' : undefined);
  if (direction !== undefined) {
    argv.push('-Q', direction);
  }
  if (options.filter) {
    argv.push(options.filter);
  }
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
      // Ended at once, tcpdump would leave behind what it has not read yet.
      let last = { captured: 0, received: 0, dropped: 0 };
      await until(`tcpdump on ${device} to read all`, async () => {
        const idle = sleeps(child);
        last = await numbers();
        // With a direction, what goes the other way counts as received too. A tcpdump that slept before it was asked
        // had read everything until then.
        return direction === undefined ? last.captured >= last.received - last.dropped : idle;
      });
      child.kill('SIGINT');
      await exited;
      const lines = options.lines === false ? [] : await printed(file);
      return { file, packets: last.captured, dropped: last.dropped, lines };
    },
  };
}

async function printed(file: string): Promise<string[]> {
  const { stdout } = await run(['tcpdump', '-nne', '-t', '-r', file]);
  // Lines of hex that belong to the packet above are indented.
  return stdout.split('\n').filter((line) => line !== '' && !line.startsWith('\t'));
}

/** True while a process waits in the kernel: tcpdump does so only where there is no packet left to read. */
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
