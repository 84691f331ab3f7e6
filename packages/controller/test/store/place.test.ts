/** A store is in the file or in etcd, and not in both: who looks in the wrong place is told where it is. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { writeBackup } from '../../src/backup/backup-file.ts';
import { FollowedFiles } from '../../src/followed-files.ts';
import { etcdPlace, keepPlace } from '../../src/store/place.ts';
import { verdictOf } from '../audit-log.ts';
import { temporaryFolder } from '../harness.ts';
import { newData, useControllers } from '../shared/controllers.ts';
import { run } from './commands.ts';
import { startEtcd } from './etcd-members.ts';

const log = createLog('controller', 'silent');
const read = (data: string, name: string) => readFileSync(path.join(data, name), 'utf8');

/** A controller that does not lead, as far as files go. */
function follow(t: TestContext, data: string, endpoints: readonly string[]): FollowedFiles {
  const files = new FollowedFiles({ data, etcd: { endpoints }, log, changed: () => undefined });
  files.open();
  t.after(() => files.close());
  return files;
}

/** An etcd, a data directory with a store in a file, and the options for both. */
async function made(t: TestContext) {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const data = newData(t);
  const before = await start(data);
  await before.must('PUT', '/api/v1/domains/first', {});
  await before.stop();
  return { start, etcd, ctl, data, where: ['--data', data, '--etcd', endpoints.join()] };
}

test('after a copy to etcd, nothing goes on with the old file before the store is copied back', async (t) => {
  const { start, etcd, data, where } = await made(t);
  const file = path.join(temporaryFolder(t), 'backup');
  await run('backup', file, '--data', data);
  assert.match(await run('copy', '--to', 'etcd', ...where), /start the controller with --etcd/);
  const assertRefused = async () => {
    const inEtcd = new RegExp(`the store of ${data} is in etcd.*--etcd ${etcd.endpoints}.*copy --to file`);
    await assert.rejects(start(data), inEtcd);
    await assert.rejects(run('backup', `${file}-2`, '--data', data), inEtcd);
    await assert.rejects(run('restore', file, '--data', data, '--overwrite'), inEtcd);
    await assert.rejects(run('copy', '--to', 'etcd', ...where, '--overwrite'), /in etcd already/);
  };
  await assertRefused();
  const leader = await start(data, { etcd });
  await leader.must('PUT', '/api/v1/domains/later', {});
  await leader.stop();
  await assertRefused();
  assert.equal(existsSync(`${file}-2`), false);
  await run('backup', `${file}-2`, ...where);

  assert.match(await run('copy', '--to', 'file', ...where, '--overwrite'), /without --etcd.*disable the others/);
  const back = await start(data);
  assert.equal((await back.get('/api/v1/domains/later')).status, 200);
  await back.stop();
  await run('backup', `${file}-3`, '--data', data);
});

test('after a copy to a file, no controller leads in etcd, and those that follow say where the store is', async (t) => {
  const { start, etcd, ctl, data, where } = await made(t);
  await run('copy', '--to', 'etcd', ...where);
  await (await start(data, { etcd })).stop();
  const follower = follow(t, newData(t, data), etcd.endpoints);
  await until('it could lead', () => follower.canLead);
  await run('copy', '--to', 'file', ...where, '--overwrite');
  await until('the follower has heard it', () => !follower.canLead && follower.problem);
  const away = /copied to the file of .* on the host .* at 20.*goes on there.*copy --to etcd --overwrite/;
  assert.match(follower.problem!, away);
  const stored = await ctl('get', '/mirrorplane/s', '--prefix');
  const other = newData(t, data);
  await assert.rejects(start(other, { etcd }), away);
  await assert.rejects(start(data, { etcd }), away);
  const late = follow(t, other, etcd.endpoints);
  await until('one that starts says it', () => late.problem);
  assert.match(late.problem!, away);
  assert.equal(late.canLead, false);
  const there = ['--data', other, '--etcd', etcd.endpoints.join()];
  await assert.rejects(run('backup', path.join(temporaryFolder(t), 'b'), ...there), away);
  await assert.rejects(run('copy', '--to', 'file', ...there), away);
  await assert.rejects(run('copy', '--to', 'file', ...where, '--overwrite'), away);
  assert.equal(await ctl('get', '/mirrorplane/s', '--prefix'), stored);
  assert.deepEqual(readdirSync(other), ['cluster.key']);

  const alone = await start(data);
  await alone.must('PUT', '/api/v1/domains/later', {});
  await alone.stop();
  await assert.rejects(run('copy', '--to', 'etcd', ...where), /say --overwrite/);
  await run('copy', '--to', 'etcd', ...where, '--overwrite');
  const again = await start(data, { etcd });
  assert.equal((await again.get('/api/v1/domains/later')).status, 200);
  assert.equal(verdictOf(data).fault, undefined);
  await until('the followers can lead again', () => follower.canLead && late.canLead);
});

