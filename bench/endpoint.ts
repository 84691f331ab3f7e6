/** Builds and starts endpoint.c. */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Bed } from './bed.ts';

/** Path of the program, compiled for this run. @throws Error where there is no clang. */
export function endpointProgram(bed: Bed): string {
  const program = join(bed.folder, 'endpoint');
  if (!existsSync(program)) {
    execFileSync('clang', ['-O2', '-o', program, join(import.meta.dirname, 'endpoint.c')], { stdio: 'inherit' });
  }
  return program;
}

/**
 * What wakes another process again and again, or is paced, runs before what other processes want of
 * its CPU. Otherwise each wake-up would wait for them.
 */
const BEFORE_OTHERS = ['nice', '-n', '-20'];

/** The command that runs it on one CPU, before other processes. */
export function onCpu(bed: Bed, cpu: string, args: readonly string[]): string[] {
  return [...BEFORE_OTHERS, 'taskset', '--cpu-list', cpu, endpointProgram(bed), ...args];
}

/** Starts it on one CPU of a host and waits for its socket; returns what ends it. */
export async function startEndpoint(
  bed: Bed,
  host: string,
  cpu: string,
  mode: 'serve' | 'take' | 'sink',
  protocol: 'tcp' | 'udp',
  port: number,
): Promise<() => Promise<void>> {
  const argv = onCpu(bed, cpu, [mode, String(port)]);
  const { stop } = await bed.serve(host, argv, () => bed.bound(host, protocol, port));
  return stop;
}

/** A frame and the device of the sender that it leaves by. */
export interface Outgoing {
  device: string;
  frame: Buffer;
}

/** Frames that are sent again and again, in this order, from one CPU of a host. */
export interface Burst {
  host: string;
  cpu: string;
  /** Up to 64, or a multiple of 32 up to 1024. */
  frames: readonly Outgoing[];
  seconds: number;
  /** Frames a second. Undefined: as fast as the CPU can. */
  rate?: number;
}

/** What a sender reports. */
export interface Sent {
  /** Frames that were sent, or that a full queue behind the device refused. */
  frames: number;
  /** How long it took. */
  seconds: number;
  /** Nanoseconds of a frame: lower quartile and median of the calls, of 32 frames or more each. */
  low: number;
  median: number;
}

/** Sends frames for some time. @throws Error as `Bed.run` */
export async function sendFrames(bed: Bed, { host, cpu, frames, seconds, rate }: Burst): Promise<Sent> {
  const file = join(bed.folder, 'frames');
  writeFileSync(file, frames.map(({ device, frame }) => `${device} ${frame.toString('hex')}\n`).join(''));
  const argv = onCpu(bed, cpu, ['send', file, String(seconds)]);
  return JSON.parse(await bed.run(host, rate === undefined ? argv : [...argv, String(rate)])) as Sent;
}
