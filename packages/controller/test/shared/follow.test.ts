/** A controller that does not lead has the files of the one that does. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { AuditLog } from '../../src/audit/audit.ts';
import { AuditFiles } from '../../src/audit/files.ts';
import { auditSigner } from '../../src/auth/audit-signer.ts';
import { Authority } from '../../src/auth/authority.ts';
import { FollowedFiles } from '../../src/followed-files.ts';
import { auditBegins, LocalAudit } from '../../src/shared/audit-local.ts';
import { ClusterKey } from '../../src/shared/cluster-key.ts';
import { type Follower, followShared, NotSharedError } from '../../src/shared/follow.ts';
import { type Mark, markOperation } from '../../src/shared/mark.ts';
import { readPieces } from '../../src/shared/pieces.ts';
import { said } from '../../src/shared/said.ts';
import { SharedFiles } from '../../src/shared/shared-files.ts';
import { SharedLog } from '../../src/shared/shared-log.ts';
import { SharedWriter } from '../../src/shared/writer.ts';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { WRITES_KEY } from '../../src/store/shared-space.ts';
import type { SharedOperation } from '../../src/store/store.ts';
import { filesOf, TestHeads, verdictOf } from '../audit-log.ts';
import { temporaryFolder } from '../harness.ts';
import { startEtcd } from '../store/etcd-members.ts';
import { newData, useControllers, writeOtherKey } from './controllers.ts';
import { MemorySpace } from './memory-space.ts';

const log = createLog('controller', 'silent');
const read = (data: string, name: string) => readFileSync(path.join(data, name), 'utf8');
const same = (a: string, b: string, ...names: string[]) =>
  names.every((name) => existsSync(path.join(b, name)) && read(a, name) === read(b, name));

const isText = (data: string, name: string, text: string) =>
  existsSync(path.join(data, name)) && read(data, name) === text;

/** Followers of an etcd, which end before it does. */
async function useFollowers(t: TestContext, endpoints: readonly string[]) {
  const running: Follower[] = [];
  const store = await openEtcdStore({ endpoints, readOnly: true });
  t.after(async () => {
    await Promise.all(running.map((one) => one.close()));
    await store.close();
  });
  return async (data: string) => {
    const follower = await followShared({ data, store, log });
    running.push(follower);
    return follower;
  };
}

test('a follower has the audit log, the events, the authority and the tokens of the leader as they change, and can lead at once', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const follow = await useFollowers(t, endpoints);
  const etcd = { endpoints };
  const a = newData(t);
  const b = newData(t);
  await assert.rejects(follow(b), NotSharedError);
  const leader = await start(a, { etcd });
  await assert.rejects(follow(b), /there is no .*cluster[.]key.*copy/);
  writeOtherKey(b);
  await assert.rejects(follow(b), /is not the key/);
  assert.deepEqual(readdirSync(b), ['cluster.key']);
  copyFileSync(path.join(a, 'cluster.key'), path.join(b, 'cluster.key'));

  const follower = await follow(b);
  await leader.cluster('node-1');
  await until('it has the log', () => same(a, b, 'audit.log', 'events.log', 'ca.key', 'ca.crt', 'admin-token'));
  await leader.must('POST', '/api/v1/authority/rotate');
  await until('it has the next authority', () => same(a, b, 'audit.log', 'events.log', 'next-ca.key', 'next-ca.crt'));
  await leader.must('POST', '/api/v1/authority/drop?force=true');
  await until('it has the new one', () => same(a, b, 'audit.log', 'ca.key', 'ca.crt', 'former-ca.crt'));
  assert.ok(!existsSync(path.join(b, 'next-ca.key')));
  assert.equal(follower.problem, undefined);

  // It was away for a while.
  await follower.close();
  for (let number = 0; number < 100; number++) {
    await leader.must('PUT', `/api/v1/domains/d-${number}`, {});
  }
  assert.ok(!same(a, b, 'audit.log'));
  const again = await follow(b);
  await until('it has the log again', () => same(a, b, 'audit.log', 'events.log'));
  await again.close();
  await leader.stop();
  const lines = read(a, 'audit.log');
  const next = await start(b, { etcd });
  assert.ok(read(b, 'audit.log').startsWith(lines));
  assert.equal(verdictOf(b, undefined, ['ca.crt', 'former-ca.crt']).fault, undefined);
  assert.deepEqual(
    readdirSync(b).filter((name) => name.startsWith('audit-')),
    [],
  );
  assert.equal((await next.get('/api/v1/domains/d-99')).status, 200);
});

const ANN = { actor: 'ann', actorKind: 'user', address: '::1', action: 'patch', outcome: 'done' } as const;
const entry = (number: number) => ({
  ...ANN,
  resource: `policies/${number}`,
  detail: Math.random().toString(36).repeat(20),
});

