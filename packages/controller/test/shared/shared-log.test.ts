/** A log in the shared space, while writes fail in every way. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import fc from 'fast-check';
import { ClusterKey, SealError } from '../../src/shared/cluster-key.ts';
import { readPieces } from '../../src/shared/pieces.ts';
import { type Numbered, SharedLog } from '../../src/shared/shared-log.ts';
import { SharedWriter } from '../../src/shared/writer.ts';
import { temporaryFolder } from '../harness.ts';
import { type Fate, MemorySpace } from './memory-space.ts';

const newKey = (t: TestContext) => ClusterKey.make(temporaryFolder(t));

/** All lines of a log as another controller reads them. */
async function linesOf(space: MemorySpace, key: ClusterKey, after = 0): Promise<string[]> {
  const lines: string[] = [];
  let last: number | undefined;
  for await (const piece of readPieces(space, key, 'x', { after })) {
    assert.ok(last === undefined || piece.after === last, 'pieces follow each other');
    last = piece.last;
    lines.push(...piece.lines);
  }
  return lines;
}

const numbered = (from: number, count: number, text = 'line'): Numbered[] =>
  Array.from({ length: count }, (_, index) => ({ number: from + index, line: `${text} ${from + index}` }));

test('whatever becomes of writes, the log has what was acknowledged, in order and once, and the next lines behind it', async (t) => {
  const key = newKey(t);
  const fates = fc.constantFrom<Fate>('done', 'done', 'done', 'lost', 'unknown');
  const step = fc.record({
    count: fc.integer({ min: 1, max: 30 }),
    long: fc.boolean(),
    fates: fc.array(fates, { minLength: 1, maxLength: 4 }),
    reopen: fc.boolean(),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
      const space = new MemorySpace();
      let log = await SharedLog.open(new SharedWriter(space), key, 'x');
      const acknowledged: string[] = [];
      /** What was tried behind these, in vain as it seemed. */
      let tried: string[][] = [];
      for (const [index, { count, long, fates: left, reopen }] of steps.entries()) {
        const text = `${index}${long ? 'x'.repeat(30_000) : ''}`;
        const lines = numbered(acknowledged.length + 1, count, text);
        const queue = [...left];
        space.fate = () => queue.shift() ?? 'done';
        if (await log.append(lines).then(() => true, isFailure)) {
          acknowledged.push(...lines.map(({ line }) => line));
          tried = [];
          continue;
        }
        tried.push(lines.map(({ line }) => line));
        if (reopen) {
          // As after a kill: what was not acknowledged may be there.
          space.fate = () => 'done';
          const there = await linesOf(space, key);
          assert.deepEqual(there.slice(0, acknowledged.length), acknowledged);
          const more = there.slice(acknowledged.length);
          assert.ok(tried.some((one) => more.every((line, at) => one[at] === line)));
          tried = [];
          acknowledged.push(...more);
          log = await SharedLog.open(new SharedWriter(space), key, 'x');
          assert.equal(log.last, acknowledged.length);
        }
      }
      space.fate = () => 'done';
      await log.append(numbered(acknowledged.length + 1, 1, 'last'));
      assert.deepEqual(await linesOf(space, key), [...acknowledged, `last ${acknowledged.length + 1}`]);
    }),
    { numRuns: 60 },
  );
});

const isFailure = (error: Error) => {
  assert.equal(error.name, 'StoreUnavailableError');
  return false;
};

test('the number of keys is bounded, the oldest lines go, and no write is larger than etcd takes', async (t) => {
  const key = newKey(t);
  const space = new MemorySpace();
  const log = await SharedLog.open(new SharedWriter(space), key, 'x', 4);
  // Random text, which cannot be compressed.
  const text = () => Array.from({ length: 20 }, () => Math.random().toString(36)).join('');
  for (let number = 1; number <= 6000; number++) {
    await log.append([{ number, line: `${number} ${text()}` }]);
  }
  assert.ok(space.keys.size < 4 + 66, `${space.keys.size} keys`);
  assert.ok(space.most.bytes < 1 << 20);
  const there = await linesOf(space, key);
  assert.match(there.at(-1)!, /^6000 /);
  assert.equal(Number(there[0]!.split(' ')[0]), log.after + 1);
  assert.ok(log.after > 0, 'the oldest are gone');
  assert.equal(there.length, 6000 - log.after);
  assert.match((await linesOf(space, key, 5990)).at(-1)!, /^6000 /);
});

test('lines that are left out stay out, also when the rewriting was interrupted and goes on', async (t) => {
  const key = newKey(t);
  const space = new MemorySpace();
  const log = await SharedLog.open(new SharedWriter(space), key, 'x');
  const all = numbered(1, 2000, 'x'.repeat(1000));
  for (let at = 0; at < all.length; at += 10) {
    await log.append(all.slice(at, at + 10));
  }
  const kept = all.filter(({ number }) => number % 3 === 0);
  let writes = 0;
  space.fate = () => (++writes === 3 ? 'unknown' : 'done');
  await assert.rejects(log.rewrite(kept), /unknown/);
  const half = await linesOf(space, key);
  for (const { line } of kept) {
    assert.ok(half.includes(line));
  }
  await log.rewrite(kept);
  assert.deepEqual(
    await linesOf(space, key),
    kept.map(({ line }) => line),
  );
  await log.append(numbered(2001, 1));
  assert.equal((await linesOf(space, key)).at(-1), 'line 2001');
});

test('a write that was delayed is not carried out behind a later one', async (t) => {
  const key = newKey(t);
  const space = new MemorySpace();
  const writer = new SharedWriter(space);
  const log = await SharedLog.open(writer, key, 'x');
  await log.append(numbered(1, 1));
  const late: (() => Promise<{ ok: boolean }>)[] = [];
  const txn = space.txn.bind(space);
  space.txn = async (transaction) => {
    late.push(() => txn(transaction));
    throw new Error('no answer');
  };
  await assert.rejects(log.append(numbered(2, 2, 'late')), /no answer/);
  space.txn = txn;
  await log.append(numbered(2, 1, 'next'));
  assert.equal((await late[0]!()).ok, false);
  assert.deepEqual(await linesOf(space, key), ['line 1', 'next 2']);
});

test('a piece that was changed, or stands in the place of another one, is refused with its key', async (t) => {
  const key = newKey(t);
  const space = new MemorySpace();
  const log = await SharedLog.open(new SharedWriter(space), key, 'x');
  await log.append(numbered(1, 1));
  await log.append(numbered(2, 1));
  const [first, second] = [...space.keys.keys()].filter((one) => one.startsWith('x/'));
  const good = space.keys.get(second!)!;
  space.keys.set(second!, { ...space.keys.get(first!)!, key: second! });
  await assert.rejects(linesOf(space, key), SealError);
  const flipped = Buffer.from(good.value);
  flipped[40]! ^= 1;
  space.keys.set(second!, { ...good, value: flipped });
  await assert.rejects(linesOf(space, key), /x\/t\/0000000000000001 in etcd cannot be opened/);
  space.keys.set(second!, good);
  assert.deepEqual(await linesOf(space, key), ['line 1', 'line 2']);
});
