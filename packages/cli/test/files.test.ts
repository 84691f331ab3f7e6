/** Commands that take a file: `diff`, `delete -f`, `apply --prune`, `policy edit`. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { EventList, Policy } from '@mirrorplane/contract';
import type { Difference } from '../src/diff.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

const policyText = (name: string, source: string, more = '') =>
  `{kind: Policy, name: ${name}, sources: [${source}], destination: ids-1/0${more}}\n---\n`;

describe('a file', () => {
  const controller = new Controller();
  const cli = (text: string, input = '') => controller.run(text.split(' '), { input });
  const names = async () =>
    (await controller.json<{ items: Policy[] }>('policy', 'list')).items.map(({ name }) => name);
  before(async () => {
    await controller.start();
    const text =
      CLUSTER + ['a-1', 'a-2', 'b-1'].map((name, at) => `---\n${policyText(name, `web-${at + 1}/0`)}`).join('');
    const { code, stderr } = await cli('apply -f -', text);
    assert.equal(code, 0, stderr);
  });
  after(() => controller.close());

  it('is compared by diff with what there is, which ends with 11 where they differ, and with 0 where not', async () => {
    const same = await cli('diff -f -', policyText('a-1', 'web-1/0'));
    assert.deepEqual([same.code, same.stdout], [0, ''], same.stderr);
    const text = policyText('a-1', 'web-1/0, db-1/0', ', percent: 50') + policyText('c-1', 'ids-2/0');
    const { code, stdout } = await cli('policy diff -f -', text);
    assert.equal(code, 11);
    assert.match(
      stdout,
      /^policy a-1\n {3}sources:\n\+ {4}- db-1\/0\n- {2}percent: 100\n\+ {2}percent: 50\npolicy c-1 \(new\)\n/,
    );
    assert.match(stdout, /^\+ {2}destination: ids-1\/0$/m);
    const [first] = JSON.parse((await cli('diff -f - -o json', text)).stdout) as Difference[];
    assert.deepEqual(first!.changes.at(-1), { field: 'percent', before: 100, after: 50 });
    assert.equal((await cli('diff -f -', policyText('a-1', 'web-1/0', ', percent: 101'))).code, 3);
    assert.equal((await cli('policy show a-1 -o json')).stdout.includes('"percent": 100'), true);
  });

  it('prunes only with a prefix, only what has it, and in a dry run nothing', async () => {
    const text = policyText('a-1', 'web-1/0');
    for (const args of ['--prune', '--prune-prefix a-']) {
      const { code, stderr } = await cli(`apply -f - ${args}`, text);
      assert.equal(code, 2);
      assert.match(stderr, /--prune/);
    }
    assert.deepEqual(await names(), ['a-1', 'a-2', 'b-1']);
    const dry = await cli('apply -f - --prune --prune-prefix a- --dry-run', text);
    assert.equal(dry.stdout, 'policy a-1 unchanged\npolicy a-2 would be deleted\n', dry.stderr);
    assert.deepEqual(await names(), ['a-1', 'a-2', 'b-1']);
    const done = await cli('apply -f - --prune --prune-prefix a-', text);
    assert.deepEqual([done.code, done.stdout], [0, 'policy a-1 unchanged\npolicy a-2 deleted\n'], done.stderr);
    assert.deepEqual(await names(), ['a-1', 'b-1']);
  });

  it('that gives a source of a pruned policy to a new one is applied', async () => {
    const { code, stdout, stderr } = await cli('apply -f - --prune --prune-prefix a-', policyText('a-3', 'web-1/0'));
    assert.equal(code, 0, stderr);
    assert.equal(stdout, 'policy a-1 deleted\npolicy a-3 created\n');
    assert.deepEqual(await names(), ['a-3', 'b-1']);
  });

  it('that is refused prunes nothing', async () => {
    const { code } = await cli('apply -f - --prune --prune-prefix a-', policyText('z', 'nowhere'));
    assert.equal(code, 3);
    assert.deepEqual(await names(), ['a-3', 'b-1']);
  });

  it('lists are sorted, wide, or names alone', async () => {
    assert.equal((await cli('policy list -o name --sort -name')).stdout, 'b-1\na-3\n');
    assert.equal((await cli('interface list -o name --kind edge')).stdout, 'uplink-1\nuplink-2\n');
    assert.match((await cli('interface list -o wide')).stdout, /^ID .* NETWORK +HOME +MAC +MTU$/m);
    assert.match((await cli('node list -o wide --sort pool')).stdout, /UNDERLAY DEVICE +AGENT +KERNEL +HOOK\nnode-1 /);
    assert.match((await cli('policy list -o wide')).stdout, /MAX RATE +UPDATED +DESCRIPTION$/m);
    assert.equal((await cli('domain show red -o name')).stdout, 'red\n');
    const { code, stderr } = await cli('pool list --sort colour');
    assert.equal(code, 2);
    assert.match(stderr, /"colour" to sort by: use one of name, domain/);
  });

  it('events are those since a time', async () => {
    const all = await controller.json<EventList>('events', '--since', '1h');
    assert.ok(all.items.some(({ object }) => object.name === 'a-3'));
    const [middle] = all.items.filter(({ object }) => object.name === 'a-3');
    const later = await controller.json<EventList>('events', '--since', middle!.at);
    assert.ok(later.items.length < all.items.length && later.items.every(({ at }) => at >= middle!.at));
    assert.deepEqual((await controller.json<EventList>('events', '--since', '2099-01-01T00:00:00Z')).items, []);
    assert.equal((await cli('events --since yesterday')).code, 2);
  });

  it('is deleted as a whole, policies first; what is not there is left out', async () => {
    const text = `${CLUSTER}---\n${policyText('a-3', 'web-1/0')}${policyText('b-1', 'web-3/0')}${policyText('gone', 'x')}`;
    const dry = await cli('delete -f - --dry-run', text);
    assert.equal(dry.code, 0, dry.stderr);
    assert.match(dry.stdout, /^policy a-3 would be deleted$/m);
    assert.match(dry.stdout, /^domain blue not checked: /m);
    assert.deepEqual(await names(), ['a-3', 'b-1']);
    const { code, stdout, stderr } = await cli('delete -f -', text);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^policy gone is not there$/m);
    assert.equal(stdout.match(/ deleted$/gm)?.length, 17);
    assert.deepEqual((await controller.json<{ items: unknown[] }>('domain', 'list')).items, []);
  });

  it('that names what others use is not deleted, and nothing with it', async () => {
    await cli('domain create blue');
    await cli('pool create rack-1 --domain blue');
    const { code, stderr } = await cli('delete -f -', '{kind: Domain, name: blue}');
    assert.equal(code, 5);
    assert.match(stderr, /nothing was deleted/);
    assert.equal((await cli('domain show blue')).code, 0);
  });
});
