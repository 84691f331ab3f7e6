/** Shapes, defaults and the error catalogue of the contract. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { CATALOGUE, formatJoinToken, InterfaceSpec, PolicySpec, parseJoinToken, problem } from '@mirrorplane/contract';

test('a policy without direction, percent and enabled gets all, 100 and true', () => {
  const spec = PolicySpec.parse({ name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  assert.deepEqual([spec.direction, spec.percent, spec.enabled, spec.vlanId], ['all', 100, true, undefined]);
});

test('a policy with a misspelt field is not read', () => {
  const result = PolicySpec.safeParse({ name: 'p', sources: [], destination: 'x', percnt: 5 });
  assert.equal(result.success, false);
  assert.equal(result.error?.issues[0]?.code, 'unrecognized_keys');
});

test('an edge takes a device name or a MAC address, and not both', () => {
  const edge = (fields: object) =>
    InterfaceSpec.safeParse({ kind: 'edge', name: 'e', edge: { node: 'node-1', ...fields } }).success;
  assert.equal(edge({ device: 'eth0' }), true);
  assert.equal(edge({ mac: '02:00:00:00:00:01' }), true);
  assert.equal(edge({}), false);
  assert.equal(edge({ device: 'eth0', mac: '02:00:00:00:00:01' }), false);
  assert.equal(InterfaceSpec.safeParse({ kind: 'vm', edge: { node: 'node-1', device: 'eth0' } }).success, false);
});

test('a join token reads back as it was written, and other text is refused', () => {
  const token = { secret: 'a'.repeat(32), fingerprint: 'f'.repeat(64) };
  assert.deepEqual(parseJoinToken(formatJoinToken(token)), token);
  assert.throws(() => parseJoinToken('mp1.short.ff'), /not a join token/);
});

test('every code has a title, a remedy and a plausible HTTP status', () => {
  for (const [code, { status, title, remedy }] of Object.entries(CATALOGUE)) {
    assert.match(code, /^[A-Z][A-Z_]+$/);
    assert.ok(status === 200 || (status >= 400 && status < 600), code);
    assert.ok(title.length > 5 && remedy.length > 5, code);
  }
  assert.equal(problem('PRECONDITION_FAILED', 'x').status, 412);
});
