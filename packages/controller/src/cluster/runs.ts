/**
 * The runs of controllers with one data directory, one after the other. A run has the lock of the
 * directory until its process ends. So a run that has the lock knows that all earlier ones are over,
 * and need not wait until the lease of one of them ends.
 */
import { closeSync, constants, fstatSync, fsyncSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { lockFile } from '@mirrorplane/daemon';

/** The locked file: one id on each line, the newest last. */
const FILE = 'runs';
/** Ids that are kept. The lease of one from before these has ended. */
const KEPT = 64;
/** Bytes of the file that are read. */
const MAX_BYTES = 64 * 1024;

export class Runs {
  readonly #earlier: ReadonlySet<string>;
  readonly #fd: number;

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
      const earlier = fstatSync(fd).size > MAX_BYTES ? [] : readFileSync(fd, 'utf8').split('\n').filter(Boolean);
      const kept = [...earlier.slice(1 - KEPT), id];
      ftruncateSync(fd);
      writeSync(fd, `${kept.join('\n')}\n`, 0);
      // After a loss of power too, the run before is known.
      fsyncSync(fd);
      return new Runs(fd, new Set(earlier));
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }

  /** Whether this id is of an earlier run, which is over. */
  areOver(id: string | undefined): boolean {
    return id !== undefined && this.#earlier.has(id);
  }

  /** Lets another run begin. */
  close(): void {
    closeSync(this.#fd);
  }
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
