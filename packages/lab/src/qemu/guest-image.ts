/** The guest that the lab's virtual machines boot: Debian's cloud kernel and busybox, taken out of their packages. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { run } from '../netns.ts';
import { LabError } from '../state.ts';
import { GUEST_MODULES, guestFiles } from './guest-files.ts';
import { initramfs } from './initramfs.ts';

/** What QEMU boots. */
export interface GuestImage {
  /** The kernel, a bzImage. */
  kernel: string;
  initramfs: string;
}

/** How to get the image. */
export interface GuestImageOptions {
  /** Folder of what is kept between runs. Default `mirrorplane` in `$XDG_CACHE_HOME`, or in `~/.cache`. */
  cache?: string;
  /** Told what is being done, a line each. */
  onProgress?: (line: string) => void;
}

/** The package that depends on the newest kernel for virtual machines. */
const KERNEL = 'linux-image-cloud-amd64';
const BUSYBOX = 'busybox-static';
/** Milliseconds for a download of some 30 MB. */
const DOWNLOAD_MS = 300_000;

const cacheFolder = () => join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mirrorplane');

/** Changes whenever what we add to the packages changes, so that a stale image is never booted. */
function recipe(): string {
  const modules = new Map(GUEST_MODULES.map((name) => [name as string, Buffer.alloc(0)]));
  const bytes = initramfs(guestFiles(Buffer.alloc(0), modules));
  return createHash('sha256').update(bytes).digest('hex').slice(0, 12);
}

/**
 * The guest image, built once and then taken from the cache: packages are downloaded with apt and unpacked into the
 * cache, not installed. The same packages always give the same bytes; their names and versions stand beside the image.
 * Throws `LabError` where Debian's packages cannot be had.
 */
export async function guestImage(options: GuestImageOptions = {}): Promise<GuestImage> {
  const { cache = cacheFolder(), onProgress = () => undefined } = options;
  const folder = join(cache, `guest-${recipe()}`);
  const image = { kernel: join(folder, 'vmlinuz'), initramfs: join(folder, 'initramfs') };
  if (existsSync(folder)) return image;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, 'building-'));
  try {
    await build(work, onProgress);
    // Two that build at once: the first one wins, and both are the same.
    if (!existsSync(folder)) renameSync(work, folder);
    return image;
  } catch (error) {
    throw new LabError(`the guest image cannot be built: ${(error as Error).message}`);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

async function build(work: string, onProgress: (line: string) => void): Promise<void> {
  const packages = [await kernelPackage(), BUSYBOX];
  onProgress(`guest: downloading ${packages.join(' and ')} (28 MB, once)`);
  const fetch = ['env', '-C', work, 'apt-get', 'download', '-qq', '-o', 'APT::Sandbox::User=root', ...packages];
  await run(fetch, { timeoutMs: DOWNLOAD_MS });
  const archives = readdirSync(work).filter((file) => file.endsWith('.deb')).sort();
  const tree = join(work, 'tree');
  mkdirSync(tree);
  onProgress('guest: unpacking');
  for (const archive of archives) await run(['dpkg-deb', '--extract', join(work, archive), tree]);
  const files = readdirSync(tree, { recursive: true, encoding: 'utf8' });
  const only = (pattern: RegExp) => {
    const file = files.find((name) => pattern.test(name));
    return file === undefined ? undefined : join(tree, file);
  };
  const kernel = only(/^boot\/vmlinuz-/);
  const busybox = only(/^(usr\/)?bin\/busybox$/);
  if (kernel === undefined || busybox === undefined) throw new Error(`${archives.join(', ')} hold no kernel or no busybox`);
  const modules = new Map<string, Buffer>();
  for (const name of GUEST_MODULES) {
    const file = only(new RegExp(`/kernel/.*/${name}\\.ko$`));
    if (file !== undefined) modules.set(name, readFileSync(file));
  }
  renameSync(kernel, join(work, 'vmlinuz'));
  writeFileSync(join(work, 'initramfs'), initramfs(guestFiles(readFileSync(busybox), modules)));
  writeFileSync(join(work, 'packages.txt'), archives.map((file) => `${basename(file)}\n`).join(''));
  rmSync(tree, { recursive: true });
  for (const archive of archives) rmSync(join(work, archive));
}

/** The name of the newest kernel's own package. Reads the package lists, which are fetched where there are none yet. */
async function kernelPackage(): Promise<string> {
  const look = async () => {
    const { stdout } = await run(['apt-cache', 'depends', '--no-recommends', '--no-suggests', KERNEL], { check: false });
    return /Depends: (linux-image-\S+)/.exec(stdout)?.[1];
  };
  const known = await look();
  if (known !== undefined) return known;
  await run(['apt-get', 'update', '-qq'], { timeoutMs: DOWNLOAD_MS });
  const found = await look();
  if (found === undefined) throw new Error(`no package ${KERNEL}: this is not Debian on amd64`);
  return found;
}
