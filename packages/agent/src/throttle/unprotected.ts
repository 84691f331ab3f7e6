/** Whether service traffic shares a device with copies that nothing holds back. Pure: no I/O, no clock. See docs/adr/0037. */

/** What a device has sent so far. */
export interface SharedReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Bytes sent so far, originals and copies. */
  sent: number;
  /** Bytes of copies so far. */
  copies: number;
  /** It, or a device below it, has a speed or a queue: copies give way there. */
  known: boolean;
}

/** Milliseconds over which originals are counted. */
const WINDOW_MS = 5000;
/** Originals count where they have more bytes a second, and more than this share of copies: readings are not of one moment. */
const LEAST = { bytes: 12_500, share: 0.05 };
/** Milliseconds for which a device counts as shared after originals were last seen. */
const SHARED_FOR_MS = 600_000;

/** Follows one device by which copies leave. */
export class Unprotected {
  #begin: SharedReading | undefined;
  #until = Number.NEGATIVE_INFINITY;

  /** Takes a reading. Returns whether the device carries service traffic that is not protected from copies. */
  next(reading: SharedReading): boolean {
    const begin = this.#begin;
    if (reading.known) {
      this.#until = Number.NEGATIVE_INFINITY;
      this.#begin = undefined;
      return false;
    }
    // Counters that went back are those of another device.
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
