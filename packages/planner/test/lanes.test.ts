/** Lost copies of a path whose sender numbers them in lanes, while both nodes report at different moments. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { TerminationReport } from '@mirrorplane/contract';
import fc from 'fast-check';
import { passed, waitedFor } from '../src/lanes.ts';
import { lostLately, lostOn } from '../src/losses.ts';
import type { ArrivalReading, ObservedNode, PolicyCounters, SentReading } from '../src/observation.ts';

const FULL = 2 ** 28;

test('numbers that were given, and that nobody has seen, are waited for', () => {
  const cases: [given: number[], expected: number[], waited: number, what: string][] = [
    [[10, 20], [10, 20], 0, 'all have come'],
    [[70, 80], [10, 20], 120, 'two lanes were cut off'],
    [[70, 80], [75, 20], 60, 'one of them has come since'],
    [[70, 80], [10], 60, 'nothing came in the second lane: it is not known what should have'],
    [[70, 80], [0, 80], 0, 'nothing came in the first lane'],
    [[50], [200_000_000], 0, 'the sender has started again, and nothing has come since'],
    [[FULL + 5], [FULL - 5], 10, 'over the end of a lane'],
    [[FULL], [FULL], 0, 'at the end of a lane'],
    [[FULL + 5], [9], 0, 'more has come since, behind the end of a lane'],
  ];
  for (const [given, expected, waited, what] of cases) {
    assert.equal(waitedFor(given, expected), waited, what);
  }
  const runs: [
    given: number[],
    expected: number[],
    latest: number[],
    earlier: number[],
    waited: number,
    what: string,
  ][] = [
    [[5000], [20], [5000], [4990], 0, 'a sender has begun again, and has not told of it'],
    [[5000], [4995], [5000], [4990], 5, 'the same run'],
    [[5000], [4900], [30], [4990], 0, 'it has told of it since'],
    [[FULL + 5], [FULL - 5], [FULL + 9], [FULL - 9], 10, 'over the end of a lane'],
    [[FULL + 9], [4], [FULL + 9], [FULL - 9], 5, 'beyond the end of a lane'],
    [[50], [40], [60], [0], 10, 'nothing had come by then'],
  ];
  for (const [given, expected, latest, earlier, waited, what] of runs) {
    assert.equal(waitedFor(given, expected, { latest, earlier }), waited, what);
  }
  assert.equal(waitedFor(undefined, [5]), 0, 'an earlier sender');
  assert.equal(waitedFor([5], undefined), 0, 'an earlier receiver');
});

test('numbers that have come or were passed since a moment are known', () => {
  const cases: [given: number[], expected: number[], later: number[], count: number, what: string][] = [
    [[10, 20], [10, 20], [15, 20], 0, 'none'],
    [[10, 20], [13, 21], [15, 22], 4, 'in both lanes'],
    [[10], [13, 7], [15, 7], 10, 'in a lane that had not been used'],
    [[50], [60], [55], 0, 'of an earlier run of the sender'],
    [[50], [200_000_000], [70], 0, 'of a longer run of the sender'],
    [[900], [1000], [40], 0, 'the sender starts again meanwhile'],
    [[FULL - 5], [5], [FULL + 7], 10, 'over the end of a lane'],
    [[10], [0], [20], 0, 'nothing has come in this lane'],
  ];
  for (const [given, expected, later, count, what] of cases) {
    assert.equal(passed(given, expected, later), count, what);
  }
});

const UID = 'u-p';
const LANES = 3;
const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms).toISOString();

/** A path with a sender and a receiver that report now and then. It loses copies as it is told. */
class PathModel {
  now = 0;
  lost = 0;
  readonly #given = new Array<number>(LANES).fill(0);
  readonly #expected = new Array<number>(LANES).fill(0);
  #sent = 0;
  #delivered = 0;
  #missing = 0;
  #sentReadings: SentReading[] = [];
  #arrivals: ArrivalReading[] = [];
  #arrivedBefore: ArrivalReading | undefined;

  send(lane: number, packets: number, isLost: boolean): void {
    const first = this.#given[lane]!;
    this.#given[lane]! += packets;
    this.#sent += packets;
    if (isLost) {
      this.lost += packets;
      return;
    }
    if (this.#expected[lane] !== 0 && first >= this.#expected[lane]!) {
      this.#missing += first - this.#expected[lane]!;
    }
    this.#expected[lane] = first + packets;
    this.#delivered += packets;
  }

  /** A host that boots again: its numbers begin again, and its counters go on. */
  restartSender(): void {
    this.#given.fill(0);
  }

  /** A receiver that begins with nothing known: its counters go on, and its lanes do not. */
  restartReceiver(): void {
    this.#expected.fill(0);
  }

