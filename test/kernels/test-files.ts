/** Runs the kernel tests, each file in a separate machine. */
import { globSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ROOT } from '../../packaging/paths.ts';
import { sourceTree } from './check.ts';
import type { Kernel } from './kernel.ts';
import { runOn } from './machine.ts';

/** What a file of tests came to on a kernel. */
export interface TestedFile {
  file: string;
  /** 0 where all its tests passed. */
  code: number;
  pass: number;
  fail: number;
  skipped: number;
  /** It passed at its second try only: emulation is slow. */
  retried: boolean;
  seconds: number;
  /** Where all that it printed is. */
  log: string;
}

/** Seconds for one file, the boot included. */
const FILE_SECONDS = 900;

/** Kernel tests, and the test of the whole product that needs a module of the kernel. */
const FILES = ['packages/*/test/**/*.netns.test.ts', 'test/encryption.test.ts'];

/**
 * The files of the kernel tests, by path from the root, whose name has one of these words in it;
 * without words all.
 */
export function testFiles(words: readonly string[]): string[] {
  const files = globSync(FILES, { cwd: ROOT }).sort();
  return files.filter((file) => words.length === 0 || words.some((word) => file.includes(word)));
}

/** Runs one file on a kernel, as scripts/test.sh does. @throws Error where the machine fails */
export async function testOn(kernel: Kernel, file: string, out: string): Promise<TestedFile> {
  const said: Buffer[] = [];
  const began = performance.now();
  const log = join(out, kernel.release, `${basename(file).split('.')[0]}.log`);
  let code = 1;
  try {
    const argv = ['unshare', '-n', 'scripts/test-file.sh', file];
    const onOutput = (bytes: Buffer) => said.push(bytes);
    ({ code } = await runOn(kernel, { argv, ...(await sourceTree(kernel)), seconds: FILE_SECONDS, onOutput }));
  } catch (error) {
    said.push(Buffer.from(`\n${(error as Error).message}\n`));
  }
  const text = Buffer.concat(said).toString();
  mkdirSync(join(out, kernel.release), { recursive: true });
  writeFileSync(log, text);
  // The last summary counts: a file may have been tried twice.
  const number = (word: string) => Number([...text.matchAll(new RegExp(`^ℹ ${word} (\\d+)$`, 'gm'))].at(-1)?.[1] ?? 0);
  return {
    file,
    code: number('pass') + number('skipped') === 0 ? code || 1 : code,
    pass: number('pass'),
    fail: number('fail') + number('cancelled'),
    skipped: number('skipped'),
    retried: /^== RETRIED/m.test(text),
    seconds: (performance.now() - began) / 1000,
    log,
  };
}
