/** Builds and starts prog-runner.c: a program on several CPUs at the same time. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { ProgramName } from '@mirrorplane/agent/testing';
import type { Bed } from './bed.ts';

/** A CPU, and what it runs: a pinned program of a node, on a packet of this device. */
export interface Worker {
  cpu: number;
  node: string;
  bpffs: string;
  program: ProgramName;
  ifindex: number;
}

/** Slices in which nothing else had the CPUs: nanoseconds a packet. Element i is of the i-th one. */
export interface Slices {
  /** Of each worker alone. */
  alone: number[][];
  /** Of each worker, all running at the same time. */
  together: number[][];
}

/** How long a slice is, microseconds. Shorter than what a process has at a time. */
const SLICE_US = 2000;

function program(bed: Bed): string {
  const path = join(bed.folder, 'prog-runner');
  if (!existsSync(path)) {
    const source = join(import.meta.dirname, 'prog-runner.c');
    execFileSync('clang', ['-O2', '-pthread', '-o', path, source], { stdio: 'inherit' });
  }
  return path;
}

/** So many undisturbed slices are enough; and so many attempts. */
const LEAST_SLICES = 12;
const MOST_ATTEMPTS = 20;

/**
 * Runs `slices` slices of each kind, and again until enough of them were undisturbed.
 * @throws Error where they never are, or the kernel refuses to run the program.
 */
export async function runTogether(
  bed: Bed,
  packet: Buffer,
  workers: readonly Worker[],
  slices: number,
): Promise<Slices> {
  const all: Slices = { alone: workers.map(() => []), together: workers.map(() => []) };
  for (let attempt = 0; attempt < MOST_ATTEMPTS; attempt++) {
    const { alone, together } = await runOnce(bed, packet, workers, slices);
    workers.forEach((_, i) => {
      all.alone[i]!.push(...alone[i]!);
      all.together[i]!.push(...together[i]!);
    });
    if ([...all.alone, ...all.together].every((values) => values.length >= LEAST_SLICES)) {
      return all;
    }
  }
  throw new Error('other processes had the CPUs in nearly all slices');
}

async function runOnce(bed: Bed, packet: Buffer, workers: readonly Worker[], slices: number): Promise<Slices> {
  const specs = workers.map(({ cpu, node, bpffs, program: name, ifindex }) => {
    const folder = readdirSync(bpffs).find((entry) => entry.startsWith('programs-'))!;
    return [cpu, `/run/netns/${bed.lab.ns(node)}`, join(bpffs, folder, name), ifindex].join(',');
  });
  const argv = [program(bed), String(slices), String(SLICE_US), packet.toString('hex'), ...specs];
  const lines = (await bed.run(workers[0]!.node, argv)).trim().split('\n');
  const found: Slices = { alone: workers.map(() => []), together: workers.map(() => []) };
  for (const line of lines.filter((text) => text !== '')) {
    const { workers: mask, ns } = JSON.parse(line) as { workers: number; ns: number[] };
    const into = mask === 2 ** workers.length - 1 ? found.together : found.alone;
    ns.forEach((value, i) => {
      if (mask & (1 << i)) {
        into[i]!.push(value);
      }
    });
  }
  return found;
}
