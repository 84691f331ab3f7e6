/** Loads object files into another kernel. */
import { ROOT } from '../../packaging/paths.ts';
import { ownArchitecture } from './apt.ts';
import { foreignRoot } from './foreign-root.ts';
import type { Kernel } from './kernel.ts';
import type { LoadedProgram } from './load.ts';
import { type Order, runOn } from './machine.ts';

/** What a kernel said to object files. */
export interface LoadedObjects {
  bootSeconds: number;
  /** Each program of each object file. */
  programs: LoadedProgram[];
}

/**
 * Seconds for a boot and the loading of one object file. Both take a tenth of it on an idle
 * machine.
 */
const BOOT_SECONDS = 120;
const LOAD_SECONDS = 120;

/**
 * Boots a kernel and loads every program of object files into it.
 * @param objects paths within the source tree
 * @throws Error where the machine fails, or the loader does not get through all of them
 */
export async function loadOn(kernel: Kernel, objects: readonly string[]): Promise<LoadedObjects> {
  const said: Buffer[] = [];
  const { code, bootSeconds } = await runOn(kernel, {
    argv: ['scripts/run.sh', 'test/kernels/load.ts', ...objects],
    ...(await sourceTree(kernel)),
    seconds: BOOT_SECONDS + LOAD_SECONDS * objects.length,
    onOutput: (bytes) => said.push(bytes),
  });
  const text = Buffer.concat(said).toString();
  if (code !== 0) {
    throw new Error(`Linux ${kernel.release}: the loader ended with status ${code}: ${text.slice(-2000)}`);
  }
  const lines = text.split('\n').filter((line) => line.startsWith('{'));
  return { bootSeconds, programs: lines.map((line) => JSON.parse(line) as LoadedProgram) };
}

/**
 * The part of an order by which a command runs in the source tree, whatever architecture the guest
 * has.
 */
export async function sourceTree({ architecture }: Kernel): Promise<Pick<Order, 'cwd' | 'root' | 'beside'>> {
  if (architecture === ownArchitecture()) {
    return { cwd: ROOT };
  }
  return { cwd: ROOT, root: await foreignRoot(architecture), beside: ROOT };
}
