/** RPM packages of the same files, by rpmbuild. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import type { Architecture } from './fetch.ts';
import type { Package } from './packages.ts';

/** RPM's names of the architectures. */
const RPM_NAMES = { amd64: 'x86_64', arm64: 'aarch64' } as const;
const SCRIPTS = join(import.meta.dirname, 'files/scripts');

/** The name of a package's file. */
export function rpmName({ name, version }: Package, architecture: Architecture): string {
  return `${name}-${version}-1.${RPM_NAMES[architecture]}.rpm`;
}

/**
 * Packs one package into `folder`, before it becomes a Debian package. The same files give the same
 * bytes.
 */
export function packRpm(pack: Package, architecture: Architecture, folder: string): string {
  const work = mkdtempSync(join(tmpdir(), 'mirrorplane-rpm-'));
  try {
    const spec = join(work, 'package.spec');
    writeFileSync(spec, specText(pack));
    const defines = {
      _topdir: work,
      _rpmdir: work,
      _build_name_fmt: rpmName(pack, architecture),
      _buildhost: 'localhost',
      use_source_date_epoch_as_buildtime: '1',
      clamp_mtime_to_source_date_epoch: '1',
      // A format that the oldest reader knows.
      _binary_payload: 'w6.xzdio',
      _build_id_links: 'none',
      // Files stay unchanged: nothing is stripped or compiled.
      __os_install_post: '%{nil}',
    };
    const argv = Object.entries(defines).flatMap(([name, value]) => ['--define', `${name} ${value}`]);
    const target = ['--target', `${RPM_NAMES[architecture]}-linux`];
    // A copy, because rpmbuild empties the folder at the end.
    const root = join(work, 'root');
    execFileSync('cp', ['-a', pack.tree, root]);
    execFileSync('rpmbuild', ['-bb', '--quiet', '--noclean', '--buildroot', root, ...target, ...argv, spec], {
      env: { ...process.env, SOURCE_DATE_EPOCH: String(pack.epoch) },
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    mkdirSync(folder, { recursive: true });
    const name = rpmName(pack, architecture);
    execFileSync('cp', [join(work, name), join(folder, name)]);
    return join(folder, name);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function specText(pack: Package): string {
  const paths = readdirSync(pack.tree, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => `/${relative(pack.tree, join(entry.parentPath, entry.name))}`)
    .sort();
  const files = paths.map((path) => (pack.conffiles.includes(path) ? `%config(noreplace) ${path}` : path));
  return `Name: ${pack.name}
Version: ${pack.version}
Release: 1
Summary: ${pack.summary}
License: Apache-2.0
AutoReqProv: no
${pack.requires.map((what) => `Requires: ${what}\n`).join('')}${(pack.suggests?.rpm ?? []).map((what) => `Suggests: ${what}\n`).join('')}
%description
${pack.description}

%files
%defattr(-,root,root)
%dir /usr/lib/mirrorplane
${files.join('\n')}
${['pre', 'post', 'preun', 'postun'].map((script) => scriptlet(pack, script)).join('')}`;
}

/** A scriptlet: the package's own part, and the part that every service needs. */
function scriptlet(pack: Package, script: string): string {
  const own = join(SCRIPTS, `${pack.name}.rpm-${script}`);
  const shared = join(SCRIPTS, `service.rpm-${script}`);
  const parts = [own, ...(pack.service === undefined ? [] : [shared])].filter((path) => existsSync(path));
  if (parts.length === 0) {
    return '';
  }
  if (script === 'preun') {
    parts.reverse();
  }
  const text = parts.map((path) => readFileSync(path, 'utf8')).join('\n');
  return `\n%${script}\n${text.replaceAll('@SERVICE@', pack.service ?? '').replaceAll('@PACKAGE@', pack.name)}`;
}
