/**
 * Locks, so that at most one agent or one uninstall uses a data folder or a folder of pins. The
 * kernel frees a lock when its process ends in any way. The locked files belong to root, and no
 * other user can open them. So no other user can hold a lock.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  type Stats,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { isForeign, lockFile, requireNotReplaceable, requireOwnFolder } from '@mirrorplane/daemon';

/** The locked file in the data folder. An uninstall removes it. */
export const LOCK_FILE = 'lock';

const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;

/**
 * Takes the lock of a data folder. Returns the function that frees it.
 * @throws Error if another process has it, or a user other than root can write the folder
 */
export async function holdLock(data: string): Promise<() => void> {
  requireOwn(data, statSync(data), OTHERS_WRITE);
  const path = join(data, LOCK_FILE);
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const free = () => closeSync(fd);
    try {
      requireOwn(path, fstatSync(fd), OTHERS);
      await take(fd, data);
      requireOwnFolder(data);
      // An uninstall may have removed the file in between. Other processes would then not see the
      // lock.
      if (fstatSync(fd).ino === statSync(path, { throwIfNoEntry: false })?.ino) {
        return free;
      }
      free();
    } catch (error) {
      free();
      throw error;
    }
  }
}

/**
 * Takes the lock of a folder of pins. An absent folder is made. When the lock is freed, an empty
 * folder is removed. Returns the function that frees the lock.
 * @throws Error if another process has it, or a user other than root can use the folder
 */
export async function holdPins(folder: string): Promise<() => void> {
  requireNoLink(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // lstat sees a symbolic link that was put there since.
  requireOwn(folder, lstatSync(folder), OTHERS_WRITE);
  requireNotReplaceable(folder);
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    requireOwn(folder, fstatSync(fd), OTHERS_WRITE);
    // Users who can read the folder could lock it.
    if ((fstatSync(fd).mode & OTHERS) !== 0) {
      fchmodSync(fd, 0o700);
    }
    await take(fd, folder);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => {
    try {
      rmdirSync(folder);
    } catch {
      // It contains pins, because the data plane continues.
    }
    closeSync(fd);
  };
}

/**
 * @throws Error if the folder is a symbolic link, because it could lead to a folder of other users
 */
export function requireNoLink(folder: string): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) {
    return;
  }
  throw new Error(`${folder} is a symbolic link: give the directory that it points to`);
}

async function take(fd: number, folder: string): Promise<void> {
  let isOurs: boolean;
  try {
    isOurs = await lockFile(fd);
  } catch (error) {
    throw new Error(`${folder} cannot be locked: ${(error as Error).message}`);
  }
  if (!isOurs) {
    throw new Error(`another agent uses ${folder}: stop it first`);
  }
}

/** @param forbidden permission bits that the path must not have */
function requireOwn(path: string, { uid, mode }: Stats, forbidden: number): void {
  if (isForeign(uid)) {
    throw new Error(`${path} belongs to user ${uid}: remove it, or give another directory; the agent creates its own`);
  }
  if ((mode & forbidden) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    throw new Error(`other users may use ${path} (mode ${octal}): run "chmod go-rwx ${path}"`);
  }
}
