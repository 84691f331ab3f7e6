/**
 * Finds a data plane of which an uninstall can reach only a part: its pins or its devices are
 * elsewhere.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import { HELPER } from '../../netlink/helper-pair.ts';
import { closeFd, getPinned, hasTcx, programsAt, tcxLinkInfo } from './libbpf.ts';
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
  return ours.map((key) => attachedTo(join(folder, key))).filter((ifindex) => ifindex !== 0);
}

/** ifindex of the device. 0: there is none any more. */
function attachedTo(path: string): number {
  const link = getPinned(path);
  if (link === undefined) {
    return 0;
  }
  try {
    return tcxLinkInfo(link).ifindex;
  } finally {
    closeFd(link);
  }
}
