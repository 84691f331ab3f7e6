/**
 * Downloads parts of the packages that others have built: Node.js and native modules from npm,
 * libbpf from Debian.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, ROOT } from './paths.ts';

/** Debian's names of the architectures of packages. */
export const ARCHITECTURES = ['amd64', 'arm64'] as const;
export type Architecture = (typeof ARCHITECTURES)[number];

/** npm's names of the architectures. */
const NPM_NAMES = { amd64: 'x64', arm64: 'arm64' } as const;

/** Files for one architecture. */
export interface Brought {
  /** The Node.js program. */
  node: string;
  /** Its version, for example 24.21.0. */
  nodeVersion: string;
  nodeLicence: string;
  /** Names of packages of npm, which differ by architecture, and the version of the second. */
  nodePackage: string;
  koffiPackage: string;
  koffiVersion: string;
  koffi: string;
  netlink: string;
  libbpf: string;
  /** Version of its Debian package. */
  libbpfVersion: string;
  /** The copyright file of libbpf's package. */
  libbpfCopyright: string;
}

/**
 * Downloads files that are not in the cache.
 * @throws Error if a file does not match package-lock.json
 */
export function fetchAll(architecture: Architecture): Brought {
  const npm = NPM_NAMES[architecture];
  const node = npmPackage(`node-linux-${npm}`);
  const koffi = npmPackage(`@koromix/koffi-linux-${npm}`);
  const { folder: libbpf, version: libbpfVersion } = debianPackage('libbpf1', architecture);
  return {
    node: join(node.folder, 'bin/node'),
    nodeVersion: node.version,
    nodePackage: node.name,
    koffiPackage: koffi.name,
    koffiVersion: koffi.version,
    nodeLicence: join(node.folder, 'LICENSE'),
    koffi: join(koffi.folder, `linux_${npm}`, 'koffi.node'),
    netlink: join(ROOT, `node_modules/netlink/prebuilds/linux-${npm}/node.napi.node`),
    libbpf: join(libbpf, 'usr/lib', architecture === 'amd64' ? 'x86_64-linux-gnu' : 'aarch64-linux-gnu', 'libbpf.so.1'),
    libbpfVersion,
    libbpfCopyright: join(libbpf, 'usr/share/doc/libbpf1/copyright'),
  };
}

/**
 * An npm package of the version and with the hash in package-lock.json; also one for another
 * architecture than this.
 */
function npmPackage(name: string): { name: string; folder: string; version: string } {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8'));
  const { version, integrity } = lock.packages[`node_modules/${name}`];
  const folder = join(CACHE, 'npm', `${name.replaceAll('/', '+')}-${version}`);
  if (existsSync(folder)) {
    return { name, folder, version };
  }
  const part = startFolder(folder);
  execFileSync('npm', ['pack', '--silent', '--pack-destination', part, `${name}@${version}`], { stdio: 'pipe' });
  const [file] = readdirSync(part);
  const archive = join(part, file!);
  const hash = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (hash !== integrity) {
    throw new Error(`${name}@${version} is not what package-lock.json names: its hash is ${hash}, not ${integrity}`);
  }
  execFileSync('tar', ['-xzf', archive, '-C', part, '--strip-components=1', '--no-same-owner']);
  rmSync(archive);
  renameSync(part, folder);
  return { name, folder, version };
}

/**
 * The files of a Debian package for an architecture, by the package sources of this host. The
 * architecture need not be one that this host knows: apt has folders of its own for it.
 */
function debianPackage(name: string, architecture: Architecture): { folder: string; version: string } {
  const folder = join(CACHE, 'debian', `${name}-${architecture}`);
  const control = join(folder, 'version');
  if (existsSync(control)) {
    return { folder, version: readFileSync(control, 'utf8') };
  }
  rmSync(folder, { recursive: true, force: true });
  const apt = join(CACHE, `apt-${architecture}`);
  for (const sub of ['lists/partial', 'cache/archives/partial']) {
    mkdirSync(join(apt, sub), { recursive: true });
  }
  writeFileSync(join(apt, 'status'), '');
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State::Lists=${apt}/lists`,
    `Dir::State::Status=${apt}/status`,
    `Dir::Cache=${apt}/cache`,
    'Acquire::Languages=none',
    'APT::Sandbox::User=root',
  ].flatMap((option) => ['-o', option]);
  // Other package sources may have nothing for this architecture. Their failure is ignored.
  const update = () => execFileSync('apt-get', [...options, '-q', 'update'], { stdio: 'pipe' });
  try {
    update();
  } catch {
    process.stderr.write(`[packages] some package source has nothing for ${architecture}\n`);
  }
  const part = startFolder(folder);
  execFileSync('apt-get', [...options, '-q', 'download', name], { cwd: part, stdio: 'pipe' });
  const [file] = readdirSync(part);
  execFileSync('dpkg-deb', ['-x', join(part, file!), part]);
  const version = execFileSync('dpkg-deb', ['-f', join(part, file!), 'Version'], { encoding: 'utf8' }).trim();
  writeFileSync(join(part, 'version'), version);
  rmSync(join(part, file!));
  renameSync(part, folder);
  return { folder, version };
}

/** An empty folder beside `folder`. It gets the name of `folder` when it is complete. */
function startFolder(folder: string): string {
  const part = `${folder}.part`;
  rmSync(part, { recursive: true, force: true });
  mkdirSync(part, { recursive: true });
  return part;
}

/** The newest glibc version that one of these ELF files needs, for example 2.28. */
export function neededGlibc(files: readonly string[]): string {
  const versions = files.flatMap((file) =>
    [...readFileSync(file, 'latin1').matchAll(/GLIBC_2[.](\d+)/g)].map(([, minor]) => Number(minor)),
  );
  return `2.${Math.max(...versions)}`;
}
