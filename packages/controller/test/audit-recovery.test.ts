/** The audit log after kills, and when its files are full or damaged. */
import assert from 'node:assert/strict';
import { cpSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { createLog } from '@mirrorplane/daemon';
import { startController } from '../src/index.ts';
import { filesOf, openLog, TestHeads, verdictOf } from './audit-log.ts';
import { Bench, temporaryFolder } from './harness.ts';

/** Entries of the audit log about one resource, without their times. */
function linesAbout(data: string, resource: string): string[] {
  return readFileSync(path.join(data, 'audit.log'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(`"resource":"${resource}"`));
}

test('a change that was committed and not yet in the audit log when the controller was killed is added by the next start, once', async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('a', 'b');
  await bench.must('POST', '/api/v1/policies', { name: 'late', sources: ['a'], destination: 'b' });
  const [line] = linesAbout(bench.data, 'policies/late');
  assert.ok(line);
  // As after a loss of power or a kill between the two writes: half of the line is there.
  const data = path.join(temporaryFolder(t), 'data');
  cpSync(bench.data, data, { recursive: true, filter: (name) => !name.endsWith('.sock') });
  const file = path.join(data, 'audit.log');
  const text = readFileSync(file, 'utf8');
  const torn = 40;
  writeFileSync(file, text.slice(0, text.indexOf(line) + torn));
  const found = () =>
    linesAbout(data, 'policies/late').map((one) => {
      const { time: _, seq: __, prev: ___, ...entry } = JSON.parse(one);
      return entry;
    });
  const { time: _, seq: __, prev: ___, ...expected } = JSON.parse(line);
  for (let start = 0; start < 2; start++) {
    const controller = await startController({
      data,
      listen: ['127.0.0.1:0'],
      agentListen: '127.0.0.1:0',
      logger: createLog('controller', 'silent'),
    });
    assert.deepEqual(found(), [expected], `after start ${start}`);
    await controller.close();
  }
  const starts = readFileSync(file, 'utf8')
    .split('\n')
    .filter((one) => one.includes('"reason":"start"'));
  assert.equal(JSON.parse(starts[0]!).checkpoint.torn, torn);
  assert.equal(verdictOf(data).fault, undefined);
});

test('the audit log begins a new file when one is full, keeps so many bytes, and reads on in full files', async (t) => {
  const options = { fileBytes: 10_000, keepBytes: 65_000, heads: new TestHeads() };
  const file = path.join(temporaryFolder(t), 'audit.log');
  const entry = (revision: number) => {
    const who = { actor: 'admin', address: 'unix', action: 'create' } as const;
    return { ...who, resource: `policies/p${revision}`, outcome: 'done', revision } as const;
  };
  let log = await openLog(file, options);
  for (let revision = 1; revision <= 200; revision++) {
    await log.append(entry(revision));
  }
  const revisions = async (limit: number) => {
    const entries = await log.read(2 * limit);
    return entries.flatMap(({ revision }) => revision ?? []).slice(0, limit);
  };
  const newest = Array.from({ length: 60 }, (_, index) => 200 - index);
  assert.deepEqual(await revisions(60), newest);
  await log.close();
  log = await openLog(file, options);
  assert.deepEqual(await revisions(60), newest);
  for (let revision = 201; revision <= 2000; revision += 20) {
    await Promise.all(Array.from({ length: 20 }, (_, at) => log.append(entry(revision + at))));
  }
  const folder = path.dirname(file);
  const sizes = filesOf(folder).map((name) => statSync(name).size);
  assert.ok(sizes.length > 2 && sizes.every((bytes) => bytes < 20_000), String(sizes));
  assert.ok(sizes.reduce((sum, bytes) => sum + bytes) <= options.keepBytes + 10_000, String(sizes));
  await log.close();
  const { fault, first, last, signed } = verdictOf(folder, options.heads.line);
  assert.deepEqual([fault, last - signed], [undefined, 0]);
  assert.ok(first > 1800, String(first));
});

test('an audit log with a line of any length opens and is read', async (t) => {
  const file = path.join(temporaryFolder(t), 'audit.log');
  writeFileSync(file, `${'x'.repeat(40 << 20)}\n`);
  const log = await openLog(file);
  await log.append({ actor: 'admin', address: 'unix', action: 'create', resource: 'policies/p', outcome: 'done' });
  const before = process.memoryUsage().rss;
  assert.deepEqual(
    (await log.read(1000)).map(({ resource }) => resource),
    ['policies/p'],
  );
  assert.ok(process.memoryUsage().rss - before < 40 << 20);
  await log.close();
});
