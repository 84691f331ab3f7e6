/** A program that is put together from differences is the program that was meant, or none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  type AgentMessage,
  asItCame,
  type Capture,
  ControllerMessage,
  emptyProgram,
  type HeldParts,
  MAX_PROGRAM_PARTS,
  type NodeProgram,
  numbered,
  type PolicyPart,
  type ProgramDifference,
  ProgramWantedMessage,
  partsOf,
  programOf,
} from '../src/index.ts';
import { differenceOf, heldParts, heldProgram, withDifference } from '../src/program-difference.ts';
import { programDigest } from '../src/program-digest.ts';

/** A part with `size` captures, all with the same percent. */
function part(policy: string, size: number, percent = 100): PolicyPart {
  const captures = Array.from(
    { length: size },
    (_, slot): Capture => ({
      ...{ id: `${policy}/vm-${slot}/0`, policy, source: `vm-${slot}/0`, kind: 'vm', sourceSlot: slot },
      ...{ direction: 'all', percent, delivery: `${policy}/local` },
    }),
  );
  return {
    policy,
    captures,
    deliveries: [{ id: `${policy}/local`, policy, kind: 'local', interface: 'ids/0' }],
    terminations: [],
  };
}

function program(revision: number, parts: readonly PolicyPart[], copyVlans: number[] = []): NodeProgram {
  const { captures: _, deliveries: __, terminations: ___, revision: ____, ...own } = emptyProgram('node-1', 0);
  return numbered(programOf({ ...own, copyVlans }, parts), revision);
}

/** What a receiver makes of a difference that came as text. */
function received(difference: ProgramDifference): ProgramDifference {
  const raw = JSON.parse(JSON.stringify({ type: 'programDifference', difference }));
  const message = ControllerMessage.parse(raw);
  assert.ok(message.type === 'programDifference');
  return asItCame(raw.difference, message.difference);
}

/** What a receiver makes of a whole program that came as text. */
function receivedWhole(whole: NodeProgram): NodeProgram {
  const raw = JSON.parse(JSON.stringify({ type: 'program', program: whole }));
  const message = ControllerMessage.parse(raw);
  assert.ok(message.type === 'program');
  return asItCame(raw.program, message.program);
}

const parts = fc.uniqueArray(
  fc
    .record({
      uid: fc.constantFrom('a', 'a/b', 'ab', 'b', 'c-1', 'ü'),
      size: fc.nat(3),
      percent: fc.constantFrom(0.5, 100),
    })
    .map(({ uid, size, percent }) => part(uid, size, percent)),
  { selector: ({ policy }) => policy },
);
const sequences = fc.array(fc.tuple(parts, fc.subarray([7, 8])), { minLength: 1, maxLength: 12 });

test('after any sequence of programs, what came as differences is the whole, and so is its digest', () => {
  fc.assert(
    fc.property(sequences, fc.boolean(), (sequence, asParts) => {
      let [sent, has] = [program(1, []), receivedWhole(program(1, []))];
      for (const [index, [next, vlans]] of sequence.entries()) {
        const now = program(index + 2, next, vlans);
        const base = asParts ? (JSON.parse(JSON.stringify(heldParts(has))) as HeldParts) : sent;
        const difference = differenceOf(base, now);
        const after = difference ? withDifference(has, received(difference)) : receivedWhole(now);
        assert.deepEqual(after, now);
        assert.deepEqual(heldProgram(after), heldProgram(now));
        assert.equal(programDigest(receivedWhole(after)), programDigest(now));
        [sent, has] = [now, after];
      }
    }),
    { numRuns: 500 },
  );
});

test('a difference that was made of another program, or that was changed on its way, gives none', () => {
  fc.assert(
    fc.property(sequences, fc.nat(), ([[first, vlans] = [[], []], ...others], at) => {
      const other = others[at % Math.max(1, others.length)]?.[0] ?? [];
      const before = program(1, [part('stays', 2), ...first], vlans);
      const now = program(2, [part('stays', 2), ...other], vlans);
      const difference = differenceOf(before, now)!;
      const elsewhere = program(1, [part('stays', 2), part('more', 1), ...first], vlans);
      assert.equal(withDifference(elsewhere, difference), undefined, 'another content');
      assert.equal(withDifference({ ...before, revision: 3 }, difference), undefined, 'another revision');
      assert.equal(withDifference(before, { ...difference, parts: [...difference.parts, part('more', 1)] }), undefined);
      assert.equal(withDifference(before, { ...difference, gone: [...difference.gone, 'stays'] }), undefined);
      if (difference.parts.length > 0) {
        assert.equal(withDifference(before, { ...difference, parts: difference.parts.slice(1) }), undefined);
      }
      assert.deepEqual(withDifference(before, difference), now);
    }),
    { numRuns: 300 },
  );
});

