/** CPU time of copies while a node loses packets. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseLost, readLost } from '../src/throttle/backlog-drops.ts';
import { COUNTING, CpuHeadroom, LEAST } from '../src/throttle/cpu-headroom.ts';

/** Milliseconds between readings. */
const STEP = 100;

/** A CPU with a limit in bytes a second for originals and copies together. It loses the rest. */
class Cpu {
  readonly headroom: CpuHeadroom;
  readonly #power: number;
  #at = 0;
  #lost = 0;
  #copies = 0;
  rate: number;
  /** Whether the last step lost something. */
  loses = false;

  constructor(power: number, rate = 0) {
    this.#power = power;
    this.rate = rate;
    this.headroom = new CpuHeadroom(rate);
    this.#read();
  }

  /** One step with this amount of originals, and of copies to be made. */
  step(originals: number, copies: number): number {
    const made = Math.min(copies, this.rate || Number.POSITIVE_INFINITY);
    this.loses = originals + made > this.#power;
    this.#at += STEP;
    if (this.loses) {
      this.#lost++;
    }
    // As in the data plane: without a budget nothing is counted.
    if (this.rate > 0) {
      this.#copies += (made * STEP) / 1000;
    }
    return this.#read();
  }

  steps(count: number, originals: number, copies: number): boolean[] {
    return Array.from({ length: count }, () => {
      this.step(originals, copies);
      return this.loses;
    });
  }

  #read(): number {
    this.rate = this.headroom.next({ at: this.#at, lost: this.#lost, copies: this.#copies });
    return this.rate;
  }
}

const POWER = 1e8;
const share = (from: number, to: number) => fc.double({ min: from, max: to, noNaN: true });

test('copies are not limited while no packet is lost, at any rate of copies', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(share(0, 0.5), share(0, 0.5))), (loads) => {
      const cpu = new Cpu(POWER);
      for (const [originals, copies] of loads) {
        assert.equal(cpu.step(originals * POWER, copies * POWER), 0);
      }
    }),
  );
});

test('one burst that is lost limits nothing, and counting ends again', () => {
  const cpu = new Cpu(POWER);
  assert.equal(cpu.step(2 * POWER, 0.1 * POWER), COUNTING);
  const rates = Array.from({ length: 20 }, () => cpu.step(0, 0.1 * POWER));
  assert.ok(rates.every((rate) => rate === 0 || rate >= COUNTING));
  assert.equal(rates.at(-1), 0);
});

test('if copies cost originals, copies are reduced until no packet is lost, with a larger budget tried now and then', () => {
  fc.assert(
    fc.property(share(0, 0.9), share(0.2, 3), (originals, copies) => {
      fc.pre(originals + copies > 1);
      const cpu = new Cpu(POWER);
      cpu.steps(20, originals * POWER, copies * POWER);
      const lost = cpu.steps(200, originals * POWER, copies * POWER).filter(Boolean).length;
      assert.ok(lost <= 30, `${lost} of 200 steps lost packets`);
    }),
  );
});

test('there is no limit any more some time after the pressure has gone', () => {
  fc.assert(
    fc.property(share(0.5, 2), share(0.6, 3), fc.integer({ min: 1, max: 100 }), (originals, copies, steps) => {
      const cpu = new Cpu(POWER);
      cpu.steps(steps, originals * POWER, copies * POWER);
      cpu.steps(100, 0, 0.1 * POWER);
      assert.equal(cpu.rate, 0);
    }),
  );
});

test('originals that are lost by themselves hold back copies that there are to the least, and none that there are not', () => {
  const cpu = new Cpu(POWER);
  cpu.steps(50, 2 * POWER, 0.1 * POWER);
  assert.equal(cpu.rate, LEAST);
  const alone = new Cpu(POWER);
  alone.steps(50, 2 * POWER, 0);
  assert.equal(alone.rate, COUNTING);
});

test('a budget that is in force is kept at first, and grows', () => {
  const cpu = new Cpu(POWER, 1e6);
  assert.equal(cpu.rate, 1e6);
  cpu.steps(15, 0, 0);
  assert.ok(cpu.rate > 1e6 && cpu.rate < 1.5e6, `${cpu.rate}`);
});

test('a number that went back is no loss', () => {
  const headroom = new CpuHeadroom(0);
  assert.deepEqual(
    [10, 4, 4].map((lost, i) => headroom.next({ at: i * STEP, lost, copies: 0 })),
    [0, 0, 0],
  );
});

test('the lost packets of all CPUs are the second column of softnet_stat, in hexadecimal', () => {
  assert.equal(parseLost('064ebd4f 000003c6 0000000a\n012fbd56 0000022c 0000000d\n'), 0x3c6 + 0x22c);
  assert.throws(() => parseLost(''), /an unexpected line/);
});

test('the kernel of this machine tells what awk adds up', () => {
  const before = readLost();
  const columns = execFileSync('awk', ['{print $2}', '/proc/net/softnet_stat'], { encoding: 'utf8' });
  const sum = columns
    .trim()
    .split('\n')
    .reduce((total, hex) => total + Number(`0x${hex}`), 0);
  assert.ok(before <= sum && sum <= readLost());
});
