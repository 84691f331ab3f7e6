/** What entries of the audit log say of a change: names, bounded lists, never a secret. */
import assert from 'node:assert/strict';
import test from 'node:test';
import { type AuditEntry, MAX_AUDIT_CHANGES } from '@mirrorplane/contract';
import { AUDITED_FIELDS, changesOf } from '../src/audit/changes.ts';
import type { Folder, Records } from '../src/store/records.ts';
import { Bench } from './harness.ts';

// A type check: each field is one of its record.
AUDITED_FIELDS satisfies { [F in Folder]?: readonly (keyof Records[F])[] };

const policy = (more: object) => ({ sources: ['web-1/0', 'web-2/0'], destination: 'ids', percent: 100, ...more });

test('a change says what the changed fields were and are, with names of interfaces, and nothing else', () => {
  const nameOf = (id: string) => (id === 'ids' ? 'ids-1 eth0' : '');
  const change = { folder: 'policies', before: policy({}), after: policy({ percent: 5, sources: ['web-2/0', 'db'] }) };
  assert.deepEqual(changesOf(change, nameOf), {
    before: { sources: { count: 2, removed: 1, names: ['web-1/0'] }, percent: 100 },
    after: { sources: { count: 2, added: 1, names: ['db'] }, percent: 5 },
  });
  assert.deepEqual(changesOf({ folder: 'policies', before: undefined, after: policy({}) }, nameOf), {
    after: { sources: { count: 2, names: ['web-1/0', 'web-2/0'] }, destination: 'ids (ids-1 eth0)', percent: 100 },
  });
  assert.deepEqual(changesOf({ folder: 'policies', before: policy({}), after: policy({}) }), { before: {}, after: {} });
});

test('1024 sources are a number and sixteen names, and large fields are named without their values', () => {
  const sources = Array.from({ length: 1024 }, (_, at) => `vm-${at}/${'x'.repeat(120)}`);
  const { before, after } = changesOf({
    folder: 'policies',
    before: policy({ sources: sources.slice(0, 1000), description: 'x'.repeat(5000) }),
    after: policy({ sources: sources.slice(10) }),
  });
  const [was, is] = [before?.sources, after?.sources] as { count: number; names: string[] }[];
  assert.deepEqual([was!.count, was!.names.length, is!.count, is!.names.length], [1000, 10, 1014, 16]);
  assert.deepEqual([Reflect.get(was!, 'removed'), Reflect.get(is!, 'added')], [10, 24]);
  assert.ok(String(before?.description).length < 300);
  const edge = { vlans: 'x'.repeat(MAX_AUDIT_CHANGES / 2 - 100) };
  const wide = { kind: 'edge', name: 'é'.repeat(500), edge, labels: { ...edge }, network: 'blue' };
  const made = changesOf({ folder: 'interfaces', before: undefined, after: wide }).after!;
  assert.deepEqual(made.more, ['edge']);
  assert.ok(Buffer.byteLength(JSON.stringify(made)) < MAX_AUDIT_CHANGES + 100);
});

test('fields that are not meant for the log are never in it', () => {
  const user = { name: 'ann', hash: '$argon2id$secret', totp: 'secret', disabled: false };
  const text = JSON.stringify([
    changesOf({ folder: 'users', before: undefined, after: user }),
    changesOf({ folder: 'tokens', before: { secret: 'secret' }, after: undefined }),
    changesOf({ folder: 'unheard', before: { secret: 'secret' }, after: undefined }),
  ]);
  assert.doesNotMatch(text, /secret/);
  assert.match(text, /"disabled":false/);
});

test('the API lists who has changed what, from where, with what it was before and after', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b', 'c');
  await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  await bench.must('PATCH', '/api/v1/policies/one', { percent: 5, sources: ['a', 'c'] });
  await bench.post('/api/v1/policies', { name: 'two', sources: ['none'], destination: 'b' });
  await bench.request('DELETE', '/api/v1/policies/one');
  const { items } = (await bench.get('/api/v1/audit?filter=resource:policies/one')).body as { items: AuditEntry[] };
  const [deleted, changed, created] = items;
  assert.deepEqual(changed?.before, { sources: { count: 1, removed: 0, names: [] }, percent: 100 });
  assert.deepEqual(changed?.after, { sources: { count: 2, added: 1, names: ['c'] }, percent: 5 });
  assert.deepEqual([created?.before, created?.after?.destination], [undefined, 'b']);
  assert.deepEqual([deleted?.before?.percent, deleted?.after], [5, undefined]);
  for (const { actor, actorKind, address } of items) {
    assert.deepEqual([actor, actorKind, address], ['admin', 'token', '127.0.0.1']);
  }
  const refused = (await bench.get('/api/v1/audit?filter=outcome:refused')).body.items[0] as AuditEntry;
  assert.deepEqual([refused.code, refused.before, refused.after], ['POLICY_INVALID', undefined, undefined]);
  assert.match(refused.detail!, /^the policy is refused: /);
});