test('a difference has the changed part alone, and parts that stay are the same objects', () => {
  const many = Array.from({ length: 50 }, (_, index) => part(`p${index}`, 5));
  const before = program(1, many);
  const now = program(2, many.with(7, part('p7', 5, 25)));
  const difference = differenceOf(before, now)!;
  assert.deepEqual(
    [difference.parts.map(({ policy }) => policy), difference.gone, 'own' in difference],
    [['p7'], [], false],
  );
  const after = withDifference(before, difference)!;
  assert.equal(partsOf(after).filter((one, index) => one === partsOf(before)[index]).length, 49);
});

test('a program of which no part stays is sent whole', () => {
  assert.equal(differenceOf(program(1, [part('a', 1)]), program(2, [part('a', 1, 25), part('b', 1)])), undefined);
  assert.equal(differenceOf(program(1, [part('a', 1)]), program(2, [])), undefined);
});

test('a program with more changed parts than a message may have is sent whole', () => {
  const many = (percent: number) =>
    Array.from({ length: MAX_PROGRAM_PARTS + 1 }, (_, index) => part(`p${index}`, 1, percent));
  assert.equal(differenceOf(program(1, [part('a', 1)]), program(2, [part('a', 1), ...many(1)])), undefined);
  assert.equal(differenceOf(program(1, [part('a', 1), ...many(1)]), program(2, [part('a', 1)])), undefined);
  assert.ok(differenceOf(program(1, [part('a', 1), ...many(1)]), program(2, many(1))));
});

test('fields that this version does not know are kept, so the digest is that of the sender', () => {
  const [known] = part('a', 1).captures;
  const newer = { ...known!, later: { b: 1, a: [2] } };
  const sent = program(4, [{ ...part('a', 0), captures: [newer] }]);
  const has = receivedWhole({ ...sent, alsoLater: true } as NodeProgram);
  assert.deepEqual(has.captures[0], newer);
  assert.equal(programDigest(has), programDigest({ ...sent, alsoLater: true } as NodeProgram));
  assert.notEqual(programDigest(has), programDigest(sent));
});

test('the program of an earlier controller gets the lists that it lacks', () => {
  const { copyVlans: _, standby: __, handingOver: ___, ...earlier } = emptyProgram('node-1', 3);
  assert.deepEqual(receivedWhole(earlier as NodeProgram), emptyProgram('node-1', 3));
});

const GOOD: ProgramDifference = differenceOf(
  program(1, [part('a', 1), part('b', 1)]),
  program(2, [part('a', 1, 25), part('c', 1), part('b', 1)], [7]),
)!;
const bad: [outcome: string, change: object][] = [
  ['without a base', { base: undefined }],
  ['with a base without a digest', { base: { revision: 1 } }],
  ['with a revision that is no whole number', { result: { revision: 1.5, digest: '' } }],
  ['with a digest of 129 characters', { result: { revision: 2, digest: 'a'.repeat(129) } }],
  ['without parts', { parts: undefined }],
  ['with more parts than a program has', { parts: Array.from({ length: MAX_PROGRAM_PARTS + 1 }, () => part('a', 0)) }],
  [
    'with more parts that are gone than a program has',
    { gone: Array.from({ length: MAX_PROGRAM_PARTS + 1 }, () => 'a') },
  ],
  ['with a part without a list', { parts: [{ policy: 'a', captures: [], deliveries: [] }] }],
  ['with a capture of another policy in a part', { parts: [{ ...part('a', 1), policy: 'b' }] }],
  ['with a capture that is none', { parts: [{ ...part('a', 0), captures: [{ policy: 'a' }] }] }],
  ['with an own part without a node', { own: { edges: [] } }],
];
for (const [outcome, change] of bad) {
  test(`refuses a difference ${outcome}`, () => {
    assert.ok(ControllerMessage.safeParse({ type: 'programDifference', difference: GOOD }).success);
    assert.ok(!ControllerMessage.safeParse({ type: 'programDifference', difference: { ...GOOD, ...change } }).success);
  });
}

test('refuses a question for a program with more parts than a program has', () => {
  const have = heldParts(program(1, [part('a', 1)]));
  const asked = (parts: object[]) => ({ type: 'programWanted', have: { ...have, parts } }) as AgentMessage;
  const one = { policy: 'a', digest: '0'.repeat(16) };
  assert.ok(ProgramWantedMessage.safeParse(asked(Array.from({ length: MAX_PROGRAM_PARTS }, () => one))).success);
  assert.ok(!ProgramWantedMessage.safeParse(asked(Array.from({ length: MAX_PROGRAM_PARTS + 1 }, () => one))).success);
  assert.ok(!ProgramWantedMessage.safeParse(asked([{ ...one, policy: 'a'.repeat(257) }])).success);
});