/** An audit log that is in the shared space too. */
async function openCopied(data: string, space: MemorySpace, key: ClusterKey, heads: TestHeads, more = {}) {
  const copy = await SharedLog.open(new SharedWriter(space), key, 'audit', 3);
  const signer = auditSigner(await Authority.open(data, Date.now));
  const options = { clock: Date.now, signer, heads, copy, begins: auditBegins(data), ...more };
  return AuditLog.open(path.join(data, 'audit.log'), options);
}

async function write(audit: AuditLog, from: number, count: number): Promise<void> {
  for (let number = from; number < from + count; number++) {
    await audit.append(entry(number));
  }
}

/** A folder with the authority of another one. */
function beside(t: TestContext, data: string): string {
  const other = temporaryFolder(t);
  for (const name of ['ca.key', 'ca.crt']) {
    copyFileSync(path.join(data, name), path.join(other, name));
  }
  return other;
}

test('where the space has the newest lines only, the log begins with them, says so, and is whole', async (t) => {
  const space = new MemorySpace();
  const [a, heads] = [temporaryFolder(t), new TestHeads()];
  const key = ClusterKey.make(a);
  const audit = await openCopied(a, space, key, heads);
  await write(audit, 1, 3000);
  await audit.close();
  const b = beside(t, a);
  const open = (data: string) => LocalAudit.open(data, (after) => readPieces(space, key, 'audit', { after }));
  const { local, done } = await open(b);
  await local.close();
  const missing = done.missing;
  assert.ok(missing && missing.from === 1 && missing.to > 100, JSON.stringify(done));
  // It did not lead yet when it was stopped.
  await (await open(b)).local.close();
  const next = await openCopied(b, space, key, heads);
  await write(next, 3001, 10);
  assert.equal(next.begins, missing.to + 1, 'status and the audit page say so');
  await next.close();
  const verdict = verdictOf(b, heads.line);
  assert.deepEqual([verdict.fault, verdict.first], [undefined, missing.to + 1]);
  // The one that has all lines goes on too.
  await (await open(a)).local.close();
  const back = await openCopied(a, space, key, heads);
  assert.equal(back.begins, undefined);
  await back.close();
  assert.deepEqual([verdictOf(a, heads.line).fault, verdictOf(a, heads.line).first], [undefined, 1]);
});

test('a log that ends before all that the space has is kept beside the new one, and not called one of lines in vain', async (t) => {
  const space = new MemorySpace();
  const [a, heads] = [temporaryFolder(t), new TestHeads()];
  const key = ClusterKey.make(a);
  const audit = await openCopied(a, space, key, heads);
  const b = beside(t, a);
  const open = (data: string) => LocalAudit.open(data, (after) => readPieces(space, key, 'audit', { after }));
  await write(audit, 1, 5);
  await (await open(b)).local.close();
  const before = read(b, 'audit.log');
  const last = before.trim().split('\n').length;
  await write(audit, 6, 3000);
  await audit.close();
  const { local, done } = await open(b);
  await local.close();
  assert.equal(done.aside, undefined);
  assert.equal(done.older?.last, last);
  assert.equal(done.missing?.from, last + 1);
  assert.equal(read(b, `${done.older!.aside}.0`), before);
  assert.match(
    said(done).join('; '),
    /away for longer.*up to \d+ are in audit-older-[^;]*; the lines \d+ to \d+ .*not on this/,
  );
  assert.doesNotMatch(said(done).join(), /never acknowledged/);
  const next = await openCopied(b, space, key, heads);
  await write(next, 3006, 1);
  await next.close();
  const verdict = verdictOf(b, heads.line);
  assert.deepEqual([verdict.fault, verdict.first], [undefined, done.missing!.to + 1]);
});

test('a follower begins files where the leader does, and removes those that the leader removes', async (t) => {
  const space = new MemorySpace();
  const [a, heads] = [temporaryFolder(t), new TestHeads()];
  const key = ClusterKey.make(a);
  const small = { fileBytes: 40_000, keepBytes: 200_000 };
  const audit = await openCopied(a, space, key, heads, small);
  const b = beside(t, a);
  const catchUp = async () => {
    const { local } = await LocalAudit.open(b, (after) => readPieces(space, key, 'audit', { after }));
    await local.close();
  };
  for (let from = 1; from < 1200; from += 100) {
    await write(audit, from, 100);
    await catchUp();
  }
  await audit.close();
  await catchUp();
  const contents = (data: string) => filesOf(data).map((file) => readFileSync(file, 'utf8'));
  assert.ok(contents(a).length > 3);
  assert.deepEqual(contents(b), contents(a));
  assert.equal(verdictOf(b, heads.line).fault, undefined);
});

