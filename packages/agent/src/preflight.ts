/** What a host must have before an agent can run. */
import { execFileSync } from 'node:child_process';
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { type Logger, say } from './log.ts';

/** f_type of a bpf file system, include/uapi/linux/magic.h. */
const BPF_FS_MAGIC = 0xcafe4a11;
/** Where the bpf file system is mounted by everybody. */
const BPF_MOUNT = '/sys/fs/bpf';

/** @throws Error where this process is not root */
export function requireRoot(): void {
  if (process.getuid?.() !== 0) {
    throw new Error('the agent must run as root: it attaches BPF programs and reads all devices of the host');
  }
}

/**
 * Sees to it that `folder`, or the nearest folder above it that exists, is on a bpf file system; mounts one on
 * /sys/fs/bpf where that is what is missing. @throws Error otherwise
 */
export function requireBpffs(folder: string, log: Logger): void {
  if (onBpffs(folder)) return;
  if (folder === BPF_MOUNT || folder.startsWith(`${BPF_MOUNT}/`)) {
    try {
      execFileSync('mount', ['-t', 'bpf', 'bpf', BPF_MOUNT], { stdio: 'pipe' });
      log.info(say('bpf file system mounted', { folder: BPF_MOUNT }));
    } catch (error) {
      const said = String((error as { stderr?: Buffer }).stderr ?? error).trim();
      throw new Error(`no bpf file system is mounted on ${BPF_MOUNT}, and mounting one failed: ${said}`);
    }
    if (onBpffs(folder)) return;
  }
  throw new Error(`${folder} is not on a bpf file system: run "mount -t bpf bpf DIR" and name a folder below DIR`);
}

function onBpffs(folder: string): boolean {
  for (let path = folder; ; path = dirname(path)) {
    try {
      return statfsSync(path).type === BPF_FS_MAGIC;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || path === dirname(path)) throw error;
    }
  }
}
