/** Finds problems in the results of a kernel, and makes tables of the results. Pure. */
import type { LoadedProgram } from './load.ts';

/**
 * Steps of the verifier that a program may take: 1,000,000 is the kernel's limit, and the next
 * kernel may take more of them.
 */
export const STEPS_MAX = 400_000;

/** One sentence for each program that does not load, or takes too many steps. */
export function faults(results: readonly LoadedProgram[]): string[] {
  if (results.length === 0) {
    return ['no program was loaded'];
  }
  return results.flatMap(({ program, errno, steps, lines }) => {
    if (errno !== 0) {
      return [`${program} is refused with error ${errno}:\n${lines.map((line) => `    ${line}`).join('\n')}`];
    }
    if (steps === undefined) {
      return [`${program}: the verifier did not say how many steps it took`];
    }
    if (steps > STEPS_MAX) {
      return [`${program} takes ${steps} steps of the verifier; at most ${STEPS_MAX} are allowed`];
    }
    return [];
  });
}

/** What a run of the matrix came to. */
export interface Tried {
  /**
   * Objects that were handed to a kernel that booted: one for each pair of a kernel and a compiler.
   */
  loads: number;
  /** What was skipped although it was asked for by name. */
  skipped: readonly string[];
  /**
   * Test files that were asked for, whether there are any or not; undefined where no tests were
   * wanted.
   */
  tests: { files: number; passed: ReadonlyMap<string, number> } | undefined;
}

/**
 * One sentence for each thing that was asked for and did not come about. What was skipped is no
 * success.
 * @param tried `tests.passed`: passed tests by the kernel that they were to run on
 */
export function notTried({ loads, skipped, tests }: Tried): string[] {
  const kernels = [...(tests?.passed ?? [])];
  return [
    ...skipped.map((what) => `${what} was asked for and was skipped`),
    ...(loads === 0 ? ['nothing was tried: no object was loaded into any kernel'] : []),
    ...(tests?.files === 0 ? ['no test file has a name like that; TESTS=none runs no tests'] : []),
    ...(tests && tests.files > 0 && kernels.length === 0
      ? ['the kernel tests ran on no kernel: none of TESTED= was at hand; TESTS=none runs no tests']
      : []),
    ...(tests && tests.files > 0
      ? kernels.flatMap(([kernel, passed]) => (passed === 0 ? [`Linux ${kernel}: no kernel test passed`] : []))
      : []),
  ];
}

/** The largest number of steps, and the program that takes them, as `40,290 transform_copy`. */
export function mostSteps(results: readonly LoadedProgram[]): string {
  const [most] = [...results].sort((a, b) => (b.steps ?? 0) - (a.steps ?? 0));
  return most?.steps === undefined ? 'unknown' : `${most.steps.toLocaleString('en')} ${most.program}`;
}

/** A table as Markdown with aligned columns. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_, i) => Math.max(3, ...[head, ...rows].map((row) => row[i]?.length ?? 0)));
  const line = (row: readonly string[]) => `| ${widths.map((width, i) => (row[i] ?? '').padEnd(width)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}
