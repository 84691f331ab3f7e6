/** The audit log after kills, and when its files are full or damaged. */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { AuditLog } from '../src/audit/audit.ts';
import { Bench, temporaryFolder } from './harness.ts';

/** Entries of the audit log about one resource, without their times. */
function linesAbout(bench: Bench, resource: string): string[] {
  return readFileSync(path.join(bench.data, 'audit.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(`"resource":"${resource}"`));
}

test('a change that was committed and not yet in the audit log when the controller was killed is added by the next start, once', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'late', sources: ['a'], destination: 'b' });
  const [line] = linesAbout(bench, 'policies/late');
  assert.ok(line);
  await bench.controller.close();
  // As after a loss of power or a kill between the two writes: half of the line is there.
  const file = path.join(bench.data, 'audit.log');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.slice(0, text.indexOf(line) + 40));
  await bench.restart();
  const parsed = () =>
    linesAbout(bench, 'policies/late').map((one) => {
      const { time: _, ...entry } = JSON.parse(one);
      return entry;
    });
  const { time: _, ...expected } = JSON.parse(line);
  assert.deepEqual(parsed(), [expected]);
  await bench.restart();
  assert.deepEqual(parsed(), [expected], 'not added again');
  const { items } = (await bench.get('/api/v1/audit')).body;
  assert.equal(items.filter((entry: { resource: string }) => entry.resource === 'policies/late').length, 1);
});

test('the audit log begins a new file when one is full, keeps four that are, and reads on in those', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  const entry = (revision: number) => {
    const who = { actor: 'admin', address: 'unix', action: 'create' } as const;
    return { ...who, resource: `policies/p${revision}`, outcome: 'done', revision } as const;
  };
  let log = await AuditLog.open(file, Date.now, 10_000);
  for (let revision = 1; revision <= 200; revision++) {
    await log.append(entry(revision));
  }
  const revisions = async (limit: number) => (await log.read(limit)).map(({ revision }) => revision);
  const newest = Array.from({ length: 150 }, (_, index) => 200 - index);
  assert.deepEqual(await revisions(150), newest);
  await log.close();
  log = await AuditLog.open(file, Date.now, 10_000);
  assert.deepEqual(await revisions(150), newest);
  for (let revision = 201; revision <= 2000; revision++) {
    await log.append(entry(revision));
  }
  const files = readdirSync(path.dirname(file)).sort();
  assert.deepEqual(files, ['audit.log', 'audit.log.1', 'audit.log.2', 'audit.log.3', 'audit.log.4']);
  for (const name of files) {
    assert.ok(statSync(path.join(path.dirname(file), name)).size < 11_000);
  }
  await log.close();
});

test('an audit log with a line of any length opens and is read', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  writeFileSync(file, `${'x'.repeat(40 << 20)}\n`);
  const log = await AuditLog.open(file, Date.now);
  await log.append({ actor: 'admin', address: 'unix', action: 'create', resource: 'policies/p', outcome: 'done' });
  const before = process.memoryUsage().rss;
  assert.deepEqual(
    (await log.read(1000)).map(({ resource }) => resource),
    ['policies/p'],
  );
  assert.ok(process.memoryUsage().rss - before < 40 << 20);
  await log.close();
});
