/** `make packages`: Debian packages for every architecture, into dist/. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { debName, packDeb } from './deb.ts';
import { ARCHITECTURES, type Architecture, fetchAll } from './fetch.ts';
import { agentPackage, type Build, cliPackage, controllerPackage, runtimePackage } from './packages.ts';
import { CACHE, DIST, ROOT } from './paths.ts';

const { values } = parseArgs({
  options: {
    version: { type: 'string', default: manifest.version },
    architecture: { type: 'string', multiple: true, default: [...ARCHITECTURES] },
    output: { type: 'string', default: DIST },
  },
});

/** Seconds since 1970 of the last change, so that a second build of it gives the same bytes. */
function sourceDate(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) return Number(given);
  return Number(execFileSync('git', ['-C', ROOT, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }));
}

async function buildFor(architecture: Architecture, output: string): Promise<string[]> {
  const work = mkdtempSync(join(tmpdir(), 'mirrorplane-packages-'));
  try {
    const build: Build = { version: values.version, epoch: sourceDate(), work, brought: fetchAll(architecture) };
    const packs = [await cliPackage(build), await controllerPackage(build), await agentPackage(build)];
    return [runtime(build, architecture, output), ...packs.map((pack) => packDeb(pack, architecture, output))];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** Node.js takes a minute to compress, and is the same in every build. */
function runtime(build: Build, architecture: Architecture, output: string): string {
  const pack = runtimePackage(build);
  const cache = join(CACHE, 'runtime');
  const name = debName(pack, architecture);
  if (!existsSync(join(cache, name))) {
    const part = join(build.work, 'packed');
    for (const folder of [cache, part]) mkdirSync(folder, { recursive: true });
    // Another file system may be between them.
    copyFileSync(packDeb(pack, architecture, part), join(cache, `${name}.part`));
    renameSync(join(cache, `${name}.part`), join(cache, name));
  }
  copyFileSync(join(cache, name), join(output, name));
  return join(output, name);
}

process.umask(0o022);
mkdirSync(values.output, { recursive: true });
for (const architecture of values.architecture) {
  for (const path of await buildFor(architecture as Architecture, values.output)) {
    process.stdout.write(`${(statSync(path).size / 1e6).toFixed(1).padStart(6)} MB  ${basename(path)}\n`);
  }
}
