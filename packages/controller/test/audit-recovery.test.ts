import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Bench } from './harness.ts';

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
  // As if the power had gone, or the process, between the two writes: half of the line is there.
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
