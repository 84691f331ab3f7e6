/** `mirrorplane store`: a store moves to etcd and back, and a controller goes on from a backup. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { parseJoinToken } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { writeBackup } from '../../src/backup/backup-file.ts';
import { type ControllerOptions, startController } from '../../src/index.ts';
import { etcdOptionsOf } from '../../src/store/options.ts';
import { verdictOf } from '../audit-log.ts';
import { Bench, certificateRequest, temporaryFolder } from '../harness.ts';
import { run } from './commands.ts';
import { startEtcd } from './etcd-members.ts';

/** Starts controllers in folders, and ends them before what was started earlier. */
function useControllers(t: TestContext) {
  const running: Bench[] = [];
  t.after(() => Promise.all(running.map((bench) => bench.stop())));
  return async (data: string, options: Partial<ControllerOptions> = {}) => {
    const logger = createLog('controller', 'silent');
    const on = { listen: ['127.0.0.1:0'], agentListen: '127.0.0.1:0' };
    const controller = await startController({ data, logger, ...on, ...options });
    const bench = Bench.at(data, controller);
    bench.controller = controller;
    running.push(bench);
    return bench;
  };
}

/** A folder for a controller. */
const newData = (t: TestContext) => mkdtempSync(path.join(temporaryFolder(t), 'data-'));

/** A cluster with a policy, an agent, and a join token that nobody has used. */
async function fillCluster(bench: Bench) {
  const [agent] = await bench.agents('node-1');
  await bench.declare('a', 'b');
  await bench.must('PUT', '/api/v1/nodes/node-2', { pool: 'east' });
  const token = await bench.joinToken('node-2');
  await bench.must('POST', '/api/v1/policies', { name: 'one', sources: ['a'], destination: 'b' });
  agent.close();
  return { credentials: bench.credentialsOf('node-1'), token, revision: await revisionOf(bench) };
}

const revisionOf = async (bench: Bench) => (await bench.get('/api/v1/policies/one')).body.revision as number;

/** Lines of the audit log that say what was done. */
function doneLines(data: string): string[] {
  const lines = readFileSync(path.join(data, 'audit.log'), 'utf8').trim().split('\n');
  return lines
    .map((line) => JSON.parse(line))
    .filter(({ outcome, resource }) => outcome === 'done' && resource !== 'store/shared' && resource !== 'store')
    .map(({ action, resource, revision }) => `${action} ${resource} ${revision}`);
}

/** Entries of the audit log of one action. */
function entriesOf(data: string, wanted: string): { resource: string; detail: string }[] {
  const lines = readFileSync(path.join(data, 'audit.log'), 'utf8').trim().split('\n');
  return lines.map((line) => JSON.parse(line)).filter(({ action }) => action === wanted);
}

/** What the audit log tells about restores. */
const restoresIn = (data: string) => entriesOf(data, 'restore').map(({ detail }) => detail);

/** The controller has the identities of before: its agent, and the token that nobody has used. */
async function assertSameIdentities(bench: Bench, { credentials, token }: Awaited<ReturnType<typeof fillCluster>>) {
  const agent = await bench.connect(credentials);
  agent.hello('node-1');
  const { csr } = await certificateRequest('node-2');
  const { secret } = parseJoinToken(token);
  const reply = await bench.enroll({ node: 'node-2', secret, csr });
  assert.equal(reply.status, 200, reply.text);
  assert.equal(reply.body.authority, credentials.authority);
  assert.equal(verdictOf(bench.data).fault, undefined);
}

