/** Judging grants. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { allows, allowsEverywhere, Grant } from '@mirrorplane/contract';

const scoped: Grant[] = [
  { role: 'operator', scope: { pools: ['east', 'west'], labels: { tenant: 'blue' } } },
  { role: 'viewer', scope: { networks: ['net-1'] } },
];

test('a grant without a scope holds for every object, also for one that nothing is known of', () => {
  assert.ok(allows([{ role: 'operator' }], 'mirror', {}));
  assert.ok(allowsEverywhere([{ role: 'operator' }], 'mirror'));
  assert.ok(!allows([{ role: 'operator' }], 'packets', {}));
  assert.ok(!allows([], 'read'));
});

test('an object is in a scope that it matches in each field, and values of a list are alternatives', () => {
  const blue = { tenant: 'blue', tier: 'db' };
  assert.ok(allows(scoped, 'mirror', { pool: 'west', labels: blue }));
  assert.ok(!allows(scoped, 'mirror', { pool: 'west', labels: { tenant: 'red' } }));
  assert.ok(!allows(scoped, 'mirror', { pool: 'north', labels: blue }));
  assert.ok(!allows(scoped, 'mirror', { labels: blue }), 'in no pool');
  assert.ok(!allows(scoped, 'mirror', { pool: 'west' }), 'without labels');
  assert.ok(!allows(scoped, 'mirror', { pool: 'west', network: 'net-1' }), 'of another grant');
});

test('the scopes of two grants are not mixed, and add up', () => {
  assert.ok(allows(scoped, 'read', { network: 'net-1' }));
  assert.ok(allows(scoped, 'read', { pool: 'east', labels: { tenant: 'blue' } }));
  assert.ok(!allows(scoped, 'read', { pool: 'east' }));
  assert.ok(allows(scoped, 'read'), 'of something at least');
  assert.ok(!allowsEverywhere(scoped, 'read'));
});

test('a label of a scope is no field that every object has', () => {
  const grants: Grant[] = [{ role: 'viewer', scope: { labels: { constructor: 'x' } } }];
  assert.ok(!allows(grants, 'read', { labels: {} }));
});

test('a grant names a role that exists, and a scope is not empty lists', () => {
  assert.ok(!Grant.safeParse({ role: 'root' }).success);
  assert.ok(!Grant.safeParse({ role: 'viewer', scope: { pools: [] } }).success);
  assert.ok(!Grant.safeParse({ role: 'viewer', scope: { pool: 'east' } }).success);
});
