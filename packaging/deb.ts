/** Debian packages, by dpkg-deb. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Architecture } from './fetch.ts';
import type { Package } from './packages.ts';

const MAINTAINER = 'The Mirrorplane authors <maintainers@mirrorplane.invalid>';
const SCRIPTS = join(import.meta.dirname, 'files/scripts');

/** The name of a package's file. */
export function debName({ name, version }: Package, architecture: Architecture): string {
  return `${name}_${version}_${architecture}.deb`;
}

/** How a package is compressed. xz, because the dpkg of Debian 11 does not read zstd. `quick`: for tests. */
const COMPRESSION = { small: ['-Zxz'], quick: ['-Zgzip', '-z1'] } as const;

/**
 * Packs one package into `folder`. The same files give the same bytes. Returns the path of the
 * package.
 */
export function packDeb(
  pack: Package,
  architecture: Architecture,
  folder: string,
  compression: keyof typeof COMPRESSION = 'small',
): string {
  const control = join(pack.tree, 'DEBIAN');
  mkdirSync(control, { mode: 0o755 });
  const files = filesIn(pack.tree).filter((path) => !path.startsWith(control));
  const bytes = files.reduce((sum, path) => sum + lstatSync(path).size, 0);
  writeFileSync(join(control, 'control'), controlText(pack, architecture, Math.ceil(bytes / 1024)));
  const sums = files.map((path) => `${md5(path)}  ${relative(pack.tree, path)}\n`).sort();
  writeFileSync(join(control, 'md5sums'), sums.join(''));
  if (pack.conffiles.length > 0) {
    writeFileSync(join(control, 'conffiles'), `${pack.conffiles.join('\n')}\n`);
  }
  for (const script of ['preinst', 'postinst', 'prerm', 'postrm']) {
    const text = scriptText(pack, script);
    if (text !== undefined) {
      writeFileSync(join(control, script), text, { mode: 0o755 });
    }
  }
  for (const path of [...filesIn(pack.tree), ...foldersIn(pack.tree)]) {
    utimesSync(path, pack.epoch, pack.epoch);
  }
  const target = join(folder, debName(pack, architecture));
  execFileSync('dpkg-deb', ['--root-owner-group', ...COMPRESSION[compression], '--build', pack.tree, target], {
    // One thread: several threads divide the data into blocks, whose number depends on the machine.
    env: { ...process.env, SOURCE_DATE_EPOCH: String(pack.epoch), DPKG_DEB_THREADS_MAX: '1' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return target;
}

function controlText(pack: Package, architecture: Architecture, kibibytes: number): string {
  return `Package: ${pack.name}
Version: ${pack.version}
Architecture: ${architecture}
Maintainer: ${MAINTAINER}
Installed-Size: ${kibibytes}
Depends: ${pack.depends.join(', ')}
${pack.suggests ? `Suggests: ${pack.suggests.deb.join(', ')}\n` : ''}Section: net
Priority: optional
Description: ${pack.summary}
 ${pack.description}
`;
}

/** A maintainer script: the package's own part, and the part that every service needs. */
function scriptText(pack: Package, script: string): string | undefined {
  const own = join(SCRIPTS, `${pack.name}.${script}`);
  const shared = join(SCRIPTS, `service.${script}`);
  const parts = [own, ...(pack.service === undefined ? [] : [shared])].filter((path) => existsSync(path));
  if (parts.length === 0) {
    return undefined;
  }
  // Removal has the opposite order of installation.
  if (script === 'prerm' || script === 'postrm') {
    parts.reverse();
  }
  const text = parts.map((path) => readFileSync(path, 'utf8')).join('\n');
  return `#!/bin/sh\nset -e\n${text
    .replaceAll('@SERVICE@', pack.service ?? '')
    .replaceAll('@VERSION@', pack.version)
    .replaceAll('@PACKAGE@', pack.name)}`;
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

function foldersIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name));
}

function md5(path: string): string {
  return createHash('md5').update(readFileSync(path)).digest('hex');
}