  reportSender(): void {
    const packets = new Map([[`${UID}/to/b`, this.#sent]]);
    const numbered = new Map([[`${UID}/to/b`, [...this.#given]]]);
    this.#sentReadings = [...this.#sentReadings, { at: at(this.now), packets, numbered }].slice(-8);
    this.#arrivedBefore = this.#arrivals.at(-1) ?? this.#arrivedBefore;
  }

  reportReceiver(): void {
    const count = (packets: number) => ({ packets, bytes: 0 });
    const report: TerminationReport = {
      ...{ termination: `${UID}/from/a`, policy: UID, node: 'a', dropped: {} },
      ...{ received: count(this.#delivered), delivered: count(this.#delivered), relayed: count(0) },
      ...{ missing: count(this.#missing), late: count(0), expected: [...this.#expected] },
    };
    this.#arrivals.push({ at: at(this.now), terminations: new Map([[report.termination, report]]) });
  }

  shown(): number | null {
    const last = this.#arrivals.at(-1);
    if (last === undefined) {
      return null;
    }
    const node: Omit<ObservedNode, 'hasCounted'> = { connected: true, problems: [] };
    const before = this.#arrivedBefore;
    const nodes = new Map<string, ObservedNode>([
      ['a', { ...node, hasCounted: true, sent: this.#sentReadings, arrivedBefore: new Map(before && [['b', before]]) }],
      ['b', { ...node, hasCounted: true, countersAt: last.at }],
    ]);
    const termination = { node: 'b', report: last.terminations.get(`${UID}/from/a`)! };
    const counters: PolicyCounters = {
      ...{ captures: [], deliveries: [], terminations: [] },
      paths: new Map([['a b', { termination }]]),
    };
    return lostOn({ from: 'a', to: 'b' }, UID, counters, { nodes });
  }
}

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ lane: fc.nat(LANES - 1), packets: fc.integer({ min: 1, max: 45 }) }) },
  { weight: 1, arbitrary: fc.record({ losing: fc.boolean() }) },
  { weight: 3, arbitrary: fc.record({ report: fc.constantFrom('sender', 'receiver') }) },
);
type Step = { lane: number; packets: number } | { losing: boolean } | { report: string };

/** Runs steps of 100 ms each. Returns what was shown after each, and the truth. */
function walk(steps: readonly Step[], path = new PathModel()): { path: PathModel; shown: number[] } {
  let losing = false;
  const shown: number[] = [];
  for (const one of steps) {
    path.now += 100;
    if ('lane' in one) {
      path.send(one.lane, one.packets, losing);
    } else if ('losing' in one) {
      losing = one.losing;
    } else if (one.report === 'sender') {
      path.reportSender();
    } else {
      path.reportReceiver();
    }
    const lost = path.shown();
    if (lost !== null) {
      shown.push(lost);
      assert.ok(lost <= path.lost, `${lost} shown, ${path.lost} lost`);
    }
  }
  return { path, shown };
}

/** Both nodes report, with nothing on its way. */
function settle(path: PathModel): number | null {
  path.now += 1000;
  path.reportSender();
  path.now += 1000;
  path.reportReceiver();
  return path.shown();
}

test('a loss that was shown is never taken back, nothing is shown that was not lost, and in the end all of it is', () => {
  const begun = Array.from({ length: LANES }, (_, lane) => ({ lane, packets: 1 }));
  fc.assert(
    fc.property(fc.array(step, { minLength: 20, maxLength: 120 }), (steps) => {
      const { path, shown } = walk([...begun, ...steps]);
      for (const [i, lost] of shown.entries()) {
        assert.ok(lost >= (shown[i - 1] ?? 0), `${shown[i - 1]} was shown, then ${lost}`);
      }
      assert.equal(settle(path), path.lost);
    }),
    { numRuns: 2000, seed: 7 },
  );
});

const phases = fc.record({ sender: fc.integer({ min: 0, max: 9 }), receiver: fc.integer({ min: 0, max: 9 }) });
const tenths = fc.array(fc.record({ lane: fc.nat(LANES - 1), packets: fc.nat(45), turn: fc.nat(9) }), {
  minLength: 60,
  maxLength: 200,
});

test('what was lost before the first copy of a lane arrived is not taken back either, where nodes report each second', () => {
  fc.assert(
    fc.property(tenths, phases, fc.boolean(), (moments, phase, isReceiverNew) => {
      const path = new PathModel();
      if (isReceiverNew) {
        path.send(0, 700, false);
        path.send(1, 900, false);
        path.restartReceiver();
      }
      settle(path);
      settle(path);
      let losing = true;
      let last = 0;
      for (const [i, { lane, packets, turn }] of moments.entries()) {
        path.now += 100;
        losing = turn === 0 ? !losing : losing;
        if (packets > 0) {
          path.send(lane, packets, losing);
        }
        if (i % 10 === phase.sender) {
          path.reportSender();
        }
        if (i % 10 === phase.receiver) {
          path.reportReceiver();
        }
        const lost = path.shown()!;
        assert.ok(lost <= path.lost, `${lost} shown, ${path.lost} lost`);
        assert.ok(lost >= last, `${last} was shown, then ${lost}`);
        last = lost;
      }
      assert.equal(settle(path), path.lost);
    }),
    { numRuns: 2000, seed: 7 },
  );
});

test('where a sender begins again, little more than was lost is shown', () => {
  fc.assert(
    fc.property(tenths, phases, fc.nat(50), (moments, phase, when) => {
      const path = new PathModel();
      // A long run: its numbers are large.
      for (let lane = 0; lane < LANES; lane++) {
        path.send(lane, 100_000, false);
      }
      settle(path);
      settle(path);
      let losing = false;
      let lastSecond: number[] = [];
      for (const [i, { lane, packets, turn }] of moments.entries()) {
        path.now += 100;
        losing = turn === 0 ? !losing : losing;
        if (i === when) {
          path.restartSender();
        }
        if (packets > 0) {
          path.send(lane, packets, losing);
        }
        lastSecond = [...lastSecond, packets].slice(-30);
        if (i % 10 === phase.sender) {
          path.reportSender();
        }
        if (i % 10 === phase.receiver) {
          path.reportReceiver();
        }
        // At the most what was given between the last reading before the new run and the run itself.
        const most = path.lost + lastSecond.reduce((sum, count) => sum + count, 0);
        assert.ok(path.shown()! <= most, `${path.shown()} shown, ${path.lost} lost`);
      }
    }),
    { numRuns: 2000, seed: 7 },
  );
});

test('a loss of long ago is no loss of now when its lane speaks again, and a new one beside it is', () => {
  const count = (packets: number) => ({ packets, bytes: 0 });
  const termination = (delivered: number, missing: number, expected: number[]): TerminationReport => ({
    ...{ termination: `${UID}/from/a`, policy: UID, node: 'a', dropped: {}, relayed: count(0), late: count(0) },
    ...{ received: count(delivered), delivered: count(delivered), missing: count(missing), expected },
  });
  // An hour ago, each of two lanes had given 100 numbers, and the last 60 of the second one were lost.
  const before = termination(140, 0, [100, 40]);
  const [earlier, later] = [0, 3_600_000];
  const to = `${UID}/to/b`;
  const reading = (ms: number, packets: number, numbers: number[]): SentReading => ({
    at: at(ms),
    packets: new Map([[to, packets]]),
    numbered: new Map([[to, numbers]]),
  });
  const lately = (now: TerminationReport, ...sent: SentReading[]) => {
    const heard: ArrivalReading = { at: at(later - 2000), terminations: new Map([[before.termination, before]]) };
    const arrivedBefore = new Map([['b', heard]]);
    const node: Omit<ObservedNode, 'hasCounted'> = { connected: true, problems: [] };
    const nodes = new Map<string, ObservedNode>([
      ['a', { ...node, hasCounted: true, sent, arrivedBefore }],
      ['b', { ...node, hasCounted: true, countersAt: at(later) }],
    ]);
    const delivery = (packets: number) => ({ delivery: to, policy: UID, sent: count(packets) });
    const counters: PolicyCounters = {
      ...{ captures: [], deliveries: [], terminations: [] },
      paths: new Map([
        [
          'a b',
          {
            termination: { node: 'b', report: now, before },
            delivery: { node: 'a', report: delivery(sent.at(-1)!.packets.get(to)!), before: delivery(200) },
          },
        ],
      ]),
    };
    const previous = new Map([
      ['a', { at: at(later - 2000), arrivedBefore }],
      ['b', { at: at(later - 1500), arrivedBefore: new Map() }],
    ]);
    return lostLately({ from: 'a', to: 'b' }, UID, counters, { nodes, previous })?.lately;
  };
  const old = [reading(earlier, 200, [100, 100]), reading(later - 2000, 200, [100, 100])];
  assert.equal(lately(termination(150, 60, [100, 110]), ...old, reading(later - 500, 210, [100, 110])), undefined);
  // 15 were sent, the first 5 of which were lost.
  assert.equal(lately(termination(150, 65, [100, 115]), ...old, reading(later - 500, 215, [100, 115])), 5);
  // The readings of before the last report of the receiver are forgotten.
  assert.equal(lately(termination(150, 60, [100, 110]), reading(later - 500, 210, [100, 110])), undefined);
});