test('store copy moves a store to etcd and back: agents, tokens, audit log and revisions go on', async (t) => {
  const start = useControllers(t);
  const data = newData(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const etcd = { endpoints };
  const where = ['--data', data, '--etcd', endpoints.join()];
  const before = await start(data);
  const known = await fillCluster(before);
  await before.stop();
  const lines = doneLines(data);
  assert.match(await run('copy', ...where, '--to', 'etcd'), /copied \d+ keys \(SHA-256 [0-9a-f]{64}\) to etcd/);

  const inEtcd = await start(data, { etcd });
  assert.deepEqual(doneLines(data), lines);
  const revision = await revisionOf(inEtcd);
  assert.ok(revision > known.revision, `${revision} after ${known.revision}`);
  const stale = await inEtcd.put('/api/v1/domains/blue', {}, { headers: { 'if-match': `"${known.revision}"` } });
  assert.equal(stale.status, 412);
  await assertSameIdentities(inEtcd, known);
  await inEtcd.must('PUT', '/api/v1/domains/later', {});
  await inEtcd.stop();

  await assert.rejects(run('copy', ...where, '--to', 'file'), /the store to write has \d+ keys: say --overwrite/);
  await run('copy', ...where, '--to', 'file', '--overwrite');
  const again = await start(data);
  assert.equal((await again.get('/api/v1/domains/later')).status, 200);
  assert.ok((await revisionOf(again)) > revision);
  assert.equal(verdictOf(data).fault, undefined);
  await again.stop();

  // As after a copy that was killed.
  await ctl('put', '/mirrorplane/store/meta/filling', 'true');
  await assert.rejects(start(data, { etcd }), /only a part of a copy/);
  await run('copy', ...where, '--to', 'etcd');
  await (await start(data, { etcd })).stop();
});

test('a clock that was ahead is told, and mended by store reset-time, with a file and with etcd', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  for (const options of [{}, { etcd: { endpoints } }]) {
    const data = newData(t);
    const where = ['--data', data, ...('etcd' in options ? ['--etcd', endpoints.join()] : [])];
    const endsAt = new Date(Date.now() + 3_600_000).toISOString();
    const spec = { name: 'one', sources: ['a'], destination: 'b', endsAt };
    const wrong = await start(data, { ...options, clock: () => Date.now() + 3 * 3_600_000 });
    await wrong.cluster();
    await wrong.declare('a', 'b');
    await wrong.stop();

    const ahead = await start(data, options);
    const refused = await ahead.post('/api/v1/policies', spec);
    assert.match(refused.body.errors[0].message, new RegExp(`^${endsAt} is past: for the controller it is 20`));
    const timeProblems = async (bench: Bench) =>
      (await bench.get('/api/v1/status')).body.problems.filter(({ message }: { message: string }) =>
        /^the latest time seen, 20\S+Z, is 3 h ahead of this host: .*store reset-time/.test(message),
      );
    assert.equal((await timeProblems(ahead)).length, 1);
    await assert.rejects(run('reset-time', ...where), /another (process|controller) uses/);
    await ahead.stop();

    assert.match(await run('reset-time', ...where), /^removed the latest time seen, 20\S+Z, from .*latest-time/);
    const mended = await start(data, options);
    assert.equal((await timeProblems(mended)).length, 0);
    await mended.must('POST', '/api/v1/policies', spec);
    await mended.stop();
    await (await start(data, options)).stop();
    assert.deepEqual(
      entriesOf(data, 'remove').map(({ resource }) => resource),
      ['store/latest-time'],
      'it is told once',
    );
  }
  const empty = newData(t);
  await assert.rejects(run('reset-time', '--data', empty), /store.db is not there/);
  await (await start(empty)).stop();
  await run('reset-time', '--data', empty);
  assert.match(await run('reset-time', '--data', empty), /nothing was changed/);
});

test('a backup of an embedded store is restored on another host, and is refused where a controller was', async (t) => {
  const start = useControllers(t);
  const data = newData(t);
  const file = path.join(temporaryFolder(t), 'backup');
  const before = await start(data);
  const known = await fillCluster(before);
  await assert.rejects(
    run('copy', '--to', 'etcd', '--etcd', 'http://127.0.0.1:1', '--data', data),
    /another process uses/,
  );
  await before.stop();
  assert.match(await run('backup', file, '--data', data), /wrote \d+ keys .*, and \d+ files of .*: keep it secret/);
  assert.equal(statSync(file).mode & 0o777, 0o600);
  assert.match(await run('verify', file), /is whole: \d+ keys .*, made by version \S+ at 20/);
  const later = await start(data);
  await later.must('PUT', '/api/v1/domains/later', {});
  await later.stop();

  const other = path.join(newData(t), 'new');
  await run('restore', file, '--data', other);
  const restored = await start(other);
  await assertSameIdentities(restored, known);
  assert.equal((await restored.get('/api/v1/policies/one')).status, 200);
  assert.equal((await restored.get('/api/v1/domains/later')).status, 404);
  await restored.stop();
  assert.equal(restoresIn(other).length, 1);

  await assert.rejects(run('restore', file, '--data', data), /has files of a controller .*say --overwrite/);
  const said = await run('restore', file, '--data', data, '--overwrite');
  const back = await start(data);
  assert.equal((await back.get('/api/v1/domains/later')).status, 404);
  assert.equal(verdictOf(data).fault, undefined);
  const madeAt = /as of (\S+)$/.exec(said)![1]!;
  assert.match(
    restoresIn(data).join(),
    new RegExp(`has restored the backup of ${madeAt} .* what was revoked is valid`),
  );
  await back.stop();
  await (await start(data)).stop();
  assert.equal(restoresIn(data).length, 1, 'it is told once');
  assert.equal(restoresIn(other).length, 1, 'where it was restored');
});

