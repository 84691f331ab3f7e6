/**
 * `make packages`: packages for every architecture, into dist/: Debian's, and with `--rpm` RPMs
 * too. `--quick`: Debian's are larger, and made in a tenth of the time, for tests.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import manifest from '../package.json' with { type: 'json' };
import { debName, packDeb } from './deb.ts';
import { ARCHITECTURES, type Architecture, fetchAll } from './fetch.ts';
import {
  agentPackage,
  type Build,
  cliPackage,
  controllerPackage,
  type Package,
  runtimePackage,
  sbomPath,
} from './packages.ts';
import { CACHE, DIST, ROOT } from './paths.ts';
import { packRpm, rpmName } from './rpm.ts';

const { values } = parseArgs({
  options: {
    version: { type: 'string', default: manifest.version },
    architecture: { type: 'string', multiple: true, default: [...ARCHITECTURES] },
    output: { type: 'string', default: DIST },
    rpm: { type: 'boolean', default: false },
    sbom: { type: 'boolean', default: false },
    quick: { type: 'boolean', default: false },
  },
});

/** Seconds since 1970 of the last change, so that a second build gives the same bytes. */
function sourceDate(): number {
  const given = process.env.SOURCE_DATE_EPOCH;
  if (given !== undefined) {
    return Number(given);
  }
  return Number(execFileSync('git', ['-C', ROOT, 'log', '-1', '--format=%ct'], { encoding: 'utf8' }));
}

/** A kind of package. */
interface Format {
  nameOf(pack: Package, architecture: Architecture): string;
  pack(pack: Package, architecture: Architecture, folder: string): string;
}
const DEB: Format = {
  nameOf: debName,
  pack: (pack, architecture, folder) => packDeb(pack, architecture, folder, values.quick ? 'quick' : 'small'),
};
const RPM: Format = { nameOf: rpmName, pack: packRpm };
// A tree is packed as RPM first, because files that dpkg-deb needs in it do not belong into an RPM.
const FORMATS = values.rpm ? [RPM, DEB] : [DEB];

async function buildFor(architecture: Architecture, output: string): Promise<string[]> {
  const work = mkdtempSync(join(tmpdir(), 'mirrorplane-packages-'));
  try {
    const { version } = values;
    const build: Build = { version, architecture, epoch: sourceDate(), work, brought: fetchAll(architecture) };
    const packs = [await cliPackage(build), await controllerPackage(build), await agentPackage(build)];
    const runtime = runtimePackage(build);
    const lists = [runtime, ...packs].map((pack) => copySbom(pack, architecture, output));
    if (values.sbom) {
      return lists;
    }
    const made = FORMATS.flatMap((format) => [
      packOnce(format, runtime, architecture, output, work),
      ...packs.map((pack) => format.pack(pack, architecture, output)),
    ]);
    return [...made, ...lists];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/** The list of what a package contains, beside the package. */
function copySbom(pack: Package, architecture: Architecture, output: string): string {
  const target = join(output, `${pack.name}_${pack.version}_${architecture}.cdx.json`);
  copyFileSync(join(pack.tree, sbomPath(pack.name)), target);
  return target;
}

/**
 * Packs a package that takes a minute to compress and is the same in every build, or gets it from
 * the cache.
 */
function packOnce(format: Format, pack: Package, architecture: Architecture, output: string, work: string): string {
  // What is in it besides Node.js may change while its version stays.
  const content = createHash('sha256').update(readFileSync(join(pack.tree, sbomPath(pack.name))));
  const cache = join(CACHE, values.quick ? 'runtime-quick' : 'runtime', content.digest('hex').slice(0, 16));
  const name = format.nameOf(pack, architecture);
  if (!existsSync(join(cache, name))) {
    const part = join(work, 'packed');
    for (const folder of [cache, part]) {
      mkdirSync(folder, { recursive: true });
    }
    // The two places may be on different file systems.
    copyFileSync(format.pack(pack, architecture, part), join(cache, `${name}.part`));
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
