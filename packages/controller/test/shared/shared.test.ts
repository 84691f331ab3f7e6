/** A controller with only the key of the cluster goes on where another one was. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { Authority } from '../../src/auth/authority.ts';
import { openShared } from '../../src/shared/shared.ts';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { verdictOf } from '../audit-log.ts';
import type { Bench } from '../harness.ts';
import { by, firstPassword, makeUser, signIn } from '../people-client.ts';
import { startEtcd } from '../store/etcd-members.ts';
import { newData, useControllers, writeOtherKey } from './controllers.ts';
import { MemorySpace } from './memory-space.ts';

const read = (data: string, name: string) => readFileSync(path.join(data, name), 'utf8');
const auditLines = (data: string) => read(data, 'audit.log').trim().split('\n');
const eventsOf = async (bench: Bench) =>
  (await bench.get('/api/v1/events?limit=1000')).body.items as { id: number; kind: string; message: string }[];

/** Numbers of all lines of a log, in their order. */
const numbers = (data: string) => auditLines(data).map((line) => JSON.parse(line).seq as number);

test('a controller with only the key of the cluster has authority, sessions, tokens, audit log and events of the one before', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  const before = await start(a, { etcd });
  const [agent] = await before.agents('node-1');
  await before.declare('a', 'b');
  await before.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  await until('the agent gets a program', () => agent.program);
  const password = await makeUser(before, 'ann');
  const browser = await signIn(before, { user: 'ann', password });
  const token = before.token;
  const events = await eventsOf(before);
  const authority = read(a, 'ca.crt');
  assert.equal(firstPassword(before), read(a, 'first-password').trim());
  await before.stop();
  const lines = auditLines(a);

  const b = newData(t, a);
  const after = await start(b, { etcd });
  assert.equal(read(b, 'ca.crt'), authority);
  assert.equal(read(b, 'first-password'), read(a, 'first-password'));
  assert.equal(after.token, token);
  assert.deepEqual(auditLines(b).slice(0, lines.length), lines);
  assert.deepEqual(
    numbers(b),
    numbers(b).map((_, index) => index + 1),
  );
  assert.equal(verdictOf(b).fault, undefined);
  assert.equal((await by(after, browser, 'GET', '/api/v1/policies/one')).status, 200);
  const again = await after.connect(before.credentialsOf('node-1'));
  again.hello('node-1');
  await until('the agent gets its program again', () => again.program);
  const known = new Map((await eventsOf(after)).map((event) => [event.id, event]));
  for (const event of events) {
    assert.deepEqual(known.get(event.id), event);
  }
  for (const name of readdirSync(b).filter((one) => statSync(path.join(b, one)).isFile())) {
    assert.equal(statSync(path.join(b, name)).mode & 0o777, 0o600, name);
  }
});

test('a controller without the key, or with another one, is refused with what to copy, and changes nothing', async (t) => {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  await (await start(a, { etcd })).stop();
  const all = () => ctl('get', '/mirrorplane/s', '--prefix');
  const stored = await all();
  const without = newData(t);
  await assert.rejects(start(without, { etcd }), /there is no .*cluster[.]key.*copy .*cluster[.]key of the host/);
  assert.deepEqual(readdirSync(without), []);
  const other = newData(t);
  writeOtherKey(other);
  await assert.rejects(start(other, { etcd }), /is not the key that the store in etcd is sealed with: copy/);
  assert.deepEqual(readdirSync(other), ['cluster.key']);
  assert.equal(await all(), stored);
  assert.ok(!stored.includes('PRIVATE KEY'));
  assert.ok(!stored.includes(read(a, 'admin-token').trim()));
});

test('a value that was changed, or put in the place of another one, is refused, and changes nothing', async (t) => {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  await (await start(a, { etcd })).stop();
  const storedValue = async (key: string) => {
    const { kvs } = JSON.parse(await ctl('get', `/mirrorplane/shared/${key}`, '--write-out=json'));
    return Buffer.from(kvs[0].value ?? '', 'base64');
  };
  // etcdctl takes values as arguments, which have no zero bytes: a client of the store writes them.
  const write = async (key: string, value: Buffer) => {
    const store = await openEtcdStore({ endpoints, leaseMs: 1000 });
    await store.shared!.txn({ compare: [], ops: [{ type: 'put', key, value }] });
    await store.close();
  };
  const key = await storedValue('files/ca.key');
  const flipped = Buffer.from(key);
  flipped[flipped.length >> 1]! ^= 1;
  for (const [name, value] of [
    ['a bit was flipped', flipped],
    ['the value of another key', await storedValue('files/admin-token')],
    ['cut short', key.subarray(0, 20)],
    ['empty', Buffer.from('')],
  ] as const) {
    await write('files/ca.key', value);
    const b = newData(t, a);
    await assert.rejects(start(b, { etcd }), /files\/ca[.]key in etcd cannot be opened.*Nothing was overwritten/, name);
    assert.deepEqual(readdirSync(b), ['cluster.key'], name);
    assert.deepEqual(await storedValue('files/ca.key'), Buffer.from(value), name);
  }
  await write('files/ca.key', key);
  const b = newData(t, a);
  await (await start(b, { etcd })).stop();
  assert.equal(read(b, 'ca.key'), read(a, 'ca.key'));
});

