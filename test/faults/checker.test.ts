/** The check of recorded histories itself: what it has to accept, and what it has to find. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seeded } from '../chaos/random.ts';
import { linearize } from './checker/linearizable.ts';
import type { Operation, Outcome, Request, Value } from './checker/operation.ts';
import { ABSENT, type State, step } from './checker/register.ts';

const NEVER = Number.POSITIVE_INFINITY;
const value = (text: string): Value => ({ text });

/** An operation from one time to another. */
function op(invoked: number, returned: number, request: Request, outcome: Outcome): Operation {
  return { client: 'c', key: 'k', invoked, returned, request, outcome };
}
const create = (from: number, to: number, text: string, revision: number) =>
  op(from, to, { kind: 'create', value: value(text) }, { kind: 'written', revision, value: value(text) });
const put = (from: number, to: number, text: string, revision: number, match?: number) =>
  op(from, to, { kind: 'put', value: value(text), match }, { kind: 'written', revision, value: value(text) });
const lostPut = (from: number, text: string, match?: number) =>
  op(from, NEVER, { kind: 'put', value: value(text), match }, { kind: 'unknown' });
const refused = (from: number, to: number, text: string, match: number) =>
  op(from, to, { kind: 'put', value: value(text), match }, { kind: 'mismatch' });
const read = (from: number, to: number, text: string, revision: number) =>
  op(from, to, { kind: 'read' }, { kind: 'found', revision, value: value(text) });
const nothing = (from: number, to: number) => op(from, to, { kind: 'read' }, { kind: 'absent' });
const remove = (from: number, to: number, match?: number) =>
  op(from, to, { kind: 'delete', match }, { kind: 'deleted' });

/** Histories of one resource, and whether they can be. */
const KNOWN: [what: string, verdict: 'linearizable' | 'impossible', ...Operation[]][] = [
  ['nothing at all', 'linearizable'],
  ['a write, then a read of it', 'linearizable', create(0, 1, 'a', 5), read(2, 3, 'a', 5)],
  [
    'a read of what was overwritten before it began',
    'impossible',
    create(0, 1, 'a', 5),
    put(2, 3, 'b', 6),
    read(4, 5, 'a', 5),
  ],
  [
    'a read of what is overwritten meanwhile',
    'linearizable',
    create(0, 1, 'a', 5),
    put(2, 9, 'b', 6),
    read(4, 5, 'a', 5),
  ],
  [
    'the new value, and then the old one',
    'impossible',
    create(0, 1, 'a', 5),
    put(2, 9, 'b', 6),
    read(3, 4, 'b', 6),
    read(5, 6, 'a', 5),
  ],
  ['an acknowledged write that is gone', 'impossible', create(0, 1, 'a', 5), nothing(2, 3)],
  ['a deletion that comes back', 'impossible', create(0, 1, 'a', 5), remove(2, 3), read(4, 5, 'a', 5)],
  ['two creations, one after the other', 'impossible', create(0, 1, 'a', 5), create(2, 3, 'b', 6)],
  [
    'two writes that both had the same revision',
    'impossible',
    create(0, 1, 'a', 5),
    put(2, 9, 'b', 6, 5),
    put(2, 9, 'c', 7, 5),
  ],
  [
    'one of two writes with the same revision is refused',
    'linearizable',
    create(0, 1, 'a', 5),
    put(2, 9, 'b', 6, 5),
    refused(2, 9, 'c', 5),
  ],
  ['a refusal although nothing has changed', 'impossible', create(0, 1, 'a', 5), refused(2, 3, 'c', 5)],
  ['a revision that goes back', 'impossible', create(0, 1, 'a', 5), put(2, 3, 'b', 4)],
  ['a new resource with an older revision', 'impossible', create(0, 1, 'a', 5), remove(2, 3), create(4, 5, 'b', 5)],
  [
    'a lost write that is seen later',
    'linearizable',
    create(0, 1, 'a', 5),
    lostPut(2, 'b'),
    read(3, 4, 'a', 5),
    read(8, 9, 'b', 7),
  ],
  [
    'a lost write that never happens',
    'linearizable',
    create(0, 1, 'a', 5),
    lostPut(2, 'b'),
    read(3, 4, 'a', 5),
    put(8, 9, 'c', 6, 5),
  ],
  [
    'a lost write that is seen, and then is not',
    'impossible',
    create(0, 1, 'a', 5),
    lostPut(2, 'b'),
    read(3, 4, 'b', 6),
    read(8, 9, 'a', 5),
  ],
  [
    'a lost write that nobody sees, and that explains a refusal',
    'linearizable',
    create(0, 1, 'a', 5),
    lostPut(2, 'b'),
    refused(3, 4, 'c', 5),
    put(5, 6, 'd', 9),
  ],
  [
    'a lost write for a revision that is gone',
    'impossible',
    create(0, 1, 'a', 5),
    put(2, 3, 'b', 6),
    lostPut(4, 'c', 5),
    read(5, 6, 'c', 7),
  ],
  [
    'a lost write that is seen with two revisions',
    'impossible',
    create(0, 1, 'a', 5),
    lostPut(2, 'b'),
    read(3, 4, 'b', 6),
    read(5, 6, 'b', 7),
  ],
  ['a value that nobody has written', 'impossible', create(0, 1, 'a', 5), read(2, 3, 'x', 5)],
  [
    'half of one write and half of another',
    'impossible',
    op(
      0,
      1,
      { kind: 'create', value: { one: 1, two: 1 } },
      { kind: 'written', revision: 5, value: { one: 1, two: 1 } },
    ),
    op(2, 3, { kind: 'put', value: { one: 2, two: 2 } }, { kind: 'written', revision: 6, value: { one: 2, two: 2 } }),
    op(4, 5, { kind: 'read' }, { kind: 'found', revision: 6, value: { one: 2, two: 1 } }),
  ],
];

