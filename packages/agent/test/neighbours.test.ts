/** Next hops towards other nodes, with a real kernel. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { NextHop } from '../src/discovery/neighbours.ts';
import type { UnderlayState } from '../src/discovery/underlay.ts';
import { Namespace, Probe } from './namespace.ts';
import { isRoot, temporaryFolder } from './support.ts';

const options = { skip: isRoot ? false : 'needs root', timeout: 60_000 };
const HERE = '02:00:00:00:02:01';
const THERE = '02:00:00:00:02:02';

interface Lines {
  underlay: UnderlayState;
  hops: Record<string, NextHop>;
  lost: string[];
}

/** Two namespaces with a cable: 10.98.0.1 here, 10.98.0.2 there, where 10.97.0.9 is behind. */
function cabled(t: TestContext) {
  const [here, there] = [new Namespace(t), new Namespace(t)];
  here.ip(
    'link',
    'add',
    'u0',
    'mtu',
    '1600',
    'address',
    HERE,
    'type',
    'veth',
    'peer',
    'name',
    'u1',
    'netns',
    there.name,
  );
  there.ip('link', 'set', 'u1', 'address', THERE);
  there.ip('addr', 'add', '10.98.0.2/24', 'dev', 'u1');
  there.ip('link', 'set', 'u1', 'up');
  here.ip('addr', 'add', '10.98.0.1/24', 'dev', 'u0');
  here.ip('link', 'set', 'u0', 'up');
  const record = join(temporaryFolder(t), 'neighbours.json');
  const probe = (...addresses: string[]) => new Probe<Lines>(t, here, 'hops', 'u0', record, ...addresses);
  return { here, there, record, probe };
}

const resolved: NextHop = { state: 'resolved' };

test('the underlay is the first global address of the mirror device', options, async (t) => {
  const { here, probe } = cabled(t);
  const { see } = bound(probe());
  const found = await see('the underlay', 'underlay', ({ underlay }) => underlay !== undefined);
  assert.deepEqual(found.underlay, { device: 'u0', address: '10.98.0.1', mtu: 1600, proves: true, lanes: true });
  here.ip('link', 'set', 'u0', 'mtu', '1550');
  await see('its new MTU', 'underlay', ({ underlay }) => underlay?.mtu === 1550);
  here.ip('addr', 'add', '10.98.0.3/24', 'dev', 'u0');
  here.ip('addr', 'del', '10.98.0.1/24', 'dev', 'u0');
  await see('no address', 'underlay', ({ underlay }) => underlay === undefined);
  here.ip('addr', 'add', '10.98.0.4/24', 'dev', 'u0');
  await see('its new address', 'underlay', ({ underlay }) => underlay?.address === '10.98.0.4');
});

test(
  'a neighbour is resolved without traffic, and our entries are remembered and removed again',
  options,
  async (t) => {
    const { here, record, probe } = cabled(t);
    const running = probe('10.98.0.2');
    const { see } = bound(running);
    assert.deepEqual(await see('the next hop', 'hops', (hops) => hops['10.98.0.2']?.state === 'resolved'), {
      '10.98.0.2': resolved,
    });
    assert.match(here.ip('neigh', 'show', 'dev', 'u0'), /10\.98\.0\.2 .*managed/);
    assert.equal(JSON.parse(readFileSync(record, 'utf8')).length, 1);
    await running.stop();
    assert.match(here.ip('neigh', 'show', 'dev', 'u0'), /10\.98\.0\.2 .*managed/);
    const release = new Probe(t, here, 'release', record);
    await until('the entry is gone', () => here.ip('neigh', 'show', 'dev', 'u0') === '');
    await until('the file is gone', () => !existsSync(record));
    await release.stop();
  },
);

test('a neighbour that is not needed any more after a restart is taken back', options, async (t) => {
  const { here, record, probe } = cabled(t);
  const first = probe('10.98.0.2');
  await bound(first).see('the next hop', 'hops', (hops) => hops['10.98.0.2']?.state === 'resolved');
  await first.stop();
  probe();
  await until('the entry is gone', () => here.ip('neigh', 'show', 'dev', 'u0') === '');
  await until('the file is gone', () => !existsSync(record));
});

