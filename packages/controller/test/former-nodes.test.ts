/** How long the former node of an interface is remembered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LINGER_MS, OriginNodes } from '../src/planning/origin-nodes.ts';

let now = 0;
const place = (nodes: string[], home = nodes.at(-1)) => [
  {
    id: 'ids-1/0',
    devices: nodes.map((node) => ({ node, name: 'tap', ifindex: 5, mac: '02:00:00:00:00:01', mtu: 1500, up: true })),
    ...(home !== undefined && { home }),
  },
];

test('a node that an interface has left is remembered for a while from when its device there is gone', () => {
  const former = new OriginNodes(() => now);
  for (const [nodes, home] of [
    [['a'], 'a'],
    [['a', 'b'], 'a'],
    [['a', 'b'], 'b'],
  ] as const) {
    assert.deepEqual([...former.look(place([...nodes], home))], []);
  }
  assert.deepEqual([...former.look(place(['b']))], [['ids-1/0', 'a']]);
  now += LINGER_MS - 1;
  assert.deepEqual([...former.look(place(['b']))], [['ids-1/0', 'a']]);
  assert.equal(former.due, 1);
  now += 1;
  assert.deepEqual([...former.look(place(['b']))], []);
  assert.equal(former.due, undefined);
});

test('also where the change of home and the end of the device are seen at once', () => {
  const former = new OriginNodes(() => now);
  former.look(place(['a', 'b'], 'a'));
  assert.deepEqual([...former.look(place(['b']))], [['ids-1/0', 'a']]);
});

test('a node where it comes back is none that it has left, nor is one of an interface that is nowhere', () => {
  const former = new OriginNodes(() => now);
  former.look(place(['a', 'b'], 'a'));
  assert.deepEqual([...former.look(place(['a']))], [['ids-1/0', 'b']], 'b may have been sent to');
  assert.deepEqual([...former.look(place(['a', 'b'], 'a'))], []);
  assert.deepEqual([...former.look(place([]))], []);
  assert.deepEqual([...former.look([])], []);
});
