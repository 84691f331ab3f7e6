/** Kernels out of Debian's packages: found by version, extracted into the cache, not installed. */
import { existsSync, readdirSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '@mirrorplane/lab/testing';
import { type Architecture, describe, extracted, listsAge, ownArchitecture, packageNames, updateLists } from './apt.ts';

/**
 * Milliseconds for the index of some 4000 modules, which are compressed in newer kernels: two
 * seconds on an idle machine.
 */
const DEPMOD_MS = 300_000;

/**
 * Lists that are no older than this, in milliseconds, are not read again because something is not
 * to be had.
 */
const FRESH_MS = 10 * 60_000;

/** Which kernel someone wants: `6.12`, `6.12:arm64`, `newest`, `6.12.117`. */
export interface KernelWish {
  /** Begin of the version, or `newest`. */
  version: string;
  architecture: Architecture;
}

/** A kernel that can be booted. */
export interface Kernel {
  /** As `uname -r` says it. */
  release: string;
  architecture: Architecture;
  /** The file that QEMU boots. */
  image: string;
  /** The folder of its modules, with their index. */
  modules: string;
}

/** @throws Error where the text names no kernel */
export function parseWish(text: string): KernelWish {
  const match = /^(newest|\d+\.\d+(?:\.\d+)?)(?::(amd64|arm64))?$/.exec(text);
  if (!match) {
    throw new Error(`${text} is no kernel; write for example 6.1, newest or 6.12:arm64`);
  }
  return { version: match[1] as string, architecture: (match[2] as Architecture) ?? ownArchitecture() };
}

/**
 * Debian's full kernel: no cloud or real-time build, no build without signature. Release candidates
 * are left out.
 */
export const packagePattern = ({ version, architecture }: KernelWish) => {
  const begin = version === 'newest' ? '\\d+\\.\\d+\\.\\d+' : `${version.replaceAll('.', '\\.')}(?:\\.\\d+)?`;
  return new RegExp(`^linux-image-(?:${begin})(?:-\\d+)?(?:\\+deb\\d+(?:\\.\\d+)?)?-${architecture}$`);
};

/**
 * Finds the newest package of a version and extracts it, once. Throws where there is none, or it
 * cannot be had.
 * @param say told what is being done, a line each
 */
export async function getKernel(wish: KernelWish, say: (line: string) => void = () => undefined): Promise<Kernel> {
  await updateLists(say);
  try {
    return await newest(wish);
  } catch (error) {
    // The lists may name a version that has been replaced since.
    if (listsAge() < FRESH_MS) {
      throw error;
    }
    await updateLists(say, 0);
    return newest(wish);
  }
}

async function newest(wish: KernelWish): Promise<Kernel> {
  const { architecture } = wish;
  const name = (await packageNames('linux-image-', packagePattern(wish), architecture)).at(-1);
  if (name === undefined) {
    throw new Error(`no package of Linux ${wish.version} for ${architecture}`);
  }
  const release = name.slice('linux-image-'.length);
  // Newer packages hold nothing themselves: the kernel and its modules are in two others.
  const packages = async () => {
    const depends = (await describe(name, architecture))?.get('Depends') ?? '';
    const parts = [`linux-binary-${release}`, `linux-modules-${release}`].filter((part) => depends.includes(part));
    return [name, ...parts].map((part) => `${part}:${architecture}`);
  };
  const folder = await extracted(release, packages, architecture, async (work) => {
    if (!existsSync(join(work, 'lib'))) {
      symlinkSync('usr/lib', join(work, 'lib'));
    }
    await run(['depmod', '-b', work, release], { timeoutMs: DEPMOD_MS });
    const image = readdirSync(work, { recursive: true, encoding: 'utf8' }).find((file) =>
      /(^|\/)vmlinuz(-[^/]*)?$/.test(file),
    );
    if (image === undefined) {
      throw new Error(`no kernel in ${name}`);
    }
    renameSync(join(work, image), join(work, 'image'));
  });
  return { release, architecture, image: join(folder, 'image'), modules: join(folder, 'lib/modules', release) };
}
