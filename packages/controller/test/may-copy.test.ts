/** For which policies a node may copy: what it has reported, and what it was told since. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { LiveNodes } from '../src/reports/live-nodes.ts';

const names = () =>
  new Map([
    ['a', 'one'],
    ['b', 'two'],
    ['c', 'three'],
  ]);
const policy = (uid: string) => ({ uid, name: names().get(uid)! });

function useNode() {
  const live = new LiveNodes(() => 0);
  live.inventory('node-1', { type: 'inventory', devices: [] }, undefined);
  const report = (appliedRevision: number, ...captures: string[]) =>
    live.status(
      'node-1',
      {
        type: 'status',
        appliedRevision,
        captures: captures.map((uid) => ({ capture: `${uid}/web-1/0`, device: 'tap0', state: 'capturing' as const })),
        problems: [],
      },
      names,
    );
  const copying = () => live.get('node-1')!.copying.map(({ uid }) => uid);
  return { live, report, copying };
}

test('a node may copy for what it was told, until it reports that program or a later one', () => {
  const { live, report, copying } = useNode();
  report(1);
  assert.deepEqual(copying(), []);
  live.toldToCopy('node-1', 2, [policy('a')]);
  assert.deepEqual(copying(), ['a']);
  assert.ok(
    live
      .unsaved()
      .get('node-1')!
      .copying!.some(({ uid }) => uid === 'a'),
    'a later controller knows it',
  );
  live.toldToCopy('node-1', 3, [policy('b')]);
  // It reports what it had before it got either.
  report(1);
  assert.deepEqual(copying(), ['a', 'b']);
  report(3, 'b');
  assert.deepEqual(copying(), ['b']);
});

test('a revision that was told before changes nothing, and neither does one of an unknown node', () => {
  const { live, report, copying } = useNode();
  live.toldToCopy('node-1', 4, [policy('b')]);
  report(4, 'b');
  live.toldToCopy('node-1', 4, [policy('a')]);
  live.toldToCopy('node-1', 3, [policy('a')]);
  assert.deepEqual(copying(), ['b']);
  live.toldToCopy('node-2', 1, [policy('a')]);
  assert.equal(live.get('node-2'), undefined);
});

test('a capture whose guest is not there yet counts until the node reports a program without it', () => {
  const { live, report, copying } = useNode();
  live.toldToCopy('node-1', 1, [policy('c')]);
  report(1);
  assert.deepEqual(copying(), ['c'], 'the guest may come while nobody hears the node');
  live.toldToCopy('node-1', 2, []);
  report(1);
  assert.deepEqual(copying(), ['c']);
  report(2);
  assert.deepEqual(copying(), []);
});

test('a node that could not store its program may copy for all that it was told before, until it has', () => {
  const { live, report, copying } = useNode();
  const unsaved = (appliedRevision: number) =>
    live.status(
      'node-1',
      { type: 'status', appliedRevision, captures: [], problems: [{ code: 'PROGRAM_UNSAVED', message: 'full' }] },
      names,
    );
  live.toldToCopy('node-1', 1, [policy('a')]);
  report(1, 'a');
  live.toldToCopy('node-1', 2, [policy('b')]);
  live.toldToCopy('node-1', 3, []);
  unsaved(3);
  assert.deepEqual(copying(), ['a', 'b'], 'its agent may begin again with what is on the disk');
  unsaved(3);
  assert.deepEqual(copying(), ['a', 'b']);
  assert.deepEqual(
    live
      .unsaved()
      .get('node-1')!
      .copying!.map(({ uid }) => uid),
    ['a', 'b'],
    'a later controller knows it',
  );
  report(3);
  assert.deepEqual(copying(), []);
});
