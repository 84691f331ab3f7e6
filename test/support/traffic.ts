/** Traffic of guests in a lab: pings, frames and streams. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';

/** Debian's Python, which has Scapy; another one on the path need not. */
export const PYTHON = '/usr/bin/python3';
const SEND = join(import.meta.dirname, 'send.py');

/** Numbers of the CPUs that this process may use. */
export function allowedCpus(): number[] {
  const [, list] = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))!;
  return list!.split(',').flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
  });
}

/** How to ping. */
export interface PingOptions {
  /** Bytes of payload. Default 56. */
  size?: number;
  /** Seconds between two. Default 0.005. */
  interval?: number;
  /** Hex digits that the payload repeats, at most 32. Default counting bytes. */
  pattern?: string;
  /** The CPU that sends, and in a lab also takes what it sends to the other guest. Default any. */
  cpu?: number;
}

function pingArgv(
  address: string,
  count: number,
  { size = 56, interval = 0.005, pattern, cpu }: PingOptions,
): string[] {
  const pinned = cpu === undefined ? [] : ['taskset', '-c', String(cpu)];
  const more = pattern === undefined ? [] : ['-p', pattern];
  const options = ['-i', String(interval), '-s', String(size), '-W', '2', ...more];
  return [...pinned, 'ping', '-q', '-n', '-c', String(count), ...options, address];
}

/**
 * Sends `count` pings and asserts that every one was answered: the original traffic is untouched.
 */
export async function ping(
  lab: Lab,
  from: string,
  to: string,
  count: number,
  options: PingOptions = {},
): Promise<void> {
  const before = await echoReplies(lab, from);
  const argv = pingArgv(lab.address(to), count, options);
  const { stdout } = await lab.exec(from, argv, { check: false });
  await assertAllAnswered(lab, { from, to, before, stdout, count });
}

/** Answers that have reached a host since it is there, as its kernel counts them. */
async function echoReplies(lab: Lab, host: string): Promise<number> {
  const { stdout } = await lab.exec(host, ['cat', '/proc/net/snmp']);
  const [names, values] = stdout
    .split('\n')
    .filter((line) => line.startsWith('Icmp:'))
    .map((line) => line.split(' '));
  return Number(values![names!.indexOf('InEchoReps')]);
}

/**
 * When `ping` has sent its last one, it waits for two of the longest times that an answer has taken,
 * whatever -W says, and takes later ones for lost. On a busy machine these are some milliseconds. So
 * the kernel's count decides, which also has what came late.
 */
async function assertAllAnswered(
  lab: Lab,
  { from, to, before, stdout, count }: { from: string; to: string; before: number; stdout: string; count: number },
): Promise<void> {
  const [, sent, answered] = /(\d+) packets transmitted, (\d+) received/.exec(stdout) ?? [];
  assert.equal(Number(sent), count, `pings from ${from} to ${to}: ${stdout}`);
  if (Number(answered) < count) {
    const all = async () => (await echoReplies(lab, from)) - before >= count;
    await until(`an answer to each ping from ${from} to ${to}: ${stdout}`, all, { limitMs: 2000, pauseMs: 50 });
  }
}

/** Pings that go on in the background. */
export interface RunningPings {
  /** Resolves when all are sent; asserts that all were answered. */
  done(): Promise<void>;
  /** Ends them now; asserts that all that were sent were answered. Returns how many. */
  end(): Promise<number>;
  /** Ends them early; nothing is asserted. */
  stop(): void;
}

/** Starts `count` pings in the background. */
export async function startPings(
  lab: Lab,
  from: string,
  to: string,
  count: number,
  options: PingOptions = {},
): Promise<RunningPings> {
  const before = await echoReplies(lab, from);
  const argv = pingArgv(lab.address(to), count, options);
  const child: ChildProcess = lab.spawn(from, argv, { stdio: ['ignore', 'pipe', 'ignore'] });
  let stdout = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const closed = once(child, 'close');
  return {
    done: async () => {
      await closed;
      await assertAllAnswered(lab, { from, to, before, stdout, count });
    },
    end: async () => {
      child.kill('SIGINT');
      await closed;
      const sent = Number(/(\d+) packets transmitted/.exec(stdout)?.[1]);
      await assertAllAnswered(lab, { from, to, before, stdout, count: sent });
      return sent;
    },
    stop: () => child.kill('SIGKILL'),
  };
}

/** Sends frames, given as hex, out of a device, in this order. */
export async function sendFrames(lab: Lab, host: string, device: string, frames: readonly string[]): Promise<void> {
  await lab.exec(host, [PYTHON, SEND, device], { input: `${frames.join('\n')}\n` });
}

/**
 * Runs a Python script of this folder with Scapy at hand and returns what it printed, parsed as
 * JSON.
 */
export async function python<T>(script: string, args: readonly string[], input = ''): Promise<T> {
  const child = spawn(PYTHON, [join(import.meta.dirname, script), ...args], { stdio: ['pipe', 'pipe', 'pipe'] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  assert.equal(code, 0, `${script}: ${Buffer.concat(err).toString()}`);
  return JSON.parse(Buffer.concat(out).toString()) as T;
}
