/**
 * The runs of controllers with one data directory, one after the other. A run has the lock of the
 * directory until its process ends. So a run that has the lock knows that all earlier ones are over,
 * and need not wait until the lease of one of them ends.
 */
import { closeSync, constants, fstatSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { lockFile } from '@mirrorplane/daemon';

/**
 * The locked file: on each line an id and the place of its run, the newest last. A copy of the
 * directory has the ids too, and the run that had the lock of the original may still be there.
 */
const FILE = 'runs';
/** Ids that are kept. The lease of one from before these has ended. */
const KEPT = 64;
/** Bytes of the file that are read. */
const MAX_BYTES = 64 * 1024;

export class Runs {
  readonly #earlier: ReadonlySet<string>;
  /** Undefined: it was closed. Its number may be that of another file by then. */
  #fd: number | undefined;

  private constructor(fd: number, earlier: ReadonlySet<string>) {
    this.#fd = fd;
    this.#earlier = earlier;
  }

  /**
   * Begins a run.
   * @param data directory of the controller @param id new for each run
   * @throws Error with a message for the operator if another process uses the directory, or its file
   * system has no locks
   */
  static async begin(data: string, id: string): Promise<Runs> {
    const file = path.join(data, FILE);
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
    try {
      await requireLock(fd, data);
      const lines = fstatSync(fd).size > MAX_BYTES ? [] : readFileSync(fd, 'utf8').split('\n').filter(Boolean);
      const place = placeOf(fd, id);
      const earlier = lines.map((line) => line.split(' ')).filter(([, ...where]) => where.join(' ') === place);
      const kept = [...earlier.slice(1 - KEPT), [id, place]];
      try {
        ftruncateSync(fd, writeSync(fd, kept.map((line) => `${line.join(' ')}\n`).join(''), 0));
      } catch {
        // A full disk. The next run does not know this one, and waits for its lease.
      }
      return new Runs(fd, new Set(earlier.map(([run]) => run!)));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Whether this id is of an earlier run, which is over. */
  areOver(id: string | undefined): boolean {
    return id !== undefined && this.#earlier.has(id);
  }

  /** Lets another run begin. Idempotent. */
  close(): void {
    const fd = this.#fd;
    this.#fd = undefined;
    if (fd !== undefined) {
      closeSync(fd);
    }
  }
}

/**
 * The boot of the host, and the file on it. A copy of the directory is another file. A copy of the
 * whole disk runs in another boot. A host that has started again does not know runs of before: their
 * lease has ended by then, or nearly. Where the boot cannot be read, each run is alone.
 */
function placeOf(fd: number, id: string): string {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  let boot: string;
  try {
    boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim();
  } catch {
    boot = `unknown-${id}`;
  }
  return `${boot} ${dev}:${ino}`;
}

async function requireLock(fd: number, data: string): Promise<void> {
  let isOurs: boolean;
  try {
    isOurs = await lockFile(fd);
  } catch (error) {
    throw new Error(
      `cannot use the data directory ${data}: its file system has no locks (${(error as Error).message})`,
    );
  }
  if (!isOurs) {
    throw new Error(`cannot use the data directory ${data}: another controller uses it; stop that one first`);
  }
}
