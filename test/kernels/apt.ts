/**
 * Debian's packages of several releases, by apt, into the cache. apt runs with a source list, package lists and a status
 * of its own, so that nothing is installed and the machine's apt is left alone.
 */
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../../packages/lab/src/netns.ts';
import { cacheFolder, makeOnce } from '../../packages/lab/src/qemu/guest-image.ts';

/** Everything that this folder keeps between runs. */
export const CACHE = join(cacheFolder(), 'kernels');

/** Releases of Debian whose packages are looked at, besides the machine's own. */
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
  if (process.arch === 'x64') return 'amd64';
  if (process.arch === 'arm64') return 'arm64';
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

async function apt(program: 'apt-get' | 'apt-cache', architecture: Architecture, ...argv: string[]): Promise<string> {
  const { stdout } = await run([program, ...options(architecture), ...argv], {
    timeoutMs: APT_MS,
    env: { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
  });
  return stdout;
}

/** The address from which this machine's apt takes Debian. @throws Error where it takes nothing from Debian */
async function mirror(): Promise<string> {
  const format = '$(COMPONENT) $(CREATED_BY) $(REPO_URI) $(CODENAME)';
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format], { timeoutMs: APT_MS });
  for (const line of stdout.split('\n')) {
    const [component, createdBy, uri, codename = ''] = line.split(' ');
    if (component === 'main' && createdBy === 'Packages' && /^[a-z]+$/.test(codename) && uri && !/security/.test(uri))
      if (await isDebian(uri, codename)) return uri;
  }
  throw new Error('the package sources of this machine have no release of Debian; add one to /etc/apt/sources.list.d');
}

async function isDebian(uri: string, codename: string): Promise<boolean> {
  const format = '$(ORIGIN) $(REPO_URI) $(CODENAME)';
  const { stdout } = await run(['apt-get', 'indextargets', '--format', format], { timeoutMs: APT_MS });
  return stdout.split('\n').includes(`Debian ${uri} ${codename}`);
}

/** Reads the package lists, where they are missing or old. Two that do it at once wait for each other. */
export async function updateLists(say: (line: string) => void = () => undefined): Promise<void> {
  const stamp = join(APT, 'updated');
  const fresh = () => existsSync(stamp) && Date.now() - statSync(stamp).mtimeMs < LISTS_MS;
  if (fresh()) return;
  for (const folder of ['lists/partial', 'amd64/archives/partial', 'arm64/archives/partial'])
    mkdirSync(join(APT, folder), { recursive: true });
  say(`reading the package lists of ${SUITES.join(', ')} (60 MB, once a day)`);
  const uri = await mirror();
  const signed = existsSync(KEYS) ? `[signed-by=${KEYS}] ` : '';
  writeFileSync(SOURCES, SUITES.map((suite) => `deb ${signed}${uri} ${suite} main\n`).join(''));
  writeFileSync(join(APT, 'status'), '');
  await apt('apt-get', ownArchitecture(), 'update', '-qq');
  writeFileSync(stamp, '');
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
  if (said === '') return undefined;
  return new Map(
    [...said.matchAll(/^([\w-]+): (.*)$/gm)].map(([, field, value]) => [field as string, value as string]),
  );
}

/**
 * Downloads packages and extracts them into a folder of the cache, once. Nothing is installed, and no script of theirs
 * runs. Returns the folder.
 * @param packages as apt takes them: NAME, NAME:ARCHITECTURE, NAME=VERSION
 * @param finish what is done in the folder before it counts as made
 */
export async function extracted(
  folder: string,
  packages: readonly string[],
  architecture: Architecture,
  finish: (folder: string) => Promise<void> = async () => undefined,
): Promise<string> {
  const made = join(CACHE, folder);
  await makeOnce(made, async (work) => {
    const debs = join(work, '.debs');
    mkdirSync(debs);
    const argv = ['env', '-C', debs, 'apt-get', ...options(architecture), 'download', '-qq', ...packages];
    await run(argv, { timeoutMs: APT_MS });
    for (const deb of readdirSync(debs))
      await run(['dpkg-deb', '--extract', join(debs, deb), work], { timeoutMs: APT_MS });
    rmSync(debs, { recursive: true });
    await finish(work);
  });
  return made;
}

/** Everything that packages need, they themselves included, as NAME=VERSION. Nothing counts as installed. */
export async function withNeeds(packages: readonly string[], architecture: Architecture): Promise<string[]> {
  const said = await apt('apt-get', architecture, 'install', '-s', '-qq', '--no-install-recommends', ...packages);
  return [...said.matchAll(/^Inst (\S+) \((\S+)/gm)].map(([, name, version]) => `${name}=${version}`);
}
