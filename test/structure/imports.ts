/**
 * Which file imports which, as the compiler resolves it: `import type` and late imports included.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../packaging/paths.ts';

/** One import. Paths are from the root of the tree, and never lead through a link. */
export interface Import {
  from: string;
  to: string;
  /** As it is written. */
  specifier: string;
}

/** What runs on Node.js, and what runs in a browser: each is compiled with its own settings. */
const PROJECTS = ['.', 'packages/console', 'test/console'];

/**
 * Every import of a file of ours, of ours and of npm packages.
 * @throws Error where the tree does not compile
 */
export function allImports(): Import[] {
  const compiler = join(ROOT, 'node_modules/typescript/bin/tsc');
  const found = PROJECTS.flatMap((project) => {
    const text = execFileSync(process.execPath, [compiler, '-p', project, '--explainFiles'], {
      cwd: ROOT,
      encoding: 'utf8',
      maxBuffer: 2 ** 28,
    });
    return importsIn(text).filter(({ from }) => !from.startsWith('node_modules/'));
  });
  // What both take in, as the contract, is there twice.
  return [...new Map(found.map((one) => [JSON.stringify(one), one])).values()];
}

/** Reads what `tsc --explainFiles` prints: a file, and behind it, indented, who asked for it. */
export function importsIn(text: string): Import[] {
  let to = '';
  return text.split('\n').flatMap((line): Import[] => {
    if (!line.startsWith(' ')) {
      to = line;
    }
    const [, specifier, from] = /^ +Imported via ['"]([^'"]+)['"] from file '([^']+)'/.exec(line) ?? [];
    return specifier === undefined || from === undefined ? [] : [{ from, to, specifier }];
  });
}

/** The circles: each a list of files that reach each other, sorted. */
export function circlesIn(imports: readonly Import[]): string[][] {
  const next = Map.groupBy(imports, ({ from }) => from);
  const reached = new Map<string, Set<string>>();
  for (const start of next.keys()) {
    const seen = new Set<string>();
    const open = [start];
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      for (const { to } of next.get(file) ?? []) {
        if (!seen.has(to)) {
          open.push(to);
        }
        seen.add(to);
      }
    }
    reached.set(start, seen);
  }
  const circles = new Map<string, string[]>();
  for (const [start, seen] of reached) {
    if (!seen.has(start)) {
      continue;
    }
    const circle = [...seen].filter((file) => reached.get(file)?.has(start)).sort();
    circles.set(circle.join(' '), circle);
  }
  return [...circles.values()];
}
