/** Words of other tools, and sorted lists. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { sorted } from '../src/list.ts';
import { moment } from '../src/options.ts';
import { buildProgram } from '../src/program.ts';
import { meant } from '../src/suggest.ts';

describe('words of other tools', () => {
  for (const [typed, command] of [
    ['get policies', 'policy list'],
    ['get policy', 'policy list'],
    ['get policy ids-all', 'policy show ids-all'],
    ['describe node node-1', 'node show node-1'],
    ['create policy p', 'policy create p'],
    ['create interface web-1/0', 'interface declare web-1/0'],
    ['interface create web-1/0', 'interface declare web-1/0'],
    ['policy get p', 'policy show p'],
    ['policy ls', 'policy list'],
    ['policy rm p q', 'policy delete p q'],
    ['node describe node-1', 'node show node-1'],
    ['delete policy p', 'policy delete p'],
    ['interfaces list', 'interface list'],
    ['nodes', 'node list'],
    ['get events', 'events'],
    ['list', 'policy list'],
    ['state p', 'policy status p'],
    ['rm p', 'policy delete p'],
    ['create', 'policy create'],
    ['policy stop p', 'policy disable p'],
  ] as const) {
    it(`lead to the command: ${typed}`, () => {
      assert.equal(meant(buildProgram(), typed.split(' ')), `mirrorplane ${command}`);
    });
  }

  for (const typed of ['policy list', 'apply', 'frobnicate', 'policy frobnicate', 'get policy $(rm)']) {
    it(`lead nowhere where they are right, or far from everything: ${typed}`, () => {
      assert.equal(meant(buildProgram(), typed.split(' ')), undefined);
    });
  }
});

describe('a sorted list', () => {
  const items = [
    { name: 'node-10', mtu: 1500, at: { packets: 2 }, up: true },
    { name: 'node-2', mtu: 9000, at: { packets: 10 }, up: false },
    { name: 'node-1' },
  ];
  const names = (by: string | undefined) => sorted({ items }, by).items.map(({ name }) => name);

  it('has numbers within names by their value, and what lacks the field at the end in both orders', () => {
    assert.deepEqual(names(undefined), ['node-10', 'node-2', 'node-1']);
    assert.deepEqual(names('name'), ['node-1', 'node-2', 'node-10']);
    assert.deepEqual(names('-name'), ['node-10', 'node-2', 'node-1']);
    assert.deepEqual(names('mtu'), ['node-10', 'node-2', 'node-1']);
    assert.deepEqual(names('-at'), ['node-2', 'node-10', 'node-1']);
    assert.deepEqual(names('up'), ['node-2', 'node-10', 'node-1']);
    assert.deepEqual(names('at.packets'), ['node-10', 'node-2', 'node-1']);
  });

  it('is refused by a field that nothing has, with those that there are', () => {
    assert.throws(() => names('nmae'), /nothing here has a field "nmae" to sort by: use one of name, mtu, at, up/);
    assert.throws(() => names('constructor'), /nothing here has a field/);
  });
});

describe('a moment', () => {
  it('is so long ago, or a time', () => {
    const before = Date.now();
    const then = Date.parse(moment('10m')) + 600_000;
    assert.ok(then >= before && then <= Date.now(), `${then} is not between ${before} and ${Date.now()}`);
    assert.equal(moment('2026-01-31T12:00:00+01:00'), '2026-01-31T11:00:00.000Z');
    for (const wrong of ['10', 'm', '10w', 'yesterday', '2026-13-01', '-5m']) {
      assert.throws(() => moment(wrong), /10m/);
    }
  });
});
