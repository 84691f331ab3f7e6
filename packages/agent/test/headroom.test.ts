/** How much of an uplink copies get beside service traffic. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Headroom } from '../src/throttle/uplink-headroom.ts';

/** Bytes a second: 200 Mbit/s. */
const LINK = 25e6;
/** Milliseconds between readings. */
const STEP = 100;

/**
 * What originals want to send, bytes a second; `elastic` ones take all that is left and keep the
 * queue full, as TCP does.
 */
type Originals = number | 'elastic';

/** A device with one queue of 20 ms for all, as the reading sees it. */
class Device {
  readonly headroom: Headroom;
  readonly #known: boolean;
  #at = 0;
  #sent = 0;
  #copies = 0;
  #backlog = 0;
  #drops = 0;
  rate = 0;
  /** Share of what originals offered that was sent, in the last step. */
  served = 1;

  constructor(options: { known: boolean; rate?: number }) {
    this.#known = options.known;
    this.rate = options.rate ?? 0;
    this.headroom = new Headroom(this.rate);
    this.#read();
  }

  /** One step in which originals and copies want to send so much. Returns the budget behind it. */
  step(originals: Originals, copies: number): number {
    const allowed = Math.min(copies, this.rate || Number.POSITIVE_INFINITY);
    const wanted = originals === 'elastic' ? Math.max(0, LINK - allowed) * 1.05 + 0.01 * LINK : originals;
    const seconds = STEP / 1000;
    const queued = this.#backlog + (wanted + allowed) * seconds;
    const sent = Math.min(queued, LINK * seconds);
    const longest = 0.02 * LINK;
    this.#backlog = Math.min(queued - sent, longest);
    this.#drops += queued - sent > longest ? 1 : 0;
    this.served = wanted + allowed === 0 ? 1 : Math.min(1, sent / queued);
    this.#at += STEP;
    this.#sent += sent;
    this.#copies += allowed * seconds;
    return this.#read();
  }

  steps(count: number, originals: Originals, copies: number): number {
    for (let i = 0; i < count; i++) {
      this.step(originals, copies);
    }
    return this.rate;
  }

  #read(): number {
    this.rate = this.headroom.next({
      at: this.#at,
      sent: this.#sent,
      copies: this.#copies,
      queue: { backlog: this.#backlog, drops: this.#drops },
      ...(this.#known && { capacity: LINK }),
    });
    return this.rate;
  }
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

const between = (value: number, low: number, high: number) =>
  assert.ok(value >= low && value <= high, `${value} is not within ${low} and ${high}`);

for (const known of [true, false]) {
  describe(known ? 'where the rate of the device is known' : 'where the rate of the device has to be learned', () => {
    test('copies get what originals leave of nine tenths', () => {
      const device = new Device({ known });
      device.steps(10, 0.5 * LINK, 0);
      const rates = Array.from({ length: 200 }, () => device.step(0.5 * LINK, 3 * LINK));
      const settled = rates.slice(20);
      // What is learned is tried out: now and then a little more than there is.
      between(Math.max(...settled), 0.3 * LINK, (known ? 0.42 : 0.65) * LINK);
      between(mean(settled), 0.3 * LINK, 0.45 * LINK);
    });

    test('originals that take all they can get leave copies a hundredth', () => {
      const device = new Device({ known });
      device.steps(20, 0, 3 * LINK);
      between(device.steps(50, 'elastic', 3 * LINK), 0, 0.015 * LINK);
    });

    test('copies come back when originals end', () => {
      const device = new Device({ known });
      device.steps(50, 'elastic', 3 * LINK);
      const rates = Array.from({ length: 100 }, () => device.step(0, 3 * LINK)).slice(50);
      between(mean(rates), 0.75 * LINK, 0.95 * LINK);
    });
  });
}

test('without pressure and without a known rate there is no limit', () => {
  const device = new Device({ known: false });
  assert.equal(device.steps(100, 0.3 * LINK, 0.3 * LINK), 0);
});

test('a device that is full of originals alone costs copies that are not there nothing', () => {
  const device = new Device({ known: false });
  assert.equal(device.steps(1, 'elastic', 0), 0);
});

test('a budget that is in force is kept at the first reading', () => {
  assert.equal(new Device({ known: true, rate: 1e6 }).rate, 1e6);
  assert.equal(new Device({ known: true }).rate, 0.9 * LINK);
});

test('counters that went back begin again, without a jump', () => {
  const headroom = new Headroom(0);
  const reading = { sent: 1e9, copies: 1e8, capacity: LINK };
  headroom.next({ ...reading, at: 0 });
  headroom.next({ ...reading, at: 100, sent: 1e9 + 1e6 });
  assert.equal(headroom.next({ at: 200, sent: 0, copies: 0, capacity: LINK }), 0.9 * LINK - 10e6);
});
