/** The CPUs that a test may use, and on which of them it runs. */
import { readFileSync } from 'node:fs';
import { run } from './namespace.ts';

/** Numbers of the CPUs that this process might use when the test began. */
export const CPUS: readonly number[] = /Cpus_allowed_list:\s*(\S+)/
  .exec(readFileSync('/proc/self/status', 'utf8'))![1]!
  .split(',')
  .flatMap((range) => {
    const [first, last = first] = range.split('-').map(Number);
    return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
  });

/** From now on, what the main thread of this process does is done on these CPUs. */
export function runOn(cpus: readonly number[]): void {
  run('taskset', '--cpu-list', '--pid', cpus.join(','), String(process.pid));
}
