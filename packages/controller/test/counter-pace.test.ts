/** How often agents are asked for their counters. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CounterPace } from '../src/reports/counter-pace.ts';

test('up to a hundred agents report once a second, more of them less often, and none less than every five', () => {
  const pace = new CounterPace(() => 0);
  const everyOf = (agents: number) => {
    pace.shareAmong(agents);
    return pace.of('node-1');
  };
  assert.deepEqual([0, 1, 100, 101, 250, 500, 10_000].map(everyOf), [1000, 1000, 1000, 2000, 3000, 5000, 5000]);
});

test('a node that somebody looks at reports once a second, until nobody has looked for a while', () => {
  let now = 0;
  const pace = new CounterPace(() => now);
  const hurried: string[] = [];
  pace.onLook((node) => hurried.push(node));
  pace.shareAmong(1000);
  pace.look(['node-1']);
  now = 10_000;
  pace.look(['node-1']);
  now = 24_000;
  assert.deepEqual([pace.of('node-1'), pace.of('node-2'), pace.everyMs], [1000, 5000, 5000]);
  assert.deepEqual(hurried, ['node-1']);
  now = 25_000;
  assert.equal(pace.of('node-1'), 5000);
  pace.look(['node-1']);
  assert.deepEqual(hurried, ['node-1', 'node-1']);
});

test('no more nodes are looked at than can report once a second', () => {
  const pace = new CounterPace(() => 0);
  pace.shareAmong(1000);
  const nodes = Array.from({ length: 300 }, (_, node) => `node-${node}`);
  pace.look(nodes);
  assert.equal(nodes.filter((node) => pace.of(node) === 1000).length, 100);
});
