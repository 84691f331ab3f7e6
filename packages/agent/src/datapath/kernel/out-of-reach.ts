/**
 * Finds a data plane of which an uninstall can reach only a part: its pins or its devices are
 * elsewhere.
 */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { HELPER } from '../../netlink/helper-pair.ts';
import { TcFilters } from '../../netlink/tc-filters.ts';
import { closeFd, getPinned, hasTcx, programId, programsAt, tcxLinkInfo } from './libbpf.ts';
import { PROGRAMS, parseKey } from './links.ts';

/** The longest time that the kernel takes to detach links of an ended agent, milliseconds. */
const DETACHED_MS = 1000;

/**
 * At the helper device a program and its pin belong together.
 * @param helpers ifindexes of the helper devices of this network namespace
 * @throws Error if the pins have their device elsewhere, or a device here has its pins elsewhere
 */
export async function requireInReach(bpffs: string, helpers: readonly number[]): Promise<void> {
  const pinned = pinnedHelpers(join(bpffs, 'links'));
  if (pinned.some((ifindex) => !helpers.includes(ifindex))) {
    throw new Error(
      `the data plane in ${bpffs} is in another network namespace: uninstall it there, for example with "nsenter --net=FILE"`,
    );
  }
  const elsewhere = folderOfFilters(bpffs, helpers);
  if (elsewhere !== undefined) {
    throw new Error(`${HELPER} is in use by the data plane in ${elsewhere}: give "--bpffs ${elsewhere}"`);
  }
  const others = helpers.filter((ifindex) => !pinned.includes(ifindex));
  const isUnused = () => !hasTcx() || others.every((ifindex) => programsAt(ifindex, 'egress').length === 0);
  await until('helper devices without a program', isUnused, { limitMs: DETACHED_MS }).catch(() => {
    throw new Error(
      `${HELPER} is in use, but ${bpffs} has no pins of it: give the --bpffs of its agent, and mount that file system`,
    );
  });
}

/** ifindexes of helper devices that pinned links are attached to, in any network namespace. */
function pinnedHelpers(folder: string): number[] {
  const keys = existsSync(folder) ? readdirSync(folder) : [];
  const ours = keys.filter((key) => parseKey(key)?.program === PROGRAMS.transform);
  // Where its device is gone, the ifindex is 0.
  return ours
    .map((key) => ofPinned(join(folder, key), (link) => tcxLinkInfo(link).ifindex))
    .filter((ifindex) => ifindex !== 0);
}

/** What `read` finds out about the object that is pinned at `path`. 0: there is none. */
function ofPinned(path: string, read: (fd: number) => number): number {
  const fd = getPinned(path);
  if (fd === undefined) {
    return 0;
  }
  try {
    return read(fd);
  } finally {
    closeFd(fd);
  }
}

/**
 * The folder with the pins of the filters at clsact of these helper devices, if it is another one
 * than `bpffs`. Filters stay without pins too: then nobody has them, and the result is undefined.
 */
function folderOfFilters(bpffs: string, helpers: readonly number[]): string | undefined {
  const filters = new TcFilters();
  try {
    const running = new Set(
      helpers.flatMap((ifindex) => filters.list(ifindex, 'egress').map(({ program }) => program)),
    );
    const given = existsSync(bpffs) ? realpathSync(bpffs) : bpffs;
    const others = running.size === 0 ? [] : folders().filter((folder) => folder !== given);
    return others.find((folder) => transformsIn(folder).some((id) => running.has(id)));
  } finally {
    filters.close();
  }
}

/** All mounted BPF file systems, and the folders in them down to the second level. */
function folders(): string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '));
  // proc_pid_mountinfo(5): the mount point is the fifth field, and the type follows a lone "-".
  const roots = mounts.filter((fields) => fields[fields.indexOf('-') + 1] === 'bpf').map((fields) => fields[4]!);
  const inside = (folder: string) => listFolder(folder).map((name) => join(folder, name));
  const first = roots.flatMap(inside);
  return [...new Set([...roots, ...first, ...first.flatMap(inside)])];
}

/** Names in a folder. None if it is no folder, or no longer there. */
export function listFolder(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Kernel ids of the `transform` programs that are pinned in the folder of a data plane. */
function transformsIn(folder: string): number[] {
  const names = listFolder(folder).filter((name) => name.startsWith('programs-'));
  return names.map((name) => ofPinned(join(folder, name, PROGRAMS.transform), programId)).filter((id) => id !== 0);
}
