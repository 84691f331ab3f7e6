/**
 * Downloads Debian's packages of several releases with apt into the cache. apt runs with a separate
 * source list, package lists and status, so that nothing is installed and the machine's apt is not
 * changed.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CommandError, cacheFolder, makeOnce, run } from '@mirrorplane/lab/testing';

/** Everything that this folder keeps between runs. */
export const CACHE = join(cacheFolder(), 'kernels');

/** Releases of Debian that are searched in addition to the machine's own. */
const SUITES = ['bookworm', 'bookworm-backports', 'trixie', 'trixie-backports', 'unstable', 'experimental'];
/** Lists older than this are read again: versions move, and old ones leave. */
const LISTS_MS = 24 * 3600 * 1000;
const APT_MS = 300_000;
const APT = join(CACHE, 'apt');
const SOURCES = join(APT, 'sources.list');
/** Where Debian's own keys are, on Debian and, with package debian-archive-keyring, on others. */
const KEYS = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** Names of architectures, as Debian writes them. */
export type Architecture = 'amd64' | 'arm64';

/** This machine's architecture. @throws Error where no kernel is to be had for it */
export function ownArchitecture(): Architecture {
  if (process.arch === 'x64') {
    return 'amd64';
  }
  if (process.arch === 'arm64') {
    return 'arm64';
  }
  throw new Error(`kernels can be booted on amd64 and arm64, and this is ${process.arch}`);
}

function options(architecture: Architecture): string[] {
  const values: Record<string, string> = {
    'Dir::Etc::sourcelist': SOURCES,
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    'Dir::State': APT,
    'Dir::State::lists': join(APT, 'lists'),
    'Dir::State::status': join(APT, 'status'),
    'Dir::Cache': join(APT, architecture),
    'Dir::Cache::archives': join(APT, architecture, 'archives'),
    'Dir::Cache::pkgcache': 'pkgcache.bin',
    'Dir::Cache::srcpkgcache': 'srcpkgcache.bin',
    'APT::Architecture': architecture,
    'APT::Sandbox::User': 'root',
    'Acquire::Languages': 'none',
  };
  // The lists are for both architectures; which one is asked about is said by `APT::Architecture`.
  const pairs = [...Object.entries(values), ['APT::Architectures::', 'amd64'], ['APT::Architectures::', 'arm64']];
  return pairs.flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/**
 * Runs one of apt's programs.
 * @throws Error with the words of apt alone: its command line is of no use to anyone
 */
async function apt(program: 'apt-get' | 'apt-cache', architecture: Architecture, ...argv: string[]): Promise<string> {
  return aptIn('/', program, architecture, ...argv);
}

async function aptIn(folder: string, program: string, architecture: Architecture, ...argv: string[]): Promise<string> {
  const lock = argv[0] === 'update' ? ['flock', join(APT, 'lock')] : [];
  const command = ['env', '-C', folder, ...lock, program, ...options(architecture), ...argv];
  try {
    const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' };
    return (await run(command, { timeoutMs: APT_MS, env })).stdout;
  } catch (error) {
    if (!(error instanceof CommandError)) {
      throw error;
    }
    const said = error.result.stderr.split('\n').find((line) => line.startsWith('E: '));
    throw new Error(`${program} ${argv[0]}: ${said?.slice(3) ?? error.message.slice(-300)}`);
  }
}

/**
 * The address from which this machine's apt takes Debian, also where it has read no lists yet.
 * @throws Error where it takes nothing from Debian
 */
async function mirror(): Promise<string> {
  const { stdout } = await run(['apt-get', 'update', '--print-uris'], { timeoutMs: APT_MS });
  // Mirrors of Debian are called so; the one for security has its own name, and releases of others
  // are elsewhere.
  const uri = /^'(\S+\/debian)\/+dists\/[a-z]+\/InRelease'/m.exec(stdout)?.[1];
  if (uri !== undefined) {
    return uri;
  }
  throw new Error('the package sources of this machine have no release of Debian; add one to /etc/apt/sources.list.d');
}

const STAMP = join(APT, 'updated');

/** Milliseconds since the package lists were read. */
export function listsAge(): number {
  return existsSync(STAMP) ? Date.now() - statSync(STAMP).mtimeMs : Number.POSITIVE_INFINITY;
}

/**
 * Reads the package lists, where they are missing or old. Two that do it at once wait for each
 * other.
 * @param say told what is being done, a line each
 * @param maxAge milliseconds that they may be old. Default a day
 */
export async function updateLists(say: (line: string) => void, maxAge = LISTS_MS): Promise<void> {
  if (listsAge() < maxAge) {
    return;
  }
  for (const folder of ['lists/partial', 'amd64/archives/partial', 'arm64/archives/partial']) {
    mkdirSync(join(APT, folder), { recursive: true });
  }
  say(`reading the package lists of ${SUITES.join(', ')} (60 MB, once a day)`);
  const uri = await mirror();
  const signed = existsSync(KEYS) ? `[signed-by=${KEYS}] ` : '';
  writeFileSync(SOURCES, SUITES.map((suite) => `deb ${signed}${uri} ${suite} main\n`).join(''));
  writeFileSync(join(APT, 'status'), '');
  await apt('apt-get', ownArchitecture(), 'update', '-qq');
  writeFileSync(STAMP, '');
}

/** Names of packages that match, the newest version last. */
export async function packageNames(prefix: string, pattern: RegExp, architecture: Architecture): Promise<string[]> {
  const names = (await apt('apt-cache', architecture, 'pkgnames', prefix)).split('\n');
  return names.filter((name) => pattern.test(name)).sort(new Intl.Collator('en', { numeric: true }).compare);
}

/** What the description of a package says, by field; undefined where there is no such package. */
export async function describe(name: string, architecture: Architecture): Promise<Map<string, string> | undefined> {
  const said = await apt('apt-cache', architecture, 'show', '--no-all-versions', `${name}:${architecture}`).catch(
    () => '',
  );
  if (said === '') {
    return undefined;
  }
  return new Map(
    [...said.matchAll(/^([\w-]+): (.*)$/gm)].map(([, field, value]) => [field as string, value as string]),
  );
}

/**
 * Downloads packages and extracts them into a folder of the cache, once. Nothing is installed, and
 * no script of theirs runs. Returns the folder.
 * @param packages which ones, as apt takes them: NAME, NAME:ARCHITECTURE, NAME=VERSION; asked only
 *   where there is no folder yet
 * @param finish what is done in the folder before it counts as made
 */
export async function extracted(
  folder: string,
  packages: () => Promise<readonly string[]>,
  architecture: Architecture,
  finish: (folder: string) => Promise<void> = async () => undefined,
): Promise<string> {
  const made = join(CACHE, folder);
  await makeOnce(made, async (work) => {
    const debs = join(work, '.debs');
    mkdirSync(debs);
    await aptIn(debs, 'apt-get', architecture, 'download', '-qq', ...(await packages()));
    for (const deb of readdirSync(debs)) {
      await run(['dpkg-deb', '--extract', join(debs, deb), work], { timeoutMs: APT_MS });
    }
    rmSync(debs, { recursive: true });
    await finish(work);
  });
  return made;
}

/**
 * Everything that packages need, they themselves included, as NAME=VERSION. Nothing counts as
 * installed.
 */
export async function withNeeds(packages: readonly string[], architecture: Architecture): Promise<string[]> {
  const said = await apt('apt-get', architecture, 'install', '-s', '-qq', '--no-install-recommends', ...packages);
  return [...said.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => `${name}=${version}`);
}
