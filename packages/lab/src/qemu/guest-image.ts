/**
 * The image of the lab's virtual machines: Debian's cloud kernel and busybox, from their packages.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { CommandError, run } from '../netns.ts';
import { LabError } from '../state.ts';
import { GUEST_MODULES, guestFiles } from './guest-files.ts';
import { initramfs } from './initramfs.ts';

/** The two files that QEMU boots. */
export interface GuestImage {
  /** The kernel, a bzImage. */
  kernel: string;
  /** The only file system, without the settings of one guest. */
  initramfs: string;
}

/** Options of the image. */
export interface GuestImageOptions {
  /** Cache folder. Default `mirrorplane` in `$XDG_CACHE_HOME`, or in `~/.cache`. */
  cache?: string;
  /** Called with one line for each step. */
  onProgress?: (line: string) => void;
}

/** The package that depends on the newest kernel for virtual machines. */
const KERNEL = 'linux-image-cloud-amd64';
const BUSYBOX = 'busybox-static';
/** Milliseconds for a download of some 30 MB. */
const DOWNLOAD_MS = 300_000;
const PROBE_SOURCE = join(import.meta.dirname, 'probe.c');

/** Cache folder: `mirrorplane` in `$XDG_CACHE_HOME`, or in `~/.cache`. */
export const cacheFolder = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mirrorplane');

/**
 * A key of everything that the image adds to the packages, so that a stale image is never booted.
 */
function recipe(): string {
  const modules = new Map(GUEST_MODULES.map((name) => [name as string, Buffer.alloc(0)]));
  const bytes = initramfs(guestFiles({ busybox: Buffer.alloc(0), probe: readFileSync(PROBE_SOURCE) }, modules));
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}

/**
 * The guest image, built once and then read from the cache. Throws `LabError` if Debian's packages
 * are not available, or the image cannot be built.
 */
export async function guestImage(options: GuestImageOptions = {}): Promise<GuestImage> {
  const { cache = cacheFolder(), onProgress = () => undefined } = options;
  const folder = join(cache, `guest-${recipe()}`);
  try {
    await makeOnce(folder, async (work) => {
      const packages = await guestPackages(options);
      onProgress('guest: building its image (once)');
      await buildGuest(packages, work);
    });
  } catch (error) {
    throw new LabError(`the guest image cannot be built: ${(error as Error).message}`);
  }
  return { kernel: join(folder, 'vmlinuz'), initramfs: join(folder, 'initramfs') };
}

/**
 * Makes a folder completely or not at all, unless it exists. If two processes make it at the same
 * time, the first one wins.
 */
export async function makeOnce(folder: string, make: (work: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) {
    return;
  }
  mkdirSync(dirname(folder), { recursive: true });
  const work = mkdtempSync(join(dirname(folder), 'making-'));
  try {
    await make(work);
    renameSync(work, folder);
  } catch (error) {
    if (!existsSync(folder)) {
      throw error;
    }
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * Debian's packages for the guest, as files in the cache. apt downloads them once, and does not
 * install them.
 */
export async function guestPackages(options: GuestImageOptions = {}): Promise<string[]> {
  const { cache = cacheFolder(), onProgress = () => undefined } = options;
  const folder = join(cache, 'packages');
  await makeOnce(folder, (work) => {
    onProgress('guest: downloading its kernel and busybox (28 MB, once)');
    return download(work);
  });
  return readdirSync(folder)
    .filter((file) => file.endsWith('.deb'))
    .sort()
    .map((file) => join(folder, file));
}

async function download(folder: string): Promise<void> {
  const fetch = async () => {
    const { stdout } = await run(['apt-cache', 'depends', '--no-recommends', '--no-suggests', KERNEL], {
      check: false,
    });
    const kernel = /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
    if (kernel === undefined) {
      throw new LabError(`no package ${KERNEL}: this is not Debian on amd64`);
    }
    const argv = ['env', '-C', folder, 'apt-get', 'download', '-qq', '-o', 'APT::Sandbox::User=root', kernel, BUSYBOX];
    await run(argv, { timeoutMs: DOWNLOAD_MS });
  };
  try {
    await fetch();
  } catch (error) {
    if (!(error instanceof CommandError || error instanceof LabError)) {
      throw error;
    }
    // The package lists are missing, or name a version that no longer exists.
    await run(['apt-get', 'update', '-qq'], { timeoutMs: DOWNLOAD_MS });
    await fetch();
  }
}

/**
 * Builds the image from packages into a folder: the kernel, the first file system, and the
 * packages' names. The same packages and compiler always give the same bytes. Throws if the
 * packages lack a file.
 */
export async function buildGuest(packages: string[], folder: string): Promise<void> {
  const tree = mkdtempSync(join(folder, 'tree-'));
  for (const archive of packages) {
    await run(['dpkg-deb', '--extract', archive, tree]);
  }
  const files = readdirSync(tree, { recursive: true, encoding: 'utf8' });
  const only = (pattern: RegExp) => {
    const file = files.find((name) => pattern.test(name));
    return file === undefined ? undefined : join(tree, file);
  };
  const kernel = only(/^boot\/vmlinuz-/);
  const busybox = only(/^(usr\/)?bin\/busybox$/);
  if (kernel === undefined || busybox === undefined) {
    throw new Error(`no kernel or no busybox in ${packages.join(', ') || 'no package'}`);
  }
  const probe = join(tree, 'probe');
  await run(['clang', '-O2', '-static', '-s', '-Wl,--build-id=none', '-o', probe, PROBE_SOURCE]);
  const modules = new Map<string, Buffer>();
  for (const name of GUEST_MODULES) {
    const file = only(new RegExp(`/kernel/.*/${name}\\.ko$`));
    if (file !== undefined) {
      modules.set(name, readFileSync(file));
    }
  }
  renameSync(kernel, join(folder, 'vmlinuz'));
  const programs = { busybox: readFileSync(busybox), probe: readFileSync(probe) };
  writeFileSync(join(folder, 'initramfs'), initramfs(guestFiles(programs, modules)));
  writeFileSync(join(folder, 'packages.txt'), packages.map((file) => `${file.split('/').at(-1)}\n`).join(''));
  rmSync(tree, { recursive: true });
}