test('the first start with etcd moves the files of an installation there, once, and says so in the audit log', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  const before = await start(a);
  await before.cluster('node-1');
  await before.stop();
  assert.ok(!existsSync(path.join(a, 'cluster.key')));
  const lines = auditLines(a);
  const inEtcd = await start(a, { etcd });
  await inEtcd.must('PUT', '/api/v1/domains/later', {});
  await inEtcd.stop();
  const b = newData(t, a);
  const other = await start(b, { etcd });
  assert.deepEqual(auditLines(b).slice(0, lines.length), lines);
  const moved = auditLines(b).filter((line) => line.includes('moved to etcd'));
  assert.equal(moved.length, 1);
  assert.match(moved[0]!, /"resource":"store\/shared".*\d+ files, \d+ events, the audit log from line 1 to line \d+/);
  assert.equal(verdictOf(b).fault, undefined);
  assert.equal(read(b, 'ca.crt'), read(a, 'ca.crt'));
  await other.stop();
});

test('where etcd has nodes and no authority, the key of the cluster alone makes none, unless the operator says so', async (t) => {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  const before = await start(a, { etcd });
  await before.agents('node-1');
  await before.stop();
  await ctl('del', '/mirrorplane/shared/', '--prefix');
  for (const data of [newData(t, a), newData(t)]) {
    const files = readdirSync(data);
    await assert.rejects(
      start(data, { etcd }),
      /has no authority that has signed.*make the empty file .*new-authority/,
    );
    assert.deepEqual(readdirSync(data), files);
  }
  assert.equal(await ctl('get', '/mirrorplane/shared/', '--prefix'), '');
  const b = newData(t);
  writeFileSync(path.join(b, 'new-authority'), '');
  await (await start(b, { etcd })).stop();
  assert.ok(existsSync(path.join(b, 'ca.key')) && !existsSync(path.join(b, 'new-authority')));
});

test('lines of the audit log that never reached etcd are set aside, and the log goes on by that in etcd', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const a = newData(t);
  const before = await start(a, { etcd });
  await before.cluster('node-1');
  await before.stop();
  const known = read(a, 'audit.log');
  writeFileSync(
    path.join(a, 'audit.log'),
    `${known}{"seq":999,"prev":"${'0'.repeat(64)}","time":"2026-01-01T00:00:00Z"}\n`,
  );
  const again = await start(a, { etcd });
  assert.equal(verdictOf(a).fault, undefined);
  assert.ok(read(a, 'audit.log').startsWith(known));
  const aside = readdirSync(a).filter((name) => name.startsWith('audit-aside-'));
  assert.equal(aside.length, 1);
  assert.match(read(a, aside[0]!), /^\{"seq":999,.*\n$/);
  const told = (await eventsOf(again)).find(({ kind }) => kind === 'auditProblem');
  assert.match(told?.message ?? '', /lines that etcd does not have.*audit-aside-/);
});

test('an audited change with its events is two transactions of etcd', async (t) => {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const bench = await start(newData(t), { etcd: { endpoints } });
  await bench.cluster();
  const changes = 50;
  await bench.declare(...Array.from({ length: changes }, (_, index) => `s-${index}`), 'd');
  const revision = async () =>
    JSON.parse(await ctl('endpoint', 'status', '--write-out=json'))[0].Status.header.revision as number;
  const before = await revision();
  for (let index = 0; index < changes; index++) {
    const policy = { name: `p-${index}`, sources: [`s-${index}`], destination: 'd', enabled: false };
    await bench.must('PUT', `/api/v1/policies/${policy.name}`, policy);
  }
  // Each writes the state and its entry, and then the line of the log and the event together. A
  // checkpoint of the log is one more now and then.
  const written = (await revision()) - before;
  assert.ok(written >= 2 * changes && written <= 2 * changes + 5, `${written} transactions of ${changes} changes`);
});

test('a first start that fails before it has an authority leaves nothing in etcd', async (t) => {
  const space = new MemorySpace();
  const store = { shared: space, range: async () => ({ entries: [], revision: 1 }) };
  const log = createLog('controller', 'silent');
  const [data, other] = [newData(t), newData(t)];
  const failed = (await openShared({ data, store, log }))!;
  await failed.latestTime('1000');
  await failed.close();
  assert.equal(space.keys.size, 0);
  // Another one is the first then, with a key of its own.
  const shared = (await openShared({ data: other, store, log }))!;
  await shared.latestTime('2000');
  await Authority.open(other, Date.now, shared.files);
  await shared.close();
  assert.deepEqual([...space.keys.keys()].sort(), [
    'about',
    'files/ca.crt',
    'files/ca.key',
    'files/latest-time',
    'writes',
  ]);
  await assert.rejects(openShared({ data, store, log }), /is not the key/);
  assert.ok(await openShared({ data: newData(t, other), store, log }));
});
