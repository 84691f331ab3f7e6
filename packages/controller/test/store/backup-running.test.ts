/** A backup of a controller with an embedded store, while it runs and has much to do. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test, { type TestContext } from 'node:test';
import { promisify } from 'node:util';
import { until } from '@mirrorplane/base';
import { callApi } from '../api-call.ts';
import { temporaryFolder } from '../harness.ts';

const MAIN = path.join(import.meta.dirname, '../../src/main.ts');
const WRITERS = 4;
const BACKUPS = 2;

const execute = promisify(execFile);
const store = (...argv: string[]) => execute(process.execPath, [MAIN, 'store', ...argv]);

/** Starts a controller as a process of its own. */
async function startProcess(t: TestContext, data: string) {
  const socketPath = path.join(temporaryFolder(t), 'api.sock');
  const argv = [MAIN, '--data', data, '--listen', `unix:${socketPath}`, '--agent-listen', '127.0.0.1:0'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk;
  });
  const call = (method: string, url: string, body?: unknown) => {
    const token = readFileSync(path.join(data, 'admin-token'), 'utf8').trim();
    return callApi({ socketPath, method, url, body, headers: { authorization: `Bearer ${token}` } });
  };
  const isReady = async () => (await callApi({ socketPath, method: 'GET', url: '/readyz' })).status === 200;
  await until('the controller to be ready', () => isReady().catch(() => false), { limitMs: 120_000 });
  const stop = async () => {
    child.kill('SIGTERM');
    await once(child, 'exit');
  };
  return { call, stop, log: () => log };
}

/** What a writer knows of its resource. */
interface Written {
  name: string;
  /** Number of the last change that was acknowledged. */
  acknowledged: number;
  /** Number of the last change that was asked for. */
  asked: number;
}

test('a backup of a running controller has all that was acknowledged before it, and is whole', async (t) => {
  const data = path.join(temporaryFolder(t), 'data');
  const running = await startProcess(t, data);
  const writers: Written[] = Array.from({ length: WRITERS }, (_, index) => ({
    name: `d${index + 1}`,
    acknowledged: 0,
    asked: 0,
  }));
  let stopped = false;
  const failures: unknown[] = [];
  const writing = writers.map(async (writer) => {
    while (!stopped) {
      writer.asked++;
      const reply = await running.call('PUT', `/api/v1/domains/${writer.name}`, { description: `${writer.asked}` });
      if (reply.status >= 300) {
        failures.push(reply);
      }
      writer.acknowledged = writer.asked;
    }
  });
  await until('some changes', () => writers.every(({ acknowledged }) => acknowledged > 5));
  const made: { file: string; least: number[]; most: number[] }[] = [];
  for (let number = 1; number <= BACKUPS; number++) {
    const file = path.join(temporaryFolder(t), `backup-${number}`);
    const least = writers.map(({ acknowledged }) => acknowledged);
    await store('backup', file, '--data', data);
    made.push({ file, least, most: writers.map(({ asked }) => asked) });
  }
  stopped = true;
  await Promise.all(writing);
  assert.deepEqual(failures, []);
  assert.ok(
    writers.every(({ acknowledged }, index) => acknowledged > made[0]!.least[index]!),
    'changes went on',
  );
  await running.stop();

  for (const { file, least, most } of made) {
    const other = path.join(temporaryFolder(t), 'data');
    await store('restore', file, '--data', other);
    const audited = Math.max(...auditOf(other).map(({ revision = 0 }) => revision));
    const restored = await startProcess(t, other);
    const done = auditOf(other).filter(({ outcome, revision }) => outcome === 'done' && revision !== undefined);
    const keys = done.map(({ resource, revision }) => `${resource} ${revision}`);
    assert.equal(new Set(keys).size, keys.length, 'each change has one entry');
    for (const [index, { name }] of writers.entries()) {
      const found = Number((await restored.call('GET', `/api/v1/domains/${name}`)).body.description);
      assert.ok(least[index]! <= found && found <= most[index]!, `${name}: ${least[index]} ${found} ${most[index]}`);
      const entries = done.filter(({ resource }) => resource === `domains/${name}`).length;
      assert.ok(entries >= found, `${found} changes of ${name}, and ${entries} entries`);
    }
    const later = await restored.call('PUT', '/api/v1/domains/later', {});
    assert.ok(later.body.revision > audited, `${later.body.revision} after ${audited}`);
    assert.equal((await restored.call('GET', '/api/v1/audit/verify')).body?.fault, undefined);
    await restored.stop();
    const bad = restored.log().match(/^.*"level":"(warn|error|fatal)".*$/gm) ?? [];
    assert.equal(bad.length, 1, bad.join('\n'));
    assert.match(bad[0]!, /has restored the backup of/);
  }
});

interface AuditItem {
  outcome: string;
  resource: string;
  revision?: number;
}

/** The lines of the audit log in a data directory. */
function auditOf(data: string): AuditItem[] {
  const lines = readFileSync(path.join(data, 'audit.log'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line));
}

test('a backup leaves the files of a running controller as they are, and no other command gets them', async (t) => {
  const data = path.join(temporaryFolder(t), 'data');
  const running = await startProcess(t, data);
  await running.call('PUT', '/api/v1/domains/blue', {});
  const file = path.join(temporaryFolder(t), 'backup');
  await store('backup', file, '--data', data);
  assert.ok(existsSync(path.join(data, 'store.db-wal')), 'the controller still has its log');
  await assert.rejects(store('restore', file, '--data', data, '--overwrite'), /another process uses the store/);
  await assert.rejects(startProcessOnce(data), /another process uses the store/);
  assert.equal((await running.call('PUT', '/api/v1/domains/green', {})).status, 201);
  await running.stop();
  const db = new DatabaseSync(path.join(data, 'store.db'));
  t.after(() => db.close());
  const keys = db.prepare("SELECT key FROM entries WHERE key LIKE 'domains/%' ORDER BY key").all();
  assert.deepEqual(
    keys.map(({ key }) => key),
    ['domains/blue', 'domains/green'],
  );
});

/** Starts a controller that has to end. */
function startProcessOnce(data: string) {
  return execute(process.execPath, [MAIN, '--data', data, '--listen', '127.0.0.1:0', '--agent-listen', '127.0.0.1:0']);
}
