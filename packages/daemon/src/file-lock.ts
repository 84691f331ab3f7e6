/** flock(2): a lock on an open file. The kernel frees it when its process ends in any way. */

/** include/uapi/asm-generic/fcntl.h */
const LOCK_EX = 2;
const LOCK_NB = 4;

/**
 * Locks an open file for this process alone, until its descriptor is closed.
 * @returns false: another process has the lock
 * @throws Error with the number of the error if the file cannot be locked
 */
export async function lockFile(fd: number): Promise<boolean> {
  // Node.js has no flock. Commands that lock nothing do not load the library.
  const { default: koffi } = await import('koffi');
  const flock = koffi.load('libc.so.6').func('int flock(int fd, int operation)');
  if (flock(fd, LOCK_EX | LOCK_NB) === 0) {
    return true;
  }
  const errno = koffi.errno();
  if (errno === koffi.os.errno.EWOULDBLOCK) {
    return false;
  }
  throw new Error(`errno ${errno}`);
}
