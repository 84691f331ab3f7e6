/**
 * Computes the budget that service traffic leaves for copies on a device. Pure: no I/O, no clock.
 * See ADR 0016.
 */
import { leastForCopies, roomForCopies, UPLINK_SHARE } from '@mirrorplane/contract';

/** A reading of a device and its queue. */
export interface DeviceReading {
  /** Milliseconds of a monotonic clock. */
  at: number;
  /** Bytes sent so far, originals and copies, including the bytes around frames on a wire. */
  sent: number;
  /** Bytes of copies so far, counted the same way. */
  copies: number;
  /** Its queue, if it has one: waiting bytes, and packets dropped so far. */
  queue?: { backlog: number; drops: number };
  /** Its speed in bytes a second, if known. */
  capacity?: number;
}

/** A queue is long if more than so many seconds and so many bytes wait in it. */
const LONG_QUEUE = { seconds: 0.005, bytes: 16 * 1024 };
/** Factor of the budget while the queue is long. */
const BACK = 0.5;
/** Growth of the budget in a second, as a share of the speed. */
const GROWTH = 0.5;
/** Seconds after which half of a peak of service traffic is forgotten. */
const PEAK_HALF_LIFE = 1;
/**
 * A learned speed grows by this share in a second, and is forgotten after so many seconds without a
 * long queue.
 */
const PROBE = 0.02;
const FORGET_AFTER = 60;

/**
 * The budget of one device. The current and recent rate of originals is reserved for them. Copies
 * get the rest, up to UPLINK_SHARE of the speed. If packets wait or are dropped at the device, the budget
 * shrinks at once, and grows again step by step. The speed is learned from the sent bytes while the
 * queue is long.
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

  /** Whether its queue has been long lately, so that the speed is known. */
  get hasLearned(): boolean {
    return this.#learned !== undefined;
  }

  /**
   * Takes a reading, about every 100 ms. Returns the budget in bytes a second; 0: no limit is
   * needed.
   */
  next(reading: DeviceReading): number {
    const last = this.#last;
    this.#last = reading;
    const seconds = last ? (reading.at - last.at) / 1000 : 0;
    // Counters that went back are those of another device.
    if (!last || seconds <= 0 || reading.sent < last.sent || reading.copies < last.copies) {
      this.#rate = Math.min(this.#rate, UPLINK_SHARE * (reading.capacity ?? Number.POSITIVE_INFINITY));
      return this.#asNumber();
    }
    const total = (reading.sent - last.sent) / seconds;
    const copies = (reading.copies - last.copies) / seconds;
    this.#peak = Math.max(total - copies, this.#peak * 0.5 ** (seconds / PEAK_HALF_LIFE), 0);
    const pressed = isPressed(reading, last, total);
    this.#learn(pressed, total, seconds);
    const known = Math.min(reading.capacity ?? Number.POSITIVE_INFINITY, this.#learned ?? Number.POSITIVE_INFINITY);
    const least = leastForCopies(Number.isFinite(known) ? known : undefined);
    const room = roomForCopies(known, this.#peak);
    const growth = Math.max(least, Number.isFinite(known) ? GROWTH * known * seconds : 0);
    // Without copies, other packets fill the queue.
    if (pressed && copies > 0) {
      this.#rate = Math.max(least, BACK * Math.min(this.#rate, copies));
    } else if (!pressed) {
      this.#rate += growth;
    }
    this.#rate = Math.min(this.#rate, room);
    // No limit is known, and the queue has not been long for some time.
    if (room === Number.POSITIVE_INFINITY && !pressed) {
      this.#rate = room;
    }
    return this.#asNumber();
  }

  #learn(pressed: boolean, total: number, seconds: number): void {
    this.#calmFor = pressed ? 0 : this.#calmFor + seconds;
    this.#pressedFor = pressed ? this.#pressedFor + 1 : 0;
    // One reading may be a burst into a short queue. Two in a row prove that the device was sending
    // all the time.
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
