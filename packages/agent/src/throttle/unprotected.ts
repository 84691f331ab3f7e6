/**
 * Detects service traffic on a device where copies are not throttled. Pure: no I/O, no clock. See
 * docs/adr/0037.
 */

/** A reading of a device. */
export interface SharedReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Bytes sent so far, originals and copies. */
  sent: number;
  /** Bytes of copies so far. */
  copies: number;
  /** The device or a lower device has a known speed or a queue, so copies are throttled there. */
  known: boolean;
}

/** Milliseconds over which originals are counted. */
const WINDOW_MS = 5000;
/**
 * Originals count if they exceed this rate in bytes a second and this share of copies. The
 * threshold is needed because readings are not taken at the same moment.
 */
const LEAST = { bytes: 12_500, share: 0.05 };
/** Milliseconds for which a device counts as shared after originals were last seen. */
const SHARED_FOR_MS = 600_000;

/** Follows one device by which copies leave. */
export class Unprotected {
  #begin: SharedReading | undefined;
  #until = Number.NEGATIVE_INFINITY;

  /** Processes a reading. Returns whether the device carries unprotected service traffic. */
  next(reading: SharedReading): boolean {
    const begin = this.#begin;
    if (reading.known) {
      this.#until = Number.NEGATIVE_INFINITY;
      this.#begin = undefined;
      return false;
    }
    // Smaller counters belong to another device.
    if (!begin || reading.sent < begin.sent || reading.copies < begin.copies) {
      this.#begin = reading;
    } else if (reading.at - begin.at >= WINDOW_MS) {
      const copies = reading.copies - begin.copies;
      const originals = reading.sent - begin.sent - copies;
      const least = (LEAST.bytes * (reading.at - begin.at)) / 1000;
      if (originals > Math.max(least, LEAST.share * copies)) {
        this.#until = reading.at + SHARED_FOR_MS;
      }
      this.#begin = reading;
    }
    return reading.at < this.#until;
  }
}