for (const [what, verdict, ...operations] of KNOWN) {
  test(`${what}: ${verdict}`, () => {
    assert.equal(linearize(operations).verdict, verdict);
  });
}

test('names the operations that do not fit', () => {
  const [first, second, stale] = [create(0, 1, 'a', 5), put(2, 3, 'b', 6), read(4, 5, 'a', 5)];
  const { order, stuck } = linearize([stale, first, second]);
  assert.deepEqual(order, [first, second]);
  assert.deepEqual(stuck, [stale]);
});

/** Tries every order of every choice of operations without an answer. */
function bruteForce(operations: readonly Operation[], state: State = ABSENT): boolean {
  if (operations.every(({ returned }) => returned === NEVER)) {
    return true;
  }
  return operations.some((one, index) => {
    const rest = operations.toSpliced(index, 1);
    if (rest.some(({ returned }) => returned < one.invoked)) {
      return false;
    }
    const after = step(state, one);
    return after !== undefined && bruteForce(rest, after);
  });
}

/** A random history of a real register, with answers that are lost, and sometimes one that is wrong. */
function randomHistory(random: Random, count: number): Operation[] {
  let state: { text: string; revision: number; isKnown: boolean } | undefined;
  let revision = 0;
  const operations: Operation[] = [];
  for (let at = 0; at < count; at++) {
    // It has its effect at 10 * at, and began and ended up to three operations before and after.
    const [invoked, returned] = [10 * at - random.int(30) - 1, 10 * at + random.int(30) + 1];
    const isLost = random.chance(0.2);
    const happens = !isLost || random.chance(0.5);
    // A client asks for a revision that an answer had.
    const match = random.chance(0.5) && state?.isKnown ? state.revision - (random.chance(0.2) ? 1 : 0) : undefined;
    const text = `v${at}`;
    const kind = random.pick(['read', 'create', 'put', 'delete'] as const);
    const request: Request =
      kind === 'read' ? { kind } : kind === 'delete' ? { kind, match } : { kind, value: value(text), match };
    let outcome: Outcome;
    if (kind === 'read') {
      outcome = state ? { kind: 'found', revision: state.revision, value: value(state.text) } : { kind: 'absent' };
      state = state && { ...state, isKnown: state.isKnown || !isLost };
    } else if (kind === 'create' && state) {
      outcome = { kind: 'exists' };
    } else if (kind !== 'create' && match !== undefined && match !== state?.revision) {
      outcome = { kind: 'mismatch' };
    } else if (kind === 'delete') {
      outcome = { kind: state ? 'deleted' : 'absent' };
      state = happens ? undefined : state;
    } else {
      outcome = { kind: 'written', revision: revision + 1, value: value(text) };
      if (happens) {
        revision++;
        state = { text, revision, isKnown: !isLost };
      }
    }
    operations.push(
      isLost ? op(invoked, NEVER, request, { kind: 'unknown' }) : op(invoked, returned, request, outcome),
    );
  }
  return operations;
}

/** Changes one answer. */
function spoil(operations: Operation[], random: Random): Operation[] {
  const index = random.int(operations.length);
  const { outcome, ...one } = operations[index]!;
  const other = random.pick(operations).outcome;
  const isFitting = one.request.kind === 'read' ? ['found', 'absent'].includes(other.kind) : outcome.kind !== 'found';
  const wrong: Outcome =
    outcome.kind === 'written' || outcome.kind === 'found'
      ? { ...outcome, revision: outcome.revision + random.pick([-1, 1]) }
      : isFitting && other.kind !== 'unknown'
        ? other
        : { kind: 'absent' };
  return operations.with(index, { ...one, outcome: one.returned === NEVER ? outcome : wrong });
}

test('2,000 small random histories: the search says what trying all orders says', () => {
  const counts = { linearizable: 0, impossible: 0 };
  for (let seed = 1; seed <= 2000; seed++) {
    const random = seeded(seed);
    const history = randomHistory(random, 7);
    const judged = random.chance(0.6) ? spoil(history, random) : history;
    const { verdict } = linearize(judged);
    assert.equal(verdict, bruteForce(judged) ? 'linearizable' : 'impossible', `seed ${seed}`);
    counts[verdict as keyof typeof counts]++;
  }
  assert.ok(counts.linearizable > 500 && counts.impossible > 500, JSON.stringify(counts));
});

test('histories of a real register with 1,000 operations are linearizable, also with many lost answers', () => {
  for (let seed = 1; seed <= 5; seed++) {
    const { verdict, steps } = linearize(randomHistory(seeded(seed), 1000));
    assert.equal(verdict, 'linearizable', `seed ${seed}`);
    assert.ok(steps < 100_000, `seed ${seed}: ${steps} steps`);
  }
});

test('a stale read in a long history is found', () => {
  const history = randomHistory(seeded(3), 200);
  const late = Math.max(...history.map(({ returned }) => (returned === NEVER ? 0 : returned))) + 1;
  const old = history.find(({ outcome }) => outcome.kind === 'found')!;
  const { verdict, stuck } = linearize([...history, { ...old, invoked: late, returned: late + 1 }]);
  assert.equal(verdict, 'impossible');
  assert.equal(stuck[0]?.invoked, late);
});