test('while the disk refuses, a line that etcd has is acknowledged, later ones are not, and none is there twice', async (t) => {
  const space = new MemorySpace();
  const [a, heads] = [temporaryFolder(t), new TestHeads()];
  const key = ClusterKey.make(a);
  const audit = await openCopied(a, space, key, heads);
  let isFull = false;
  const append = AuditFiles.prototype.append;
  t.mock.method(AuditFiles.prototype, 'append', async function (this: AuditFiles, lines: readonly string[]) {
    if (isFull) {
      throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
    }
    await append.call(this, lines);
  });
  await write(audit, 1, 3);
  isFull = true;
  await audit.append(entry(4));
  assert.throws(() => audit.requireWritable(), /cannot be written \(ENOSPC\)/);
  await assert.rejects(audit.append(entry(5)), /no room/);
  isFull = false;
  await until('it can be written', () => {
    try {
      audit.requireWritable();
      return true;
    } catch {
      return false;
    }
  });
  await write(audit, 6, 1);
  await audit.close();
  const resources = readFileSync(path.join(a, 'audit.log'), 'utf8').matchAll(/"resource":"policies\/(\d)"/g);
  assert.deepEqual(
    [...resources].map(([, number]) => number),
    ['1', '2', '3', '4', '5', '6'],
  );
  assert.equal(verdictOf(a, heads.line).fault, undefined);
  const b = beside(t, a);
  const { local } = await LocalAudit.open(b, (after) => readPieces(space, key, 'audit', { after }));
  await local.close();
  assert.ok(same(a, b, 'audit.log'));
});

test('a follower keeps its copies where etcd has lost the authority, and follows again when it is back', async (t) => {
  const space = new MemorySpace();
  const data = temporaryFolder(t);
  const key = ClusterKey.make(data);
  const writer = new SharedWriter(space);
  const mark: Mark = { state: 'shared', host: 'ctl-1', data: '/a' };
  const contents = { 'ca.key': 'key', 'ca.crt': 'certificate', 'admin-token': 'token' };
  const files = await SharedFiles.open(writer, key, [markOperation(key, mark)]);
  await files.write(contents);
  const follower = await followShared({ data, store: { shared: space }, log });
  t.after(() => follower.close());
  const has = () => Object.entries(contents).every(([name, text]) => isText(data, name, text));
  assert.ok(has());
  await files.write({ 'admin-token': undefined });
  await until('a token that ended is gone', () => !existsSync(path.join(data, 'admin-token')));
  await files.write({ 'admin-token': 'token' });
  await until('it is back', has);

  const gone = async (what: string, reason: RegExp, ops: readonly SharedOperation[]) => {
    const kept = [...space.keys.values()];
    await writer.write(ops);
    await until(`${what}: it says so`, () => reason.test(follower.problem ?? ''));
    assert.ok(has(), what);
    await writer.write(kept.map(({ key, value }): SharedOperation => ({ type: 'put', key, value })));
    await until(`${what}: it follows again`, () => follower.problem === undefined, { limitMs: 5000 });
    assert.ok(has(), what);
  };
  const all = () => [...space.keys.keys()].filter((name) => name !== WRITES_KEY);
  const remove = (...keys: string[]) => keys.map((name): SharedOperation => ({ type: 'delete', key: name }));
  await gone('all', /nothing that controllers share/, remove(...all()));
  await gone('the files', /no authority any more/, remove(...all().filter((name) => name.startsWith('files/'))));
  await gone('the key', /no authority any more/, remove('files/ca.key', 'files/admin-token'));
  const moving: Mark = { state: 'moving', id: 'x', host: 'ctl-2', data: '/b' };
  const restore = [markOperation(key, moving), ...remove(...all().filter((name) => name.startsWith('files/')))];
  await gone('a restore', /data directory [/]b on the host ctl-2 .*start that one first/, restore);

  // What is there when it begins counts as well.
  await follower.close();
  await writer.write(remove('files/ca.key'));
  await assert.rejects(followShared({ data, store: { shared: space }, log }), /no authority any more/);
  assert.ok(has());
});

test('the data directory is not left to a leader while it is written to, also on a slow disk', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const a = newData(t);
  await (await start(a, { etcd: { endpoints } })).stop();
  const appends = { begun: 0, ended: 0 };
  const append = AuditFiles.prototype.append;
  t.mock.method(AuditFiles.prototype, 'append', async function (this: AuditFiles, lines: readonly string[]) {
    // As long as a disk may hang.
    await sleep(appends.begun++ === 0 ? 1500 : 0);
    await append.call(this, lines);
    appends.ended++;
  });
  const files = new FollowedFiles({ data: newData(t, a), etcd: { endpoints }, log, changed: () => undefined });
  files.open();
  await until('it writes', () => appends.begun > 0);
  await files.close();
  assert.ok(appends.begun > 0);
  assert.equal(appends.ended, appends.begun);
});
