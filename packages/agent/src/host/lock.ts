/**
 * At most one agent, or one uninstall, for a data folder and for a folder of pins. The kernel frees a lock when its process
 * ends, however it ends. What is locked belongs to root, and nobody else can open it: so nobody else can hold the lock.
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
import { dirname, join, resolve } from 'node:path';
import koffi from 'koffi';

/** The file in the data folder that is locked. An uninstall removes it. */
export const LOCK_FILE = 'lock';

/** include/uapi/asm-generic/fcntl.h */
const LOCK_EX = 2;
const LOCK_NB = 4;
const OTHERS = 0o077;
const OTHERS_WRITE = 0o022;
const ALL_WRITE = 0o002;
const STICKY = 0o1000;

const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');

/**
 * Takes the lock of a data folder. Gives the function that frees it.
 * @throws Error where another process has it, or a user other than root can write the folder
 */
export async function holdLock(data: string): Promise<() => void> {
  requireOwn(data, statSync(data), OTHERS_WRITE);
  requireNotReplaceable(data);
  const path = join(data, LOCK_FILE);
  for (;;) {
    const fd = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    const free = () => closeSync(fd);
    try {
      requireOwn(path, fstatSync(fd), OTHERS);
      take(fd, data);
      // An uninstall may have removed it in between: then nobody else can see that it is locked.
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
 * Takes the lock of a folder of pins, which is made where it is not there, and removed again when the lock is freed and it is
 * empty. Gives the function that frees it.
 * @throws Error where another process has it, or a user other than root can use the folder
 */
export async function holdPins(folder: string): Promise<() => void> {
  requireNoLink(folder);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  // Of a link that has come since, this sees the link.
  requireOwn(folder, lstatSync(folder), OTHERS_WRITE);
  requireNotReplaceable(folder);
  const fd = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    requireOwn(folder, fstatSync(fd), OTHERS_WRITE);
    // One that others can read, they could lock.
    if ((fstatSync(fd).mode & OTHERS) !== 0) {
      fchmodSync(fd, 0o700);
    }
    take(fd, folder);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return () => {
    try {
      rmdirSync(folder);
    } catch {
      // There are pins in it: the data plane goes on.
    }
    closeSync(fd);
  };
}

/** @throws Error where the folder is a symbolic link: it could lead to a folder of others */
export function requireNoLink(folder: string): void {
  if (!lstatSync(folder, { throwIfNoEntry: false })?.isSymbolicLink()) {
    return;
  }
  throw new Error(`${folder} is a symbolic link: give the directory that it points to`);
}

function take(fd: number, folder: string): void {
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) {
    return;
  }
  const errno = koffi.errno();
  if (errno === koffi.os.errno.EWOULDBLOCK) {
    throw new Error(`another agent uses ${folder}: stop it first`);
  }
  throw new Error(`${folder} cannot be locked: errno ${errno}`);
}

/** @param forbidden permissions that nobody but the owner may have */
function requireOwn(path: string, { uid, mode }: Stats, forbidden: number): void {
  if (uid !== 0 && uid !== process.geteuid?.()) {
    throw new Error(`${path} belongs to user ${uid}: remove it, or give another directory; the agent creates its own`);
  }
  if ((mode & forbidden) !== 0) {
    const octal = (mode & 0o7777).toString(8).padStart(4, '0');
    throw new Error(`other users may use ${path} (mode ${octal}): run "chmod go-rwx ${path}"`);
  }
}

/**
 * Where all may write a folder above, they can put another one in the place of ours. Not in a sticky one, as /tmp is.
 * @param folder it, and those above it, need not be there yet
 * @throws Error with what to do
 */
export function requireNotReplaceable(folder: string): void {
  for (let path = dirname(resolve(folder)); ; path = dirname(path)) {
    const mode = statSync(path, { throwIfNoEntry: false })?.mode ?? 0;
    if ((mode & ALL_WRITE) !== 0 && (mode & STICKY) === 0) {
      throw new Error(`all users may write ${path}, so they can replace ${folder}: run "chmod o-w ${path}"`);
    }
    if (path === dirname(path)) {
      return;
    }
  }
}
