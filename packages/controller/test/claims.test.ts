/** Which nodes are believed about which interfaces, also right after a claim. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_DEVICES } from '@mirrorplane/contract';
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

test('a refused claim is remembered after it has ended, and makes the interface no more the node’s', () => {
  const { live, says } = start();
  live.claims.judgeBy(() => live.claims.grant(new Map([['web-1/0', ['node-1']]])));
  says('node-1', 'web-1/0');
  says('node-2', 'web-1/0', 'app-1/0');
  assert.equal(live.claims.hasClaimed('node-2', 'web-1/0'), true, 'it says so now');
  says('node-2');
  assert.equal(live.claims.hasClaimed('node-2', 'web-1/0'), true);
  assert.equal(live.claims.hasHad('node-2', 'web-1/0'), false);
  assert.equal(live.claims.hasClaimed('node-2', 'db-1/0'), false, 'it was never said');
  assert.equal(live.claims.hasClaimed('node-3', 'web-1/0'), false, 'there is no such node');
  assert.equal(live.unsaved().get('node-2')?.former?.length, 0, 'a next controller hears all counts of the node first');
});

test('an interface that has come and gone before anything was planned was the node’s, if no other had it', () => {
  const { live, says } = start();
  /** Gives each interface to the first node that has it now, as planning does. */
  const judge = () => {
    const grants = new Map<string, string[]>();
    for (const { name, seen } of live.all().values()) {
      for (const id of Object.keys(seen).filter((one) => !grants.has(one))) {
        grants.set(id, [name]);
      }
    }
    live.claims.grant(grants);
  };
  live.claims.judgeBy(judge);
  says('node-1', 'web-1/0');
  says('node-2', 'web-1/0', 'app-1/0');
  says('node-2');
  says('node-1');
  judge();
  const had = (node: string) => ['web-1/0', 'app-1/0'].map((id) => live.claims.hasHad(node, id));
  assert.deepEqual(had('node-1'), [true, false]);
  assert.deepEqual(had('node-2'), [false, true]);
});

test('of claims that have ended, as many are remembered as one list has, and the latest', () => {
  const { live, says } = start();
  live.claims.judgeBy(() => live.claims.grant(new Map()));
  const flood = (from: number) => Array.from({ length: MAX_DEVICES }, (_, at) => `vm-${from + at}/0`);
  says('node-1', ...flood(0));
  says('node-1');
  const known = () => flood(0).filter((id) => live.claims.hasClaimed('node-1', id)).length;
  assert.equal(known(), MAX_DEVICES);
  says('node-1', 'vm-0/0', ...flood(MAX_DEVICES).slice(1));
  says('node-1');
  assert.ok(live.claims.hasClaimed('node-1', 'vm-0/0'), 'it has ended again since');
  assert.equal(known(), 1, 'the earlier ones are forgotten');
});

test('captures that a node reports of an interface count when its claim is accepted', () => {
  const { live, says } = start();
  says('node-1', 'web-1/0', 'app-1/0');
  const capture = (source: string) => ({ capture: `p/${source}`, device: 'tap4', state: 'capturing' as const });
  const report = (...unbelieved: ReturnType<typeof capture>[]) =>
    live.status(
      'node-1',
      { type: 'status', appliedRevision: 1, captures: [], problems: [] },
      () => new Map(),
      unbelieved,
    );
  report(capture('web-1/0'), capture('app-1/0'));
  assert.deepEqual(live.get('node-1')?.captures, []);
  live.claims.grantOf(new Map([['web-1/0', ['node-1']]]));
  assert.deepEqual(live.get('node-1')?.captures, [capture('web-1/0')]);
  report();
  live.claims.grantOf(new Map([['app-1/0', ['node-1']]]));
  assert.deepEqual(live.get('node-1')?.captures, [], 'a later status has taken its place');
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
