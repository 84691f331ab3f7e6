/** When the agent gives memory back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FreedMemory } from '../src/host/freed-memory.ts';

const MIB = 1 << 20;

/** An agent of 100 MiB, of which 90 stay when memory is given back. */
function agent() {
  const state = { resident: 100 * MIB, now: 0, times: 0 };
  const giveBack = () => {
    state.times++;
    state.resident = 90 * MIB;
  };
  const memory = new FreedMemory({ resident: () => state.resident, giveBack, now: () => state.now });
  return { state, memory };
}

test('gives memory back after the start, and not before', () => {
  const { state, memory } = agent();
  memory.look();
  assert.equal(state.times, 0);
  memory.started();
  memory.look();
  assert.equal(state.times, 1);
});

test('gives memory back when it has grown by 16 MiB and devices have been quiet for five seconds', () => {
  const { state, memory } = agent();
  memory.started();
  state.resident = 105 * MIB;
  memory.look();
  assert.equal(state.times, 1, 'it has grown by 15 MiB');
  state.resident = 106 * MIB;
  state.now = 10_000;
  memory.changed();
  state.now = 14_999;
  memory.look();
  assert.equal(state.times, 1, 'a device has just come');
  state.now = 15_000;
  memory.look();
  assert.equal(state.times, 2);
});

test('what could not be given back does not count as growth again', () => {
  const { state } = agent();
  const giveBack = () => {
    state.times++;
    state.resident = 150 * MIB;
  };
  const full = new FreedMemory({ resident: () => state.resident, giveBack, now: () => state.now });
  full.started();
  state.resident = 165 * MIB;
  full.look();
  assert.equal(state.times, 1);
  state.resident = 166 * MIB;
  full.look();
  assert.equal(state.times, 2);
});