test('a restore with --overwrite takes a store back to etcd that was copied to a file', async (t) => {
  const { start, etcd, data, where } = await made(t);
  const file = path.join(temporaryFolder(t), 'backup');
  await run('copy', '--to', 'etcd', ...where);
  await (await start(data, { etcd })).stop();
  await run('backup', file, ...where);
  await run('copy', '--to', 'file', ...where, '--overwrite');
  const other = newData(t, data);
  const there = ['--data', other, '--etcd', etcd.endpoints.join()];
  await assert.rejects(run('restore', file, ...there), /say --overwrite/);
  await run('restore', file, ...there, '--overwrite');
  await assert.rejects(start(other), /is in etcd.*--etcd http/);
  const restored = await start(other, { etcd });
  assert.equal((await restored.get('/api/v1/domains/first')).status, 200);
});

test('a copy to etcd and back without a start in between keeps the authority and the tokens', async (t) => {
  const { start, data, where } = await made(t);
  const files = ['ca.key', 'ca.crt', 'admin-token', 'audit.log', 'events.log'];
  const before = files.map((name) => read(data, name));
  await run('copy', '--to', 'etcd', ...where);
  await assert.rejects(
    run('copy', '--to', 'file', '--data', newData(t, data), ...where.slice(2)),
    /start that one first/,
  );
  await run('copy', '--to', 'file', ...where, '--overwrite');
  assert.deepEqual(
    files.map((name) => read(data, name)),
    before,
  );
  assert.equal(existsSync(path.join(data, 'moving-to-etcd')), false);
  const back = await start(data);
  assert.equal((await back.get('/api/v1/domains/first')).status, 200);
  assert.equal(verdictOf(data).fault, undefined);
});

test('after a copy that was cut off, one place has the store at most, and the copy can be repeated', async (t) => {
  const { start, etcd, ctl, data, where } = await made(t);
  const filling = '/mirrorplane/store/meta/filling';
  await run('copy', '--to', 'etcd', ...where);
  // Etcd has not all yet: the store is still the file.
  await ctl('put', filling, 'true');
  keepPlace(data, undefined);
  await assert.rejects(start(data, { etcd }), /only a part of a copy/);
  await (await start(data)).stop();
  await run('copy', '--to', 'etcd', ...where);
  // Etcd has all, and does not know it.
  await ctl('put', filling, 'true');
  await assert.rejects(start(data), /is in etcd/);
  await assert.rejects(start(data, { etcd }), /only a part of a copy/);
  await run('copy', '--to', 'etcd', ...where);
  await (await start(data, { etcd })).stop();
  // The way back: etcd is left, and the directory does not know it.
  await run('copy', '--to', 'file', ...where, '--overwrite');
  keepPlace(data, etcd);
  await assert.rejects(start(data), /is in etcd/);
  await assert.rejects(start(data, { etcd }), /goes on there/);
  await run('copy', '--to', 'file', ...where, '--overwrite');
  const back = await start(data);
  assert.equal((await back.get('/api/v1/domains/first')).status, 200);
});

