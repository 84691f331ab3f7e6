/**
 * Compilers out of Debian's packages, extracted into the cache with what they need, and the objects
 * that each builds.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { HEAR_OBJECT_PATH, OBJECT_PATH } from '@mirrorplane/agent/testing/brought';
import { commandEnv } from '@mirrorplane/lab/testing';
import { ROOT } from '../../packaging/paths.ts';
import { extracted, ownArchitecture, updateLists, withNeeds } from './apt.ts';

/** A compiler that can be called. */
export interface Compiler {
  /** What someone asked for: `default`, or a version as `19`. */
  wish: string;
  /** What it says of its version, as `19.1.7`. */
  version: string;
  /** The program. */
  program: string;
}

/**
 * clang of a version: this machine's where it has that, else Debian's. Throws where it cannot be
 * had.
 * @param wish `default` for this machine's clang, or a version as `19`
 * @param say told what is being done, a line each
 */
export async function getCompiler(wish: string, say: (line: string) => void): Promise<Compiler> {
  if (!/^(default|\d+)$/.test(wish)) {
    throw new Error(`${wish} is no compiler; write default, or a version of clang as 19`);
  }
  const program = wish === 'default' ? 'clang' : `clang-${wish}`;
  const version = versionOf(program);
  if (version !== undefined) {
    return { wish, version, program };
  }
  const fetched = await fetchClang(wish, say);
  const itsVersion = versionOf(fetched);
  if (itsVersion === undefined) {
    throw new Error(`${fetched} does not run`);
  }
  return { wish, version: itsVersion, program: fetched };
}

function versionOf(program: string): string | undefined {
  try {
    const said = execFileSync(program, ['--version'], { encoding: 'utf8', env: commandEnv(), stdio: 'pipe' });
    return /version (\d[\d.]*)/.exec(said)?.[1];
  } catch {
    return undefined;
  }
}

/** Libraries, the compiler and its own headers: no linker, and no headers of C. */
const wanted = (version: string) => (need: string) =>
  need.startsWith('clang-') ||
  need.startsWith(`libclang-common-${version}-dev=`) ||
  /^(lib|zlib)(?!.*-dev=)/.test(need);

async function fetchClang(version: string, say: (line: string) => void): Promise<string> {
  const architecture = ownArchitecture();
  await updateLists(say);
  const needs = async () => (await withNeeds([`clang-${version}`], architecture)).filter(wanted(version));
  const folder = await extracted(`clang-${version}`, needs, architecture, async (work) => {
    const files = readdirSync(work, { recursive: true, encoding: 'utf8' });
    const one = (pattern: RegExp) => {
      const file = files.find((name) => pattern.test(name));
      if (file === undefined) {
        throw new Error(`the packages of clang-${version} lack ${pattern}`);
      }
      return `$here/${file}`;
    };
    // A newer compiler wants a newer C library: it runs by the loader that came with it, and so has
    // to be told its headers.
    const loader = one(/(^|\/)ld-linux-[^/]*\.so\.\d$/);
    const libraries = [
      ...new Set(files.filter((name) => /\.so(\.|$)/.test(basename(name))).map((name) => dirname(name))),
    ];
    const paths = libraries.filter((name) => name.endsWith('-linux-gnu') || name.endsWith('/lib'));
    const headers = dirname(one(/\/lib\/clang\/[^/]+\/include$/));
    const clang = one(new RegExp(`/llvm-${version}/bin/clang(-${version})?$`));
    writeFileSync(
      join(work, 'clang'),
      `#!/bin/sh\nhere=$(dirname "$(readlink -f "$0")")\nexec "${loader}" --library-path "${paths.map((path) => `$here/${path}`).join(':')}" "${clang}" -resource-dir "${headers}" "$@"\n`,
    );
    chmodSync(join(work, 'clang'), 0o755);
  });
  return join(folder, 'clang');
}

/** Where the objects are built. */
const OBJECTS = join(ROOT, 'test/kernels/out/objects');

/**
 * Builds the objects by a compiler, with the flags of packages/bpf. Returns their paths.
 * @throws Error where they do not compile
 */
export function buildObjects(compiler: Compiler): string[] {
  const folder = join(OBJECTS, `clang-${compiler.version}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const part of ['src', 'Makefile']) {
    cpSync(join(ROOT, 'packages/bpf', part), join(folder, part), { recursive: true });
  }
  execFileSync('make', ['-s', '-C', folder, `CLANG=${compiler.program}`], { stdio: ['ignore', 'ignore', 'inherit'] });
  const objects = [OBJECT_PATH, HEAR_OBJECT_PATH].map((path) => join(folder, 'dist', basename(path)));
  const missing = objects.find((object) => !existsSync(object));
  if (missing !== undefined) {
    throw new Error(`${compiler.program} made no ${missing}`);
  }
  return objects;
}
