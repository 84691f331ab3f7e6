/** Every kernel with the object of every compiler, then the kernel tests on some of them. */
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../../packaging/paths.ts';
import { loadOn } from './check.ts';
import { buildObjects, type Compiler, getCompiler } from './compilers.ts';
import { faults, mostSteps, notTried, table } from './judge.ts';
import { getKernel, type Kernel, parseWish } from './kernel.ts';
import { type TestedFile, testFiles, testOn } from './test-files.ts';

/** What is to be tried. */
export interface Selection {
  /** Kernels, as `parseWish` reads them. */
  kernels: readonly string[];
  /** Compilers, as `getCompiler` reads them. */
  compilers: readonly string[];
  /** The kernels of `kernels` that the kernel tests run on. */
  tested: readonly string[];
  /** Words of the names of test files; empty for all files. */
  tests: readonly string[];
  /**
   * Whether the kernels, or the compilers, were asked for by name. Of those that are tried by
   * default some may be skipped.
   */
  named: { kernels: boolean; compilers: boolean };
}

/** Where results and logs are written. */
export const OUT = join(ROOT, 'test/kernels/out');
const RESULTS = join(OUT, 'latest.jsonl');

/** A row of the table at the end. */
interface Row {
  kernel: string;
  boot: string;
  /** A cell for each compiler. */
  loads: string[];
  tests: string;
}

/**
 * Tries all of it, and prints what happens and a table at the end.
 * @param say gets what happens, a line each; `print` gets the table
 * @returns true where something was tried, all that was asked for by name was, and nothing failed
 */
export async function runMatrix(
  selection: Selection,
  say: (line: string) => void,
  print: (text: string) => void,
): Promise<boolean> {
  mkdirSync(OUT, { recursive: true });
  writeFileSync(RESULTS, '');
  const record = (result: object) => appendFileSync(RESULTS, `${JSON.stringify(result)}\n`);
  const failures: string[] = [];
  const skipped: string[] = [];
  const missed: string[] = [];
  let loads = 0;
  const skip = (what: string, error: unknown, named: boolean) => {
    if (named) {
      missed.push(what);
    }
    const line = `SKIPPED ${what}: ${(error as Error).message}`;
    skipped.push(line);
    say(line);
    record({ skipped: what, reason: (error as Error).message });
  };

  const objects: { compiler: Compiler; paths: string[] }[] = [];
  for (const wish of selection.compilers) {
    try {
      const compiler = await getCompiler(wish, say);
      if (objects.some((other) => other.compiler.version === compiler.version)) {
        continue;
      }
      objects.push({ compiler, paths: buildObjects(compiler) });
      say(`clang ${compiler.version}: object built`);
    } catch (error) {
      skip(`clang ${wish}`, error, selection.named.compilers);
    }
  }

  const kernels: { wish: string; kernel: Kernel; row: Row }[] = [];
  for (const wish of selection.kernels) {
    let kernel: Kernel;
    try {
      kernel = await getKernel(parseWish(wish), say);
    } catch (error) {
      skip(`Linux ${wish}`, error, selection.named.kernels);
      continue;
    }
    const row: Row = { kernel: kernel.release, boot: '', loads: [], tests: 'not run' };
    kernels.push({ wish, kernel, row });
    try {
      await load(kernel, row);
    } catch (error) {
      row.loads = objects.map(() => 'MACHINE FAILED');
      failures.push((error as Error).message);
      say((error as Error).message);
    }
  }

  async function load(kernel: Kernel, row: Row): Promise<void> {
    const paths = objects.flatMap((built) => built.paths);
    const { bootSeconds, programs } = await loadOn(kernel, paths);
    row.boot = `${bootSeconds.toFixed(0)} s`;
    record({ kernel: kernel.release, bootSeconds });
    loads += objects.length;
    row.loads = objects.map((built) => {
      const { compiler } = built;
      const results = programs.filter(({ object }) => built.paths.includes(object));
      for (const { object: _, ...result } of results) {
        record({ kernel: kernel.release, compiler: compiler.version, ...result });
      }
      const wrong = faults(results);
      const seconds = results.reduce((sum, result) => sum + result.seconds, 0);
      const cell = wrong.length > 0 ? `FAILS (${wrong.length} of ${results.length})` : `loads, ${mostSteps(results)}`;
      say(`Linux ${kernel.release}, clang ${compiler.version}: ${cell}, ${seconds.toFixed(1)} s`);
      for (const fault of wrong) {
        failures.push(`Linux ${kernel.release}, clang ${compiler.version}: ${fault}`);
      }
      return cell;
    });
  }

  const passed = new Map<string, number>();
  const files = selection.tested.length === 0 ? [] : testFiles(selection.tests);
  for (const { kernel, row } of kernels.filter(({ wish }) => selection.tested.includes(wish))) {
    const results: TestedFile[] = [];
    for (const file of files) {
      const result = await testOn(kernel, file, join(OUT, 'logs'));
      results.push(result);
      record({ kernel: kernel.release, ...result });
      const { code, pass, fail, skipped: left, retried, seconds } = result;
      const counts = `${pass} passed, ${fail} failed, ${left} skipped`;
      say(`Linux ${kernel.release}, ${file}: ${counts}${retried ? ', second try' : ''}, ${seconds.toFixed(0)} s`);
      if (code !== 0) {
        failures.push(`Linux ${kernel.release}, ${file}: ${counts}; see ${result.log}`);
      }
    }
    const sum = (field: 'pass' | 'fail' | 'skipped') => results.reduce((all, result) => all + result[field], 0);
    passed.set(kernel.release, sum('pass'));
    row.tests = `${sum('pass')} passed, ${sum('fail')} failed, ${sum('skipped')} skipped`;
  }

  const tests = selection.tested.length === 0 ? undefined : { files: files.length, passed };
  failures.push(...notTried({ loads, skipped: missed, tests }));

  const head = ['kernel', 'boots in', ...objects.map(({ compiler }) => `clang ${compiler.version}`), 'kernel tests'];
  const rows = kernels.map(({ row }) => [row.kernel, row.boot, ...row.loads, row.tests]);
  print(`\n${table(head, rows)}\n`);
  if (objects.length > 0) {
    print('A cell names the program that takes most steps of the verifier.');
  }
  for (const line of skipped) {
    print(line);
  }
  for (const line of failures) {
    print(`FAILED ${line}`);
  }
  print(`Every result is in ${RESULTS}`);
  return failures.length === 0;
}
