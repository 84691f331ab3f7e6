/** Builds and starts endpoint.c. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
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
  mode: 'serve' | 'sink',
  protocol: 'tcp' | 'udp',
  port: number,
): Promise<() => Promise<void>> {
  const argv = ['taskset', '--cpu-list', cpu, endpointProgram(bed), mode, String(port)];
  const { stop } = await bed.serve(host, argv, () => bed.bound(host, protocol, port));
  return stop;
}
