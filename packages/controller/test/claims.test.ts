/** Which nodes are believed about which interfaces, also right after a claim. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LiveNodes } from '../src/reports/live-nodes.ts';
import { vmDevice } from './harness.ts';

function start() {
  const live = new LiveNodes(() => Date.UTC(2026, 0, 1));
  const says = (node: string, ...ids: string[]) => {
    live.inventory(node, { type: 'inventory', devices: ids.map((id, at) => vmDevice(id, at + 4)) }, undefined);
  };
  return { live, says };
}

test('new claims are judged once, when the first answer about them is needed', () => {
  const { live, says } = start();
  let judged = 0;
  live.claims.judgeBy(() => {
    judged++;
    live.claims.grant(new Map([['web-1/0', ['node-1']]]));
  });
  says('node-1', 'web-1/0', 'app-1/0');
  says('node-2', 'web-1/0');
  assert.deepEqual([live.claims.hasHad('node-1', 'web-1/0'), judged], [true, 1]);
  assert.equal(live.claims.hasHad('node-2', 'web-1/0'), false, 'it is another node’s');
  assert.equal(live.claims.hasHad('node-1', 'app-1/0'), false);
  assert.equal(live.claims.hasHad('node-1', 'db-1/0'), false, 'it was never said');
  assert.equal(live.claims.hasHad('node-3', 'web-1/0'), false, 'there is no such node');
  assert.equal(judged, 1);
  says('node-2', 'web-1/0');
  assert.deepEqual([live.claims.hasHad('node-2', 'web-1/0'), judged], [false, 2]);
});

test('a node that had an interface is still believed about it, and is to be saved', () => {
  const { live, says } = start();
  says('node-1', 'web-1/0');
  live.claims.grant(new Map([['web-1/0', ['node-1']]]));
  live.saved(live.unsaved());
  assert.equal(live.unsaved().size, 0);
  live.claims.grant(new Map());
  assert.equal(live.claims.hasHad('node-1', 'web-1/0'), true);
  assert.deepEqual(live.unsaved().get('node-1')?.former, ['web-1/0']);
});

test('what changes while a record is written is saved with the next one, and nothing else is', () => {
  let now = Date.UTC(2026, 0, 1);
  const live = new LiveNodes(() => now++);
  const says = (...ids: string[]) =>
    live.inventory('node-1', { type: 'inventory', devices: ids.map((id, at) => vmDevice(id, at + 4)) }, undefined);
  live.hello({ type: 'hello', protocol: 1, node: 'node-1', agentVersion: '1', kernel: '6' });
  /** Writes what is to be saved. @param meanwhile what happens until that is done */
  const write = (meanwhile: () => void) => {
    const records = live.unsaved();
    assert.equal(records.size, 1);
    meanwhile();
    live.saved(records);
  };
  says('web-1/0');
  write(() => says('web-1/0', 'app-1/0'));
  assert.deepEqual(Object.keys(live.unsaved().get('node-1')!.seen), ['web-1/0', 'app-1/0']);
  write(() => live.heard('node-1'));
  assert.equal(live.unsaved().size, 0, 'when a connected node was heard is no reason to write');
  says('web-1/0');
  write(() => live.disconnected('node-1'));
  assert.equal(live.unsaved().size, 1, 'when it was heard last is one');
});
