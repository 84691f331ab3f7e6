/** Which of two readings of a domain counts, and what an event changes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Domain } from '../src/discovery/libvirt-domain.ts';
import { LibvirtDomains } from '../src/discovery/libvirt-domains.ts';

const there = new Map([['vnet0', 7]]);
const domain = (more: Partial<Domain> = {}): Domain => ({
  uuid: 'u1',
  name: 'web',
  active: true,
  claims: [],
  problems: [],
  ...more,
});

test('an older reading neither replaces nor removes what a newer one has found', () => {
  const domains = new LibvirtDomains();
  const [older, newer] = [domains.begin(), domains.begin()];
  domains.add(domain({ name: 'new' }), newer, there);
  domains.add(domain({ name: 'old' }), older, there);
  domains.remove('u1', older);
  domains.keep(new Set(), older);
  assert.deepEqual([domains.uuidOf('new'), domains.uuidOf('old'), domains.uuidOf('u1')], ['u1', undefined, 'u1']);
  domains.keep(new Set(['u1']), domains.next);
  assert.equal(domains.uuidOf('new'), 'u1');
  domains.remove('new', domains.next);
  assert.equal(domains.uuidOf('new'), undefined);
});

test('a domain that does not run, or is not known, is not complete', () => {
  const domains = new LibvirtDomains();
  domains.add(domain(), domains.begin(), there);
  assert.equal(domains.isComplete('u1', new Set([7])), true);
  domains.add(domain({ active: false }), domains.begin(), there);
  assert.deepEqual([domains.isComplete('u1', new Set([7])), domains.isComplete('u2', new Set([7]))], [false, false]);
});
