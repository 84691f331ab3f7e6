/** Large reports take turns with everything else. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ReportTurns } from '../../src/sync/report-turns.ts';

/** Turns on a clock of its own: each piece of work takes so many milliseconds. */
function made(isRead = () => false) {
  const clock = { now: 0 };
  const done: string[] = [];
  const turns = new ReportTurns(() => clock.now, 10, isRead);
  const work = (name: string, ms: number) => () => {
    clock.now += ms;
    done.push(name);
  };
  return { turns, done, work, clock };
}

test('work runs at once until a turn is used up, and the rest in later turns in the order in which it came', async () => {
  const { turns, done, work } = made();
  for (const name of ['a', 'b', 'c', 'd', 'e']) {
    turns.run(work(name, 6));
  }
  assert.deepEqual(done, ['a', 'b']);
  assert.equal(turns.waiting, 3);
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd']);
  turns.run(work('f', 1));
  assert.deepEqual(done, ['a', 'b', 'c', 'd'], 'what comes later does not overtake');
  await turn();
  assert.deepEqual(done, ['a', 'b', 'c', 'd', 'e', 'f']);
});

test('what else the event loop has to do comes between two turns', async () => {
  const { turns, done, work } = made();
  for (let at = 0; at < 6; at++) {
    turns.run(work(`report ${at}`, 11));
  }
  setImmediate(() => done.push('edit'));
  while (turns.waiting > 0) {
    await turn();
  }
  assert.equal(done.indexOf('edit'), 2, `an edit waits for one turn: ${done}`);
});

test('while somebody waits for a long read, reports have half a turn, and for no longer than a quarter of a second', async () => {
  const { turns, done, work, clock } = made(() => true);
  for (let at = 0; at < 100; at++) {
    turns.run(work('report', 2));
  }
  assert.equal(done.length, 5, 'nobody knows of the read before the next turn');
  const perTurn: number[] = [];
  while (turns.waiting > 0) {
    const before = done.length;
    await turn();
    clock.now += 60;
    perTurn.push(done.length - before);
  }
  assert.deepEqual(perTurn.slice(0, 3), [3, 3, 3]);
  assert.ok(Math.max(...perTurn.slice(5)) > 10, `${perTurn}`);
});

test('after a quiet time, work runs at once again', async () => {
  const { turns, done, work } = made();
  turns.run(work('a', 50));
  await turn();
  await turn();
  turns.run(work('b', 1));
  assert.deepEqual(done, ['a', 'b']);
});

test('work that does not wait for its turn counts for the turn all the same', async () => {
  const { turns, done, work } = made();
  turns.atOnce(work('a', 11));
  turns.run(work('b', 1));
  assert.deepEqual(done, ['a']);
  await turn();
  assert.deepEqual(done, ['a', 'b']);
});

test('work that is dropped does not run', async () => {
  const { turns, done, work } = made();
  turns.run(work('a', 50));
  const dropped = work('b', 1);
  turns.run(dropped);
  turns.drop(dropped);
  await turn();
  assert.deepEqual(done, ['a']);
});

test('reports get a third of the time where everything else takes long', async () => {
  const { turns, done, work, clock } = made();
  for (let at = 0; at < 20; at++) {
    turns.run(work(`report ${at}`, 6));
  }
  assert.equal(done.length, 2);
  await turn();
  assert.equal(done.length, 4);
  clock.now += 60;
  await turn();
  assert.equal(done.length, 9, 'half of 60 ms');
  clock.now += 10_000;
  await turn();
  assert.equal(done.length, 18, '50 ms at most');
});
