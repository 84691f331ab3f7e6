/** The bpf file system, where links, programs and maps are pinned. */
import { statfsSync } from 'node:fs';

/** f_type of a bpf file system, include/uapi/linux/magic.h. */
export const BPF_FS_MAGIC = 0xcafe4a11;

/** Whether the path is on a bpf file system. @throws Error if the path does not exist */
export function isOnBpfFileSystem(path: string): boolean {
  return statfsSync(path).type === BPF_FS_MAGIC;
}
