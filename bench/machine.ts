/** The machine that the numbers are of. */
import { cpus, release, totalmem } from 'node:os';
import { busySeconds } from './cpu.ts';

const IDLE_LOOK_MS = 500;

/** Share of the CPUs, 0 to 1, that others use while the bench does nothing. */
export async function idleLoad(): Promise<number> {
  const wait = () => new Promise((resolve) => setTimeout(resolve, IDLE_LOOK_MS));
  const { busy, wall } = await busySeconds(wait);
  return Math.max(0, busy / (wall * cpus().length));
}

/** Two lines: what the machine is, and how quiet it was. */
export function describeMachine(loads: readonly number[]): string {
  const model = cpus()[0]?.model.trim() || 'CPU';
  const memory = Math.round(totalmem() / 2 ** 30);
  const percent = loads.map((load) => `${Math.round(load * 100)} %`).join(', ');
  return (
    `machine: ${cpus().length} x ${model}, ${memory} GiB, Linux ${release()} ${process.arch}\n` +
    `CPU use by others before each part: ${percent || 'not looked at'}`
  );
}
