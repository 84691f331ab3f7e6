/** Which new devices are nothing to us yet. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { haveOnlyStrangersCome } from '../src/discovery/strangers.ts';
import type { Link } from '../src/netlink/link.ts';
import { link } from './support.ts';

const [eth, bridge] = [link('eth0', 2, { linkType: '' }), link('br0', 3, { linkType: 'bridge' })];
const known = [eth, bridge];
const isOnly = (now: Link[], isClaimed = (_: Link) => false) => haveOnlyStrangersCome(known, now, isClaimed);

test('a device without identity and bridge is a stranger, and so are two', () => {
  assert.equal(isOnly([...known, link('tap1', 7)]), true);
  assert.equal(isOnly([link('tap1', 1), ...known, link('tap2', 8)]), true);
});

test('a device with an alias, one that someone claims, and a port of a bridge are none', () => {
  assert.equal(isOnly([...known, link('tap1', 7, { alias: 'mirrorplane:kind=vm;id=web-1/0' })]), false);
  assert.equal(
    isOnly([...known, link('tap1', 7)], ({ name }) => name === 'tap1'),
    false,
  );
  assert.equal(isOnly([...known, link('tap1', 7, { master: 3 })]), false);
  assert.equal(isOnly([...known, link('tap1', 7), link('tap2', 8, { master: 3 })]), false);
});

test('a device that has gone or changed is a difference of another kind', () => {
  const stranger = link('tap1', 7);
  assert.equal(isOnly([eth, stranger]), false);
  assert.equal(isOnly([eth, { ...bridge, up: false }, stranger]), false);
  assert.equal(isOnly([eth, { ...bridge }, stranger]), false, 'it was made again');
  assert.equal(isOnly([eth, stranger, link('tap2', 8)]), false, 'one has come for one that has gone');
  assert.equal(
    haveOnlyStrangersCome(undefined, [stranger], () => false),
    false,
  );
});
