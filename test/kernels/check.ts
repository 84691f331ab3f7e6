/** Loads object files into another kernel. */
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ROOT } from '../../packaging/paths.ts';
import { ownArchitecture } from './apt.ts';
import { bundleLoader, foreignRoot } from './foreign-root.ts';
import type { Kernel } from './kernel.ts';
import type { LoadedProgram } from './load.ts';
import { type Order, runOn } from './machine.ts';

/** What a kernel said to object files. */
export interface LoadedObjects {
  bootSeconds: number;
  /** Each program of each object file. */
  programs: LoadedProgram[];
}

/** Seconds for a boot and the loading of one object file. Both take a tenth of it on an idle machine. */
const BOOT_SECONDS = 120;
const LOAD_SECONDS = 120;

/**
 * Boots a kernel and loads every program of object files into it.
 * @throws Error where the machine fails, or the loader does not get through all of them
 */
export async function loadOn(kernel: Kernel, objects: readonly string[]): Promise<LoadedObjects> {
  if (kernel.architecture === ownArchitecture())
    return runLoader(kernel, { argv: ['scripts/run.sh', 'test/kernels/load.ts', ...objects], cwd: ROOT }, objects);
  const files = mkdtempSync(join(tmpdir(), 'mirrorplane-loader-'));
  try {
    const loader = await bundleLoader(kernel.architecture, files);
    for (const [i, object] of objects.entries()) copyFileSync(object, join(files, `${i}.o`));
    const argv = ['node', `/run/files/${loader}`, ...objects.map((_, i) => `/run/files/${i}.o`)];
    const root = await foreignRoot(kernel.architecture);
    return await runLoader(kernel, { argv, cwd: '/', root, files }, objects);
  } finally {
    rmSync(files, { recursive: true });
  }
}

async function runLoader(kernel: Kernel, order: Order, objects: readonly string[]): Promise<LoadedObjects> {
  const said: Buffer[] = [];
  const { code, bootSeconds } = await runOn(kernel, {
    ...order,
    seconds: BOOT_SECONDS + LOAD_SECONDS * objects.length,
    onOutput: (bytes) => said.push(bytes),
  });
  const text = Buffer.concat(said).toString();
  if (code !== 0)
    throw new Error(`Linux ${kernel.release}: the loader ended with status ${code}: ${text.slice(-2000)}`);
  const results = text.split('\n').filter((line) => line.startsWith('{'));
  const programs = results.map((line) => JSON.parse(line) as LoadedProgram);
  const paths = [...new Set(programs.map(({ object }) => object))];
  // The loader takes the files in their order; another root has them under other names.
  return { bootSeconds, programs: programs.map((each) => ({ ...each, object: objects[paths.indexOf(each.object)]! })) };
}
