/**
 * A device by which copies leave: its budget follows the headroom of all devices that may have to
 * carry them.
 */
import type { DeviceBudget } from '../datapath/datapath.ts';
import { type CarrierReading, givesWay, wireBytes } from './carrier-readings.ts';
import { Refusals } from './refusals.ts';
import { Unprotected } from './unprotected.ts';
import { Headroom } from './uplink-headroom.ts';

/** Milliseconds between two readings of a device while no copies leave by it. */
export const REST_MS = 500;

export class FollowedDevice {
  readonly #refusals: Refusals;
  /** Its budget at the last reading, and when that was. */
  #last: Pick<DeviceBudget, 'passed' | 'refused'> & { at: number } = { passed: -1, refused: -1, at: 0 };
  /** Headroom of each device that may carry the copies, by ifindex. */
  readonly #headrooms = new Map<number, Headroom>();
  readonly #shared = new Unprotected();
  /** Packets have waited in a queue that still exists, so the queue limits the rate. */
  #wasPressed = false;
  #isUnprotected = false;

  /** @param refused number of copies that its budget has refused so far */
  constructor(refused: number) {
    this.#refusals = new Refusals(refused);
  }

  /** Nothing protects service traffic there: neither a speed nor a queue is known. */
  get isUnprotected(): boolean {
    return this.#isUnprotected;
  }

  /** Its budget has refused copies in the last seconds. @param now monotonic milliseconds */
  isThrottled(now: number): boolean {
    return this.#refusals.isThrottled(now);
  }

  /**
   * Whether its carriers need not be read yet, because nobody has wanted to send a copy since they
   * were.
   * @param now monotonic milliseconds
   */
  isAtRest({ passed, refused }: DeviceBudget, now: number): boolean {
    return passed === this.#last.passed && refused === this.#last.refused && now - this.#last.at < REST_MS;
  }

  /**
   * Returns the new budget in bytes a second. 0: no limit.
   * @param readings of its carriers; one of them is the device itself
   * @param at monotonic milliseconds of the readings
   */
  next({ ifindex, rate, passed, refused }: DeviceBudget, readings: readonly CarrierReading[], at: number): number {
    this.#last = { passed, refused, at };
    this.#refusals.note(refused, at);
    for (const gone of this.#headrooms.keys()) {
      if (!readings.some((reading) => reading.ifindex === gone)) {
        this.#headrooms.delete(gone);
      }
    }
    const limits = readings.map((reading) => this.#limit(reading, { rate, passed }, at));
    const hasLearned = [...this.#headrooms.values()].some((headroom) => headroom.hasLearned);
    this.#wasPressed = (this.#wasPressed || hasLearned) && readings.some(({ queue }) => queue !== undefined);
    const own = readings.find((reading) => reading.ifindex === ifindex);
    const known = this.#wasPressed || readings.some(givesWay);
    this.#isUnprotected = this.#shared.next({ at, sent: own ? wireBytes(own) : 0, copies: passed, known });
    // All copies may leave by any one of the carriers, so the smallest limit counts. 0 is no limit.
    const least = Math.min(...limits.map((limit) => limit || Number.POSITIVE_INFINITY));
    return Number.isFinite(least) ? least : 0;
  }

  #limit(reading: CarrierReading, { rate, passed }: Pick<DeviceBudget, 'rate' | 'passed'>, at: number): number {
    const headroom = this.#headrooms.get(reading.ifindex) ?? new Headroom(rate);
    this.#headrooms.set(reading.ifindex, headroom);
    const { queue, capacity } = reading;
    return headroom.next({
      at,
      sent: wireBytes(reading),
      copies: passed,
      ...(queue && { queue }),
      ...(capacity !== undefined && { capacity }),
    });
  }
}