test('a backup of a store in etcd is made while the controller runs, and restored to another etcd', async (t) => {
  const start = useControllers(t);
  const data = newData(t);
  const file = path.join(temporaryFolder(t), 'backup');
  const [first, second] = [await startEtcd(t, 1), await startEtcd(t, 1)];
  const before = await start(data, { etcd: { endpoints: first.endpoints } });
  const known = await fillCluster(before);
  await run('backup', file, '--data', data, '--etcd', first.endpoints.join());
  await before.must('PUT', '/api/v1/domains/later', {});
  await before.stop();

  const other = path.join(newData(t), 'new');
  await run('restore', file, '--data', other, '--etcd', second.endpoints.join());
  assert.equal(existsSync(path.join(other, 'store.db')), false);
  const restored = await start(other, { etcd: { endpoints: second.endpoints } });
  await assertSameIdentities(restored, known);
  assert.equal((await restored.get('/api/v1/domains/later')).status, 404);
  assert.equal(restoresIn(other).length, 1);
});

test('a backup that is cut short, damaged, or none at all is refused, and nothing is written', async (t) => {
  const start = useControllers(t);
  const data = newData(t);
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'backup');
  await (await start(data)).stop();
  await run('backup', file, '--data', data);
  const bytes = readFileSync(file);
  const damaged = Buffer.from(bytes);
  damaged[bytes.length - 200]! ^= 1;
  const other = newData(t);
  for (const [name, content] of [
    ['short', bytes.subarray(0, bytes.length - 100)],
    ['damaged', damaged],
    ['none', Buffer.from('a text')],
  ] as const) {
    writeFileSync(path.join(folder, name), content);
    await assert.rejects(
      run('restore', path.join(folder, name), '--data', other),
      /is not a backup, or is damaged|digest/,
    );
    await assert.rejects(run('verify', path.join(folder, name)), /is not a backup, or is damaged|digest/);
  }
  await assert.rejects(run('restore', path.join(folder, 'absent'), '--data', other), /there is no file .*absent/);
  assert.deepEqual(readdirSync(other), []);
});

test('a backup that somebody made to write elsewhere is refused, and nothing is written', async (t) => {
  const folder = temporaryFolder(t);
  const data = path.join(folder, 'data');
  const head = { version: '0.1.0', madeAt: new Date().toISOString(), revision: 1 };
  for (const name of ['../x-token', '/x-token', 'counters/a.json/../../../x', 'counters/../../x.json', 'store.db']) {
    const file = path.join(folder, 'backup');
    await writeBackup(
      file,
      head,
      (async function* () {
        yield { file: name, content: '' };
      })(),
    );
    await assert.rejects(run('restore', file, '--data', data), /which is none of a controller/, name);
  }
  assert.deepEqual(readdirSync(folder), ['backup']);
});

test('neither a restore nor a backup follows a link in the data directory', async (t) => {
  const folder = temporaryFolder(t);
  const [elsewhere, data, file] = ['elsewhere', 'data', 'backup'].map((name) => path.join(folder, name)) as [
    string,
    string,
    string,
  ];
  mkdirSync(elsewhere, { mode: 0o700 });
  mkdirSync(data, { mode: 0o700 });
  const own = path.join(elsewhere, 'own.json');
  writeFileSync(own, 'own');
  symlinkSync(own, `${file}.new`);
  const lines = async function* () {
    yield { key: 'domains/one', value: {} };
    yield { file: 'counters/own.json', content: 'e30=' };
  };
  await writeBackup(file, { version: '0.1.0', madeAt: new Date().toISOString(), revision: 1 }, lines());
  symlinkSync(elsewhere, path.join(data, 'counters'));
  await assert.rejects(run('restore', file, '--data', data), /ENOTDIR|ELOOP/);
  assert.equal(readFileSync(own, 'utf8'), 'own');
  assert.deepEqual(readdirSync(elsewhere), ['own.json']);

  const other = newData(t);
  const start = useControllers(t);
  await (await start(other)).stop();
  symlinkSync(own, path.join(other, 'linked-token'));
  await assert.rejects(run('backup', `${file}-2`, '--data', other), /ELOOP/);
});

test('etcd on other hosts is used in clear text only if that is wanted', () => {
  for (const url of ['http://192.0.2.1:2379', 'http://etcd-2:2379', 'http://[2001:db8::1]:2379']) {
    const etcd = ['https://192.0.2.1:2379', url];
    assert.throws(() => etcdOptionsOf({ etcd }), /http:.* is not encrypted.*--etcd-insecure-http/);
    assert.deepEqual(etcdOptionsOf({ etcd, etcdInsecureHttp: true })?.endpoints, etcd);
  }
  const here = ['http://127.0.0.1:2379', 'http://[::1]:2379', 'http://localhost:2379'];
  assert.deepEqual(etcdOptionsOf({ etcd: here })?.endpoints, here);
});
