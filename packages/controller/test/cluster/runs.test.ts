/** Runs of controllers with one data directory: the lock ends with the process, and earlier runs are known. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, copyFileSync, fstatSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import test from 'node:test';
import { Runs } from '../../src/cluster/runs.ts';
import { temporaryFolder } from '../harness.ts';

const MODULE = path.resolve(import.meta.dirname, '../../src/cluster/runs.ts');

test('a second run with a data directory is refused until the process of the first one has ended, and knows it then', async (t) => {
  const data = temporaryFolder(t);
  const script = `
    const { Runs } = await import(${JSON.stringify(MODULE)});
    await Runs.begin(${JSON.stringify(data)}, 'first');
    console.log('runs');
    setInterval(() => {}, 1000);`;
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  t.after(() => child.kill('SIGKILL'));
  await once(child.stdout, 'data');
  await assert.rejects(Runs.begin(data, 'second'), /another controller uses it; stop that one first/);
  child.kill('SIGSTOP');
  await assert.rejects(Runs.begin(data, 'second'), /another controller uses it/);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  const second = await Runs.begin(data, 'second');
  assert.deepEqual(
    ['first', 'second', 'other', undefined].map((id) => second.areOver(id)),
    [true, false, false, false],
  );
  second.close();
});

test('a copy of the directory, or of the whole host, does not take a run for over that goes on elsewhere', async (t) => {
  const [data, copy] = [temporaryFolder(t), temporaryFolder(t)];
  const running = await Runs.begin(data, 'running');
  t.after(() => running.close());
  copyFileSync(path.join(data, 'runs'), path.join(copy, 'runs'));
  const copied = await Runs.begin(copy, 'copied');
  assert.equal(copied.areOver('running'), false);
  copied.close();
  const next = await Runs.begin(copy, 'next');
  assert.ok(next.areOver('copied'));
  next.close();
  // What another boot of this host has written.
  const file = path.join(copy, 'runs');
  const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  writeFileSync(
    file,
    readFileSync(file, 'utf8').replaceAll(
      boot,
      boot.replace(/^./, (digit) => (digit === '0' ? '1' : '0')),
    ),
  );
  const later = await Runs.begin(copy, 'later');
  t.after(() => later.close());
  assert.equal(later.areOver('next'), false);
});

test('the last runs are known, and no file grows without end', async (t) => {
  const data = temporaryFolder(t);
  for (let run = 0; run < 200; run++) {
    (await Runs.begin(data, `run-${run}`)).close();
  }
  const last = await Runs.begin(data, 'last');
  t.after(() => last.close());
  assert.ok(last.areOver('run-199') && last.areOver('run-150'));
  assert.ok(!last.areOver('run-1'));
  assert.equal(readFileSync(path.join(data, 'runs'), 'utf8').trim().split('\n').length, 64);
});

test('a run that is closed twice closes no file of others', async (t) => {
  const data = temporaryFolder(t);
  const run = await Runs.begin(data, 'one');
  run.close();
  // It gets the lowest number that is free: that of the lock.
  const other = openSync(path.join(data, 'runs'), 'r');
  run.close();
  assert.ok(fstatSync(other).isFile());
  closeSync(other);
});
