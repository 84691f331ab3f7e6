/** Memory that the agent needed for a moment goes back to the system. */
import { collectGarbage } from '@mirrorplane/daemon';
import koffi from 'koffi';

/** Bytes of growth from which memory is given back. */
const GROWTH = 16 << 20;
/** Milliseconds without a change of devices before that: giving back takes some 50 ms. */
const QUIET_MS = 5000;

export interface FreedMemoryParts {
  /** Resident bytes of the process. */
  resident: () => number;
  giveBack: () => void;
  /** Milliseconds of a monotonic clock. */
  now: () => number;
}

const OF_THIS_PROCESS: FreedMemoryParts = {
  resident: process.memoryUsage.rss,
  giveBack: () => {
    collectGarbage();
    returnFreedMemory();
  },
  now: () => performance.now(),
};

/** Gives memory back after the start, and after devices have come and gone. */
export class FreedMemory {
  readonly #parts: FreedMemoryParts;
  /** Resident bytes after memory was given back. Undefined: the start is not over. */
  #least: number | undefined;
  #changedAt = Number.NEGATIVE_INFINITY;

  constructor(parts: FreedMemoryParts = OF_THIS_PROCESS) {
    this.#parts = parts;
  }

  /** A device has come, gone or changed. */
  changed(): void {
    this.#changedAt = this.#parts.now();
  }

  /** The start is over. Loading programs takes several megabytes for a moment. */
  started(): void {
    this.#giveBack();
  }

  /** To be called regularly. Gives memory back where the process has grown, and nothing happens. */
  look(): void {
    const { resident, now } = this.#parts;
    if (this.#least === undefined || now() - this.#changedAt < QUIET_MS) {
      return;
    }
    if (resident() - this.#least >= GROWTH) {
      this.#giveBack();
    }
  }

  #giveBack(): void {
    this.#parts.giveBack();
    this.#least = this.#parts.resident();
  }
}

/** Returns memory that was freed, and that the C library would keep. */
function returnFreedMemory(): void {
  try {
    koffi.load('libc.so.6').func('int malloc_trim(size_t pad)')(0);
  } catch {
    // Another C library has no such call.
  }
}
