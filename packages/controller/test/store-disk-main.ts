/** A controller whose data directory is on a small disk, which fills up and gets room again. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { startOnDisk } from './disk-controller.ts';
import { fill } from './small-disk.ts';

const [, data] = process.argv.slice(2) as [string, string];

test('full and free again', async (t) => {
  const { bench } = await startOnDisk(t, data);
  const faults = async () => {
    const { problems } = (await bench.get('/api/v1/status')).body;
    return problems
      .map(({ message }: { message: string }) => message)
      .filter((message: string) => message.startsWith('the store cannot be written'));
  };
  await bench.must('PUT', '/api/v1/domains/before', {});
  assert.deepEqual(await faults(), []);
  const filler = path.join(data, 'filler');
  fill(filler);
  const where = `make room in ${data} on the host of the controller`;
  for (const name of ['one', 'two']) {
    const { status, body } = await bench.put(`/api/v1/domains/${name}`, {});
    assert.deepEqual([status, body.code], [503, 'UNAVAILABLE']);
    assert.ok(
      body.detail.startsWith(
        `the store cannot be written (database or disk is full), and nothing was changed: ${where}`,
      ),
      body.detail,
    );
    assert.equal((await bench.get(`/api/v1/domains/${name}`)).status, 404);
  }
  assert.equal((await faults()).length, 1);
  assert.ok((await faults())[0].includes(where));
  rmSync(filler);
  // Nobody has to change anything first.
  await until('the problem is over', async () => (await faults()).length === 0, { limitMs: 20_000 });
  await bench.must('PUT', '/api/v1/domains/after', {});
});
