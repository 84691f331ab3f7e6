/** In which order things are read, and how many at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { ReadQueue } from '../src/discovery/read-queue.ts';

function start(limit: number) {
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const queue = new ReadQueue((name) => {
    begun.push(name);
    return new Promise((resolve) => ends.set(name, resolve));
  }, limit);
  const end = async (name: string, expected: string[]) => {
    ends.get(name)!();
    await until(`${expected} have begun`, () => begun.length === expected.length);
    assert.deepEqual(begun, expected);
  };
  return { queue, begun, end };
}

test('only so many are read at once, and what is asked for twice while it is read is read once more', async () => {
  const { queue, begun, end } = start(2);
  for (const name of ['a', 'b', 'c', 'a', 'a']) {
    queue.add(name);
  }
  assert.deepEqual(begun, ['a', 'b']);
  await end('b', ['a', 'b', 'c']);
  await end('a', ['a', 'b', 'c', 'a']);
});

test('closed, it begins no further reading', async () => {
  const { queue, begun, end } = start(1);
  queue.add('a');
  queue.add('b');
  queue.close();
  await end('a', ['a']);
  queue.add('c');
  assert.deepEqual(begun, ['a']);
});