test('a data directory of an earlier release, which has no note, is judged by what was written last', async (t) => {
  const { start, etcd, data, where } = await made(t);
  const note = path.join(data, 'store-place');
  const write = (name: string, seconds: number) => utimesSync(path.join(data, name), seconds, seconds);
  assert.equal(existsSync(note), false);
  await run('copy', '--to', 'etcd', ...where);
  await (await start(data, { etcd })).stop();
  writeFileSync(path.join(data, 'runs'), 'one\n');
  for (const [newest, older] of [
    ['runs', 'cluster.key'],
    ['cluster.key', 'runs'],
  ] as const) {
    rmSync(note);
    write(older, 1000);
    write('store.db', 2000);
    write(newest, 3000);
    await assert.rejects(start(data), /is in etcd.*--etcd https:[/][/]HOST:2379/);
    assert.equal(existsSync(note), false);
    await (await start(data, { etcd })).stop();
    assert.equal(read(data, 'store-place'), `etcd\n${etcd.endpoints.join('\n')}\n`);
  }
  // It was copied back to the file: nothing was written over etcd since.
  rmSync(note);
  write('store.db', 4000);
  await (await start(data)).stop();
  assert.equal(read(data, 'store-place'), 'file\n');
  // A copy of the directory may have other times.
  write('store.db', 100);
  assert.equal(etcdPlace(data), undefined);
  await (await start(data)).stop();
});

test('a directory that has only cluster.key, or follows, is refused without --etcd, and stays as it is', async (t) => {
  const { start, etcd, data } = await made(t);
  await (await start(data, { etcd })).stop();
  const alone = newData(t, data);
  for (const tried of [start(alone), run('backup', path.join(temporaryFolder(t), 'b'), '--data', alone)]) {
    await assert.rejects(tried, /is in etcd/);
  }
  assert.deepEqual(readdirSync(alone), ['cluster.key']);
  const follower = follow(t, alone, etcd.endpoints);
  await until('it follows', () => follower.canLead);
  await follower.close();
  assert.deepEqual(etcdPlace(alone), { endpoints: etcd.endpoints });
  await assert.rejects(start(alone), /is in etcd/);
  // What the message says of an etcd that is given up.
  writeFileSync(path.join(alone, 'store-place'), 'file\n');
  await (await start(alone)).stop();
});

test('a backup of nothing is refused, made or restored', async (t) => {
  const { etcd, data } = await made(t);
  const file = path.join(temporaryFolder(t), 'backup');
  const where = ['--etcd', etcd.endpoints.join()];
  await assert.rejects(run('backup', file, '--data', data, ...where), /etcd .*has no store of a controller, 0 keys/);
  const absent = path.join(temporaryFolder(t), 'absent');
  await assert.rejects(run('backup', file, '--data', absent, ...where), /there is no directory .*absent/);
  await assert.rejects(run('copy', '--to', 'file', '--data', data, ...where, '--overwrite'), /0 keys/);
  assert.equal(existsSync(file), false);
  const authority = read(data, 'ca.key');
  const lines = async function* () {
    yield { file: 'ca.key', content: 'e30=' };
  };
  await writeBackup(file, { version: '0.1.0', madeAt: new Date().toISOString(), revision: 0 }, lines());
  await assert.rejects(run('verify', file), /backup has no store of a controller/);
  await assert.rejects(run('restore', file, '--data', data, '--overwrite'), /backup has no store of a controller/);
  assert.equal(read(data, 'ca.key'), authority);
});

test('a backup to a folder that is not there says which one to make', async (t) => {
  const { data } = await made(t);
  const folder = path.join(temporaryFolder(t), 'absent');
  await assert.rejects(
    run('backup', path.join(folder, 'x'), '--data', data),
    new RegExp(`cannot write ${folder}/x: there is no folder ${folder}: make it`),
  );
});
