/** How much of a device service traffic leaves for copies. Pure: no I/O, no clock. See ADR 0016. */

/** What a device has sent so far, and what waits. */
export interface DeviceReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Bytes sent so far, originals and copies, with what is between frames on a wire. */
  sent: number;
  /** Bytes of copies so far, counted the same way. */
  copies: number;
  /** Its queue, where it has one: bytes that wait now, packets dropped so far. */
  queue?: { backlog: number; drops: number };
  /** Bytes a second that it can send, where that is known. */
  capacity?: number;
}

/** The share of a device that originals and copies may use together before copies are throttled. */
const SHARE = 0.9;
/** Copies are never throttled below this share of what the device can send, nor below so many bytes a second. */
const LEAST_SHARE = 0.01;
const LEAST = 125_000;
/** A queue is in the way where more than so many seconds, and so many bytes, wait in it. */
const LONG_QUEUE = { seconds: 0.005, bytes: 16 * 1024 };
/** What the budget is multiplied by while the queue is in the way. */
const BACK = 0.5;
/** What the budget grows by a second, as a share of what the device can send. */
const GROWTH = 0.5;
/** Seconds after which half of a peak of service traffic is forgotten. */
const PEAK_HALF_LIFE = 1;
/** What is learned of a device grows by this share a second, and is forgotten after so many seconds without pressure. */
const PROBE = 0.02;
const FORGET_AFTER = 60;

/**
 * The budget of one device. What originals send, or sent a moment ago, is left to them; the rest, up to SHARE of what the
 * device can send, is for copies. Where packets wait or are dropped at the device copies go back at once, and come back
 * step by step. How much the device can send is learned from how much it sent while its queue was long.
 */
export class Headroom {
  #rate: number;
  #last: DeviceReading | undefined;
  #peak = 0;
  #learned: number | undefined;
  #pressedFor = 0;
  #calmFor = 0;

  /** @param rate the budget that is in force, bytes a second; 0: none */
  constructor(rate: number) {
    this.#rate = rate || Number.POSITIVE_INFINITY;
  }

  /** Whether its queue has been in the way lately, so that what it can send is known. */
  get hasLearned(): boolean {
    return this.#learned !== undefined;
  }

  /** Takes a reading, about every 100 ms. Returns the budget in bytes a second; 0: no limit is needed. */
  next(reading: DeviceReading): number {
    const last = this.#last;
    this.#last = reading;
    const seconds = last ? (reading.at - last.at) / 1000 : 0;
    // Counters that went back are those of another device.
    if (!last || seconds <= 0 || reading.sent < last.sent || reading.copies < last.copies) {
      this.#rate = Math.min(this.#rate, SHARE * (reading.capacity ?? Number.POSITIVE_INFINITY));
      return this.#asNumber();
    }
    const total = (reading.sent - last.sent) / seconds;
    const copies = (reading.copies - last.copies) / seconds;
    this.#peak = Math.max(total - copies, this.#peak * 0.5 ** (seconds / PEAK_HALF_LIFE), 0);
    const pressed = isPressed(reading, last, total);
    this.#learn(pressed, total, seconds);
    const known = Math.min(reading.capacity ?? Number.POSITIVE_INFINITY, this.#learned ?? Number.POSITIVE_INFINITY);
    const least = Math.max(LEAST, Number.isFinite(known) ? LEAST_SHARE * known : 0);
    const room = Math.max(least, SHARE * known - this.#peak);
    const growth = Math.max(least, Number.isFinite(known) ? GROWTH * known * seconds : 0);
    // Where nothing is copied, it is not copies that fill the queue.
    if (pressed && copies > 0) {
      this.#rate = Math.max(least, BACK * Math.min(this.#rate, copies));
    } else if (!pressed) {
      this.#rate += growth;
    }
    this.#rate = Math.min(this.#rate, room);
    // Nothing is known that would limit it, and nothing has been in the way for long.
    if (room === Number.POSITIVE_INFINITY && !pressed) {
      this.#rate = room;
    }
    return this.#asNumber();
  }

  #learn(pressed: boolean, total: number, seconds: number): void {
    this.#calmFor = pressed ? 0 : this.#calmFor + seconds;
    this.#pressedFor = pressed ? this.#pressedFor + 1 : 0;
    // One reading may be a burst into a short queue; two in a row tell that the device has been sending all the while.
    if (this.#pressedFor >= 2) {
      this.#learned = total;
    } else if (this.#learned !== undefined) {
      this.#learned = Math.max(total, this.#learned * (1 + PROBE * seconds));
      if (this.#calmFor > FORGET_AFTER) {
        this.#learned = undefined;
      }
    }
  }

  #asNumber(): number {
    return Number.isFinite(this.#rate) ? Math.round(this.#rate) : 0;
  }
}

function isPressed({ queue }: DeviceReading, last: DeviceReading, total: number): boolean {
  if (!queue) {
    return false;
  }
  if (queue.drops > (last.queue?.drops ?? queue.drops)) {
    return true;
  }
  return queue.backlog > LONG_QUEUE.bytes && queue.backlog > LONG_QUEUE.seconds * total;
}
