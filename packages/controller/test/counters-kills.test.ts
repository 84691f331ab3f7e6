/**
 * Counters of a node through kills of its agent and of the controller, in any order. The rules are
 * the real ones, the kernel is in memory.
 */
import assert from 'node:assert/strict';
import test from 'node:test';
import { CountedNames, SETTLE_MS } from '@mirrorplane/agent/testing';
import type { CounterReading, CounterReport } from '@mirrorplane/contract';
import fc from 'fast-check';
import { CounterTotals, type SavedTotals } from '../src/reports/counter-totals.ts';

const IDS = ['a', 'b', 'c'] as const;
type Id = (typeof IDS)[number];

/** State in the kernel, state on disks, and the two processes that can be killed. */
class Node {
  now = 0;
  /** Kernel: slots with the life and the count of each. */
  readonly #slots = new Map<Id, { life: number; packets: number }>();
  #life = 0;
  /** When an entry left the program, for entries that are not in it. */
  readonly #left = new Map<Id, number>();
  /** All packets that were ever counted. */
  readonly truth = new Map<Id, number>();
  /** Disk of the agent. */
  #program: Id[] = [];
  /** Disk of the controller. */
  #disk: SavedTotals | undefined;
  #names = new CountedNames<Id>();
  #run = 0;
  totals = new CounterTotals();
  #reading: CounterReading | undefined;
  /** Answers that are on their way. */
  readonly #answers: CounterReading[] = [];

  apply(program: Id[]): void {
    for (const id of this.#program) {
      if (!program.includes(id)) {
        this.#left.set(id, this.now);
      }
    }
    this.#program = program;
    this.#names.enter(new Map(program.map((id) => [id, id])));
    for (const id of program) {
      this.#left.delete(id);
      if (!this.#slots.has(id)) {
        this.#slots.set(id, { life: ++this.#life, packets: 0 });
      }
    }
    this.#names.entered(this.now);
    const kept = this.#names.ids();
    for (const id of this.#slots.keys()) {
      if (!kept.has(id)) {
        this.#slots.delete(id);
      }
    }
  }

  /** An entry that has just left may still count packets in flight. */
  count(id: Id, packets: number): void {
    const left = this.#left.get(id);
    const counting = this.#program.includes(id) || (left !== undefined && this.now - left < SETTLE_MS);
    if (!counting) {
      return;
    }
    this.truth.set(id, (this.truth.get(id) ?? 0) + packets);
    const slot = this.#slots.get(id);
    if (slot) {
      slot.packets += packets;
    }
  }

  report(): void {
    const zero = { packets: 0, bytes: 0 };
    const captures = [...this.#names.entries()].map(([, id]): CounterReport['captures'][number] => {
      const { life, packets } = this.#slots.get(id)!;
      const counts = { matched: { packets, bytes: 0 }, sampledOut: zero, copied: zero, truncated: zero };
      return { policy: 'p', source: id, direction: 'inbound', life, counts: { ...counts, dropped: {}, skipped: {} } };
    });
    this.totals.take({ epoch: 'e', captures, deliveries: [], terminations: [], peers: [], unknownErspan: 0 });
    this.#reading = { run: String(this.#run), readAt: this.now };
  }

  save(): void {
    const saved = this.totals.save();
    if (saved) {
      this.#disk = structuredClone(saved);
    }
    if (saved && this.#reading) {
      this.#answers.push(this.#reading);
    }
  }

  answer(which: number): void {
    const answer = this.#answers[which % this.#answers.length];
    if (answer?.run === String(this.#run)) {
      this.#names.saved(answer.readAt);
    }
  }

  killAgent(): void {
    this.#run++;
    this.#names = new CountedNames();
    this.#names.inherit(
      [...this.#slots.keys()].map((id) => [id, id]),
      this.now,
    );
    this.apply(this.#program);
  }

  killController(): void {
    this.totals = this.#disk ? CounterTotals.restore(structuredClone(this.#disk)) : new CounterTotals();
    this.#reading = undefined;
  }

  counted(): Map<Id, number> {
    const captures = this.totals.sums()?.captures ?? [];
    return new Map(captures.map(({ source, counts }) => [source as Id, counts.matched.packets]));
  }

  get slots(): number {
    return this.#slots.size;
  }
}

const id = fc.constantFrom(...IDS);
const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('count'), id, packets: fc.integer({ min: 1, max: 50 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('apply'), program: fc.uniqueArray(id) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('report') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('save') }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('answer'), which: fc.nat(20) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('wait'), ms: fc.integer({ min: 1, max: 2 * SETTLE_MS }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killAgent') }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('killController') }) },
);
type Step = { do: string; id?: Id; packets?: number; program?: Id[]; which?: number; ms?: number };

function run(node: Node, step: Step): void {
  if (step.do === 'count') {
    node.count(step.id!, step.packets!);
  } else if (step.do === 'apply') {
    node.apply(step.program!);
  } else if (step.do === 'report') {
    node.report();
  } else if (step.do === 'save') {
    node.save();
  } else if (step.do === 'answer') {
    node.answer(step.which!);
  } else if (step.do === 'wait') {
    node.now += step.ms!;
  } else if (step.do === 'killAgent') {
    node.killAgent();
  } else {
    node.killController();
  }
}

test('after every report the totals equal the counted packets, after any kills in any order', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const node = new Node();
      for (const one of [...steps, { do: 'report' }] as Step[]) {
        run(node, one);
        if (one.do !== 'report') {
          continue;
        }
        const counted = node.counted();
        for (const [id, packets] of node.truth) {
          assert.equal(counted.get(id), packets, id);
        }
      }
    }),
    { numRuns: 3000 },
  );
});

test('where room is needed, what left first is given up first, and nothing that is in the program', () => {
  const names = new CountedNames<Id>();
  const enter = (now: number, ...ids: Id[]) => {
    names.enter(new Map(ids.map((one) => [one, one])));
    names.entered(now);
  };
  enter(1, 'a', 'b', 'c');
  enter(2, 'a', 'c');
  enter(3, 'c');
  assert.deepEqual([names.forgetOldest(), names.forgetOldest(), names.forgetOldest()], ['b', 'a', undefined]);
  assert.deepEqual(names.ids(), new Set(['c']));
});

test('counters of a removed entry are given up with the first saved report after its removal, and not before', () => {
  const node = new Node();
  const steps = (list: string[]) => {
    for (const one of list) {
      run(node, { do: one, which: 0, ms: SETTLE_MS });
    }
  };
  node.apply(['a']);
  node.count('a', 5);
  node.apply([]);
  steps(['wait', 'report', 'killAgent', 'killController', 'wait', 'report']);
  assert.equal(node.slots, 1);
  assert.equal(node.counted().get('a'), 5);
  steps(['save', 'answer']);
  node.apply([]);
  assert.equal(node.slots, 0);
});
