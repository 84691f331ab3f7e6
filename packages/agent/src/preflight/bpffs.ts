/** Checks the bpf file system for the pins of links, programs and maps. */
import { execFileSync } from 'node:child_process';
import { readlinkSync, statfsSync, statSync } from 'node:fs';
import { BPF_FS_MAGIC } from '../host/bpf-file-system.ts';
import { requireNoLink } from '../host/lock.ts';
import type { Logger } from '../log.ts';
import { type Check, failed, ok, warning } from './check.ts';
import { type FolderFacts, OTHERS_WRITE, octal, readFolder } from './folder.ts';

/** f_type of the bpf file system, and of others that may be in its place. */
const FILE_SYSTEMS = new Map([
  [BPF_FS_MAGIC, 'bpf'],
  [0x62656572, 'sysfs'],
  [0x01021994, 'tmpfs'],
  [0xef53, 'ext4'],
  [0x58465342, 'xfs'],
  [0x9123683e, 'btrfs'],
  [0x794c7630, 'overlay'],
]);
/** The usual mount point of the bpf file system. */
const BPF_MOUNT = '/sys/fs/bpf';
const MOUNT = ['mount', '-t', 'bpf', '-o', 'mode=0700', 'bpf', BPF_MOUNT];
const MOUNT_COMMAND = `run "${MOUNT.join(' ')}"`;

export interface BpffsFacts extends FolderFacts {
  /** Name of the file system at `nearest`, or its number if the name is unknown. */
  type: string;
  /** Process 1 also sees pins and mounts in the folder. Undefined: unknown. */
  shared: boolean | undefined;
  /** CAP_SYS_ADMIN: this process can mount a file system. */
  canMount: boolean;
}

/** Reads facts about a folder for pins. Changes nothing. */
export function readBpffs(folder: string, canMount: boolean): BpffsFacts {
  requireNoLink(folder);
  const facts = readFolder(folder);
  const { type } = statfsSync(facts.nearest);
  const name = FILE_SYSTEMS.get(type) ?? `0x${type.toString(16)}`;
  return { ...facts, type: name, shared: isShared(facts.nearest, name), canMount };
}

function isShared(path: string, type: string): boolean | undefined {
  try {
    if (type === 'bpf') {
      return statSync(`/proc/1/root${path}`).dev === statSync(path).dev;
    }
    return readlinkSync('/proc/1/ns/mnt') === readlinkSync('/proc/self/ns/mnt');
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? false : undefined;
  }
}

/** True if the folder should be below the usual mount point, and nothing is mounted there. */
function isToBeMounted({ folder, type }: BpffsFacts): boolean {
  return type === 'sysfs' && (folder === BPF_MOUNT || folder.startsWith(`${BPF_MOUNT}/`));
}

const ALONE = 'only this process and its children see it: pins end with them, and copying ends with the agent';
const STICKY = 0o1000;

export function judgeBpffs(facts: BpffsFacts): Check {
  if (isToBeMounted(facts)) {
    return judgeMount(facts);
  }
  const { folder, nearest, type, uid, foreign, mode, refused, shared } = facts;
  if (type !== 'bpf') {
    const found = `${nearest} is on a file system of type ${type}, where nothing can be pinned`;
    const elsewhere = 'remove --bpffs, or mount a bpf file system above its directory: "mount -t bpf bpf DIR"';
    return failed('bpffs', found, nearest === BPF_MOUNT ? `unmount it, and ${MOUNT_COMMAND}` : elsewhere);
  }
  if (foreign) {
    return failed('bpffs', `${nearest} belongs to user ${uid}`, `run "chown root: ${nearest}"`);
  }
  if (refused === 'EACCES') {
    const remedy = `make ${folder} for the user of the agent, with mode 0700`;
    return failed('bpffs', `${nearest} belongs to root, and this process runs as another user`, remedy);
  }
  if (refused !== undefined) {
    const remedy = `mount it for writing: "mount -o remount,rw ${BPF_MOUNT}"`;
    return failed('bpffs', `${nearest} cannot be written: ${refused}`, remedy);
  }
  const othersWrite = (mode & OTHERS_WRITE) !== 0;
  // In a sticky folder, other users cannot remove our files.
  if (othersWrite && (nearest === folder || (mode & STICKY) === 0)) {
    return failed('bpffs', `other users may write ${nearest} (mode ${octal(mode)})`, `run "chmod go-w ${nearest}"`);
  }
  if (shared === false) {
    const remedy = 'start the agent in the mount namespace of the host; give a container the /sys/fs/bpf of the host';
    return warning('bpffs', `${nearest}: ${ALONE}`, remedy);
  }
  if (othersWrite) {
    return warning(
      'bpffs',
      `other users may create ${folder} before the agent does (${nearest} has mode ${octal(mode)})`,
      `run "mount -o remount,mode=0700 ${BPF_MOUNT}"`,
    );
  }
  return ok('bpffs', folder);
}

function judgeMount({ nearest, canMount, shared }: BpffsFacts): Check {
  if (nearest !== BPF_MOUNT) {
    return failed('bpffs', `the kernel has no ${BPF_MOUNT}`, 'boot a kernel with CONFIG_BPF_SYSCALL, and mount sysfs');
  }
  const found = `no bpf file system is mounted on ${BPF_MOUNT}`;
  const onHost = `${MOUNT_COMMAND} on the host`;
  if (!canMount) {
    return failed('bpffs', found, `${onHost}: the agent cannot mount it without CAP_SYS_ADMIN`);
  }
  if (shared === false) {
    return warning('bpffs', `${found}; the agent mounts one, and ${ALONE}`, onHost);
  }
  return warning('bpffs', `${found}; the agent mounts one when it starts`, `${onHost} at boot, as systemd does`);
}

/**
 * Mounts a bpf file system at the usual mount point, if the folder should be there and nothing is
 * mounted.
 * @throws Error if the mount fails
 */
export function mountBpffs(folder: string, log: Logger): void {
  if (!isToBeMounted(readBpffs(folder, true))) {
    return;
  }
  try {
    execFileSync(MOUNT[0]!, MOUNT.slice(1), { stdio: 'pipe' });
  } catch (error) {
    const said = String((error as { stderr?: Buffer }).stderr ?? error).trim();
    throw new Error(`no bpf file system is mounted on ${BPF_MOUNT}, and mounting one failed: ${said}`);
  }
  log.info({ folder: BPF_MOUNT }, 'bpf file system mounted');
}

/**
 * @throws Error if the folder is on another file system, and a mount at the usual mount point would
 * not change this
 */
export function requirePins(folder: string): void {
  const facts = readBpffs(folder, true);
  if (facts.type !== 'bpf' && !isToBeMounted(facts)) {
    throw new Error(`${folder} is not on a bpf file system: correct --bpffs`);
  }
}
