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

/** Starts it on one CPU of a host and waits for its socket; returns what ends it. */
export async function startEndpoint(
  bed: Bed,
  host: string,
  cpu: string,
  mode: 'serve' | 'take' | 'sink',
  protocol: 'tcp' | 'udp',
  port: number,
): Promise<() => Promise<void>> {
  const argv = ['taskset', '--cpu-list', cpu, endpointProgram(bed), mode, String(port)];
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
  const argv = ['taskset', '--cpu-list', cpu, endpointProgram(bed), 'send', file, String(seconds)];
  // What is paced must be sent in time, before what other processes want of this CPU.
  const paced = rate === undefined ? argv : ['nice', '-n', '-20', ...argv, String(rate)];
  return JSON.parse(await bed.run(host, paced)) as Sent;
}
