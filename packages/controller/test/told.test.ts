/** Numbers of agents' events that the event log remembers. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_REVISIONS, Told } from '../src/events/told.ts';

const origin = (seq: number, epoch = 'a') => ({ node: 'node-1', epoch, seq });

test('an event that is accepted but not yet on the disk is known, and is not written into a new file', () => {
  const told = new Told();
  told.take(origin(3));
  assert.equal(told.newestOf('node-1', 'a'), 3);
  assert.deepEqual(told.lines(), []);
  told.written([{ origin: origin(2) }]);
  assert.deepEqual(told.lines(), [{ origin: origin(2) }]);
});

test('a new run of an agent begins at 0, and so does a node after it was deleted', () => {
  const told = new Told();
  told.resume({ origin: origin(7) });
  assert.deepEqual(
    [told.newestOf('node-1', 'a'), told.newestOf('node-1', 'b'), told.newestOf('node-2', 'a')],
    [7, 0, 0],
  );
  told.forget('node-1');
  assert.deepEqual([told.newestOf('node-1', 'a'), told.lines()], [0, []]);
});

test(`${MAX_REVISIONS} revisions are remembered, and the first one is forgotten then`, () => {
  const told = new Told();
  for (let revision = 1; revision <= MAX_REVISIONS + 1; revision++) {
    told.written([{ revision }]);
  }
  assert.deepEqual(
    [told.hasRevision(1), told.hasRevision(2), told.hasRevision(MAX_REVISIONS + 1)],
    [false, true, true],
  );
  assert.equal(told.lines().length, MAX_REVISIONS);
});
