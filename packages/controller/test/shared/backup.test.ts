/** Copies and backups of a store whose controllers share their files. */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { followShared } from '../../src/shared/follow.ts';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { verdictOf } from '../audit-log.ts';
import { type Bench, temporaryFolder } from '../harness.ts';
import { run } from '../store/commands.ts';
import { startEtcd } from '../store/etcd-members.ts';
import { newData, useControllers } from './controllers.ts';

const log = createLog('controller', 'silent');
const read = (data: string, name: string) => readFileSync(path.join(data, name), 'utf8');
const matched = async (bench: Bench) => (await bench.get('/api/v1/policies/one/status')).body.totals.matched.packets;

/** A policy whose agent has counted ten packets. */
async function count(bench: Bench): Promise<void> {
  const [agent] = await bench.agents('node-1');
  await bench.declare('a', 'b');
  const { uid } = await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  agent.inventory({
    ...{ name: 'tap7', ifindex: 7, mac: '02:00:00:00:00:07', mtu: 1500, up: true, linkType: 'tun' },
    identity: { kind: 'vm', id: 'a', name: 'a', provider: 'alias' },
  });
  const zero = { packets: 0, bytes: 0 };
  const ten = { packets: 10, bytes: 1000 };
  const counts = { matched: ten, sampledOut: zero, copied: ten, truncated: zero, dropped: {}, skipped: {} };
  const captures = [{ policy: uid, source: 'a', direction: 'inbound', counts }] as const;
  const none = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  agent.send({ type: 'counters', report: { epoch: 'e', captures: [...captures], ...none } });
  await until('it is counted', async () => (await matched(bench)) === 10);
}

/** A controller with etcd, and a backup of it. It does not run any more. */
async function backedUp(t: TestContext, start: ReturnType<typeof useControllers>) {
  const { endpoints } = await startEtcd(t, 1);
  const a = newData(t);
  const one = await start(a, { etcd: { endpoints } });
  await one.cluster('node-1');
  const file = path.join(temporaryFolder(t), 'backup');
  await run('backup', file, '--data', a, '--etcd', endpoints.join());
  await one.stop();
  return { a, file };
}

test('by the key alone, a backup is made and a store is copied to the file: authority, logs and totals are in both', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const where = ['--etcd', endpoints.join()];
  const a = newData(t);
  const before = await start(a, { etcd });
  await count(before);
  await before.stop();
  const file = path.join(temporaryFolder(t), 'backup');
  const [without, b, c, d] = [newData(t), newData(t, a), newData(t, a), newData(t)];
  await assert.rejects(run('backup', file, '--data', without, ...where), /there is no .*cluster[.]key.*copy/);
  await run('backup', file, '--data', b, ...where);
  assert.deepEqual(readdirSync(b), ['cluster.key']);
  await assert.rejects(run('copy', '--to', 'file', '--data', without, ...where), /there is no .*cluster[.]key.*copy/);
  await run('copy', '--to', 'file', '--data', c, ...where);
  await run('restore', file, '--data', d);
  for (const data of [c, d]) {
    assert.equal(read(data, 'ca.key'), read(a, 'ca.key'));
    assert.equal(read(data, 'admin-token'), read(a, 'admin-token'));
    assert.equal(read(data, 'audit.log'), read(a, 'audit.log'));
    assert.equal(read(data, 'events.log'), read(a, 'events.log'));
    const after = await start(data);
    assert.equal(await matched(after), 10);
    assert.equal(verdictOf(data).fault, undefined);
    await after.stop();
  }
});

test('after a restore to etcd, the first start shares the restored files, and not those of before', async (t) => {
  const start = useControllers(t);
  const { a, file } = await backedUp(t, start);
  const second = await startEtcd(t, 1);
  const b = newData(t);
  await (await start(b, { etcd: { endpoints: second.endpoints } })).stop();
  const restore = ['restore', file, '--data', b, '--etcd', second.endpoints.join()];
  await assert.rejects(run(...restore), /say --overwrite/);
  await run(...restore, '--overwrite');
  const restored = await start(b, { etcd: { endpoints: second.endpoints } });
  assert.equal(read(b, 'ca.key'), read(a, 'ca.key'));
  assert.ok(read(b, 'audit.log').startsWith(read(a, 'audit.log').split('\n').slice(0, 3).join('\n')));
  assert.equal(verdictOf(b).fault, undefined);
  await restored.stop();
  const c = newData(t, b);
  const next = await start(c, { etcd: { endpoints: second.endpoints } });
  assert.equal(read(c, 'ca.key'), read(a, 'ca.key'));
  assert.equal(verdictOf(c).fault, undefined);
  await next.stop();
});

test('after a restore to etcd, no controller but that of the restored directory begins, and none makes an authority', async (t) => {
  const start = useControllers(t);
  const { a, file } = await backedUp(t, start);
  const second = await startEtcd(t, 1);
  const b = newData(t);
  const etcd = { endpoints: second.endpoints };
  await (await start(b, { etcd })).stop();
  const [copies, keyAlone, empty, restored] = [newData(t, b), newData(t, b), newData(t), newData(t)];
  await (await start(copies, { etcd })).stop();
  const before = read(copies, 'ca.key');
  assert.equal(before, read(b, 'ca.key'));

  await run('restore', file, '--data', restored, '--etcd', etcd.endpoints.join(), '--overwrite');
  const stored = () => second.ctl('get', '/mirrorplane/shared/', '--prefix');
  const mark = await stored();
  const store = await openEtcdStore({ endpoints: etcd.endpoints, readOnly: true });
  t.after(() => store.close());
  for (const data of [copies, keyAlone, empty]) {
    const files = readdirSync(data);
    await assert.rejects(
      start(data, { etcd }),
      new RegExp(`data directory ${restored} on the host .*start that one first`),
    );
    await assert.rejects(followShared({ data, store, log }), /start that one first/);
    assert.deepEqual(readdirSync(data), files);
  }
  assert.equal(read(copies, 'ca.key'), before);
  assert.equal(await stored(), mark);
  assert.ok(!existsSync(path.join(keyAlone, 'ca.key')));

  const next = await start(restored, { etcd });
  assert.equal(read(restored, 'ca.key'), read(a, 'ca.key'));
  assert.deepEqual(
    readdirSync(restored).filter((name) => name.startsWith('moving')),
    [],
  );
  await next.stop();
  copyFileSync(path.join(restored, 'cluster.key'), path.join(copies, 'cluster.key'));
  await (await start(copies, { etcd })).stop();
  assert.equal(read(copies, 'ca.key'), read(a, 'ca.key'));
});

test('after a copy to etcd, another controller with files of its own does not begin', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const [a, b] = [newData(t), newData(t)];
  for (const data of [a, b]) {
    const alone = await start(data);
    await alone.cluster('node-1');
    await alone.stop();
  }
  await run('copy', '--to', 'etcd', '--data', a, '--etcd', endpoints.join());
  const before = read(b, 'ca.key');
  await assert.rejects(start(b, { etcd: { endpoints } }), /start that one first/);
  assert.equal(read(b, 'ca.key'), before);
  const key = read(a, 'ca.key');
  await (await start(a, { etcd: { endpoints } })).stop();
  assert.equal(read(a, 'ca.key'), key);
});