test('permanent entries of others are used, and left alone', options, async (t) => {
  const { here, record, probe } = cabled(t);
  here.ip('neigh', 'add', '10.98.0.7', 'lladdr', '02:00:00:00:02:07', 'dev', 'u0', 'nud', 'permanent');
  const before = here.ip('neigh', 'show', 'dev', 'u0');
  const { see } = bound(probe('10.98.0.7'));
  const hops = await see('the next hop', 'hops', (all) => all['10.98.0.7']?.state === 'resolved');
  assert.deepEqual(hops['10.98.0.7'], resolved);
  assert.equal(here.ip('neigh', 'show', 'dev', 'u0'), before);
  assert.equal(existsSync(record), false);
});

test('managed entries of others are used, and left when they are not needed', options, async (t) => {
  const { here, probe } = cabled(t);
  here.ip('neigh', 'replace', '10.98.0.2', 'dev', 'u0', 'managed');
  const first = probe('10.98.0.2');
  await bound(first).see('the next hop', 'hops', (hops) => hops['10.98.0.2']?.state === 'resolved');
  await first.stop();
  await bound(probe()).see('the underlay', 'underlay', ({ underlay }) => underlay !== undefined);
  assert.match(here.ip('neigh', 'show', 'dev', 'u0'), /10\.98\.0\.2 .*managed/);
});

test('an address behind a gateway has the gateway as next hop', options, async (t) => {
  const { here, probe } = cabled(t);
  here.ip('route', 'add', '10.97.0.0/16', 'via', '10.98.0.2');
  const { see } = bound(probe('10.97.0.9'));
  assert.deepEqual(await see('the next hop', 'hops', (hops) => hops['10.97.0.9']?.state === 'resolved'), {
    '10.97.0.9': resolved,
  });
});

test(
  'an address without a route has none until there is one, and senders with it are not believed',
  options,
  async (t) => {
    const { here, probe } = cabled(t);
    here.ip('link', 'add', 'other', 'type', 'veth', 'peer', 'name', 'far');
    here.ip('link', 'set', 'other', 'up');
    here.ip('link', 'set', 'far', 'up');
    here.ip('route', 'add', '10.97.0.0/16', 'dev', 'other'); // is no way back by u0
    const { see } = bound(probe('10.97.0.9', '10.98.0.2'));
    await see('no route', 'hops', (hops) => hops['10.97.0.9']?.state === 'noRoute');
    assert.deepEqual(await see('no way back', 'lost', (lost) => lost.length > 0), ['10.97.0.9']);
    here.ip('route', 'add', '10.97.0.9/32', 'via', '10.98.0.2');
    await see('the next hop', 'hops', (hops) => hops['10.97.0.9']?.state === 'resolved');
    await see('a way back', 'lost', (lost) => lost.length === 0);
  },
);

test('a neighbour that answers late is followed', options, async (t) => {
  const { there, probe } = cabled(t);
  there.ip('link', 'set', 'u1', 'arp', 'off');
  there.ip('addr', 'del', '10.98.0.2/24', 'dev', 'u1');
  const { see } = bound(probe('10.98.0.2'));
  assert.deepEqual(await see('no answer', 'hops'), { '10.98.0.2': { state: 'unresolved', via: '10.98.0.2' } });
  there.ip('link', 'set', 'u1', 'arp', 'on');
  there.ip('addr', 'add', '10.98.0.2/24', 'dev', 'u1');
  // The kernel asks for managed neighbours every five seconds.
  await see('an answer', 'hops', (hops) => hops['10.98.0.2']?.state === 'resolved');
});

/** `see` with the probe bound, for short lines. */
function bound(probe: Probe<Lines>) {
  return { see: probe.see.bind(probe) as Probe<Lines>['see'] };
}
