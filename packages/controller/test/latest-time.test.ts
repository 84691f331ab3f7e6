/** The time that ends are judged by never goes back. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { LatestTime } from '../src/latest-time.ts';
import { temporaryFolder } from './harness.ts';

const HOUR = 60 * 60_000;

test('the time never goes back: not where the clock is set back, nor over a restart', async (t) => {
  const file = path.join(temporaryFolder(t), 'latest-time');
  const time = { host: Date.parse('2026-01-31T12:00:00Z'), steady: 0 };
  const begun = time.host;
  const warned: string[] = [];
  const log = Object.assign(createLog('test', 'silent'), { warn: (_: object, said: string) => warned.push(said) });
  const open = () => new LatestTime({ file, log, clock: () => time.host, steady: () => time.steady });
  const pass = (ms: number) => {
    time.host += ms;
    time.steady += ms;
  };
  let latest = open();
  assert.equal(latest.now() - begun, 0);
  time.host += 2 * HOUR;
  assert.equal(latest.now() - begun, 2 * HOUR, 'forward');
  time.host -= 5 * HOUR;
  pass(HOUR);
  assert.equal(latest.now() - begun, 3 * HOUR, 'it goes on from the latest');
  await latest.close();
  assert.equal(Date.parse(readFileSync(file, 'utf8').trim()) - begun, 3 * HOUR);
  assert.deepEqual(warned, []);

  latest = open();
  assert.match(warned[0]!, /^the time of the host is before the latest .* "mirrorplane store reset-time"/);
  pass(HOUR);
  assert.equal(latest.now() - begun, 4 * HOUR, 'also while nothing was kept since');
  time.host = begun + 10 * HOUR;
  assert.equal(latest.now() - begun, 10 * HOUR, 'the host leads again');
  await latest.close();

  writeFileSync(file, 'no time\n');
  latest = open();
  assert.equal(latest.now() - begun, 10 * HOUR);
  assert.match(warned[1]!, /it is no time/);
  await latest.close();
});

test('one time is kept after the other, however long etcd takes', async (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const file = path.join(temporaryFolder(t), 'latest-time');
  const time = { host: Date.parse('2026-01-31T12:00:00Z'), steady: 0 };
  const warned: string[] = [];
  const log = Object.assign(createLog('test', 'silent'), { warn: (_: object, said: string) => warned.push(said) });
  const waiting: (() => void)[] = [];
  const answer = () => waiting.splice(0).map((done) => done());
  let copies = 0;
  const copy = () => {
    copies++;
    return new Promise<void>((done) => waiting.push(done));
  };
  const latest = new LatestTime({ file, log, clock: () => time.host, steady: () => time.steady, copy });
  for (let minutes = 1; minutes <= 5; minutes++) {
    time.host += 60_000;
    time.steady += 60_000;
    t.mock.timers.tick(60_000);
  }
  assert.equal(copies, 1);
  const closed = latest.close();
  await until('the one that goes on is over, and the last one waits', () => {
    answer();
    return copies === 2;
  });
  answer();
  await closed;
  assert.equal(readFileSync(file, 'utf8'), '2026-01-31T12:05:00.000Z\n');
  assert.deepEqual(warned, []);
});
