/** Which program of the controller is in force on a node. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { emptyProgram, type NodeProgram } from '@mirrorplane/contract';
import pino from 'pino';
import { CurrentProgram } from '../src/current-program.ts';
import { ProgramFile } from '../src/host/program-file.ts';

function start(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-program-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'program.json');
  const changes: (number | undefined)[] = [];
  const open = () => {
    const current: CurrentProgram = new CurrentProgram({
      node: 'node-1',
      programs: new ProgramFile(file),
      log: pino({ level: 'silent' }),
      changed: () => changes.push(current.inForce?.revision),
    });
    return current;
  };
  return { file, changes, open };
}

const copying = (revision: number): NodeProgram => ({
  ...emptyProgram('node-1', revision),
  deliveries: [{ id: 'u/local', policy: 'u', kind: 'local', interface: 'ids-1/0' }],
});

test('only the newer of two programs takes effect, and the next run begins with it', async (t) => {
  const { changes, open } = start(t);
  const current = open();
  assert.equal(await current.load(), undefined);
  current.take(copying(1));
  current.take(copying(2));
  assert.equal(current.inForce, undefined, 'it is not saved yet');
  await current.settled();
  assert.deepEqual(changes, [2]);
  assert.deepEqual(await open().load(), copying(2));
});

test('a program of another node is refused, and so is a saved one', async (t) => {
  const { file, changes, open } = start(t);
  const current = open();
  current.take(emptyProgram('node-2', 1));
  await current.settled();
  assert.deepEqual([current.inForce, changes], [undefined, []]);
  await new ProgramFile(file).save(emptyProgram('node-2', 1));
  assert.equal(await open().load(), undefined);
  writeFileSync(file, '{');
  assert.equal(await open().load(), undefined);
});

test('a node that is dismissed gets an empty program, once', async (t) => {
  const { changes, open } = start(t);
  const current = open();
  current.take(copying(4));
  await current.settled();
  current.dismiss();
  current.dismiss();
  await current.settled();
  // A plan may have its number 5 already, with other contents.
  assert.deepEqual(changes, [4, 0]);
  assert.deepEqual(current.inForce, emptyProgram('node-1', 0));
});

test('a program that cannot be stored comes into force, and its problem ends when it is stored', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  let isFull = true;
  const stored: number[] = [];
  let changes = 0;
  const current = new CurrentProgram({
    node: 'node-1',
    programs: {
      load: async () => undefined,
      save: async ({ revision }) => {
        if (isFull) {
          throw full;
        }
        stored.push(revision);
      },
    },
    log: pino({ level: 'silent' }),
    changed: () => changes++,
  });
  current.take(copying(1));
  await current.settled();
  assert.deepEqual(current.inForce, copying(1));
  assert.deepEqual(current.problems(), [{ code: 'PROGRAM_UNSAVED', message: full.message }]);
  assert.equal(changes, 1, 'one pass reports both');
  t.mock.timers.tick(10_000);
  await turn();
  assert.deepEqual([changes, stored], [1, []], 'nothing is new');
  isFull = false;
  t.mock.timers.tick(10_000);
  await turn();
  assert.deepEqual([current.problems(), changes, stored], [[], 2, [1]]);
  t.mock.timers.tick(60_000);
  await turn();
  assert.deepEqual(stored, [1], 'it is stored once');
  current.close();
});

test('a disk that takes nothing is a problem after ten seconds, and no longer when it takes the program', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const waiting: (() => void)[] = [];
  const current = new CurrentProgram({
    node: 'node-1',
    programs: { load: async () => undefined, save: () => new Promise((resolve) => waiting.push(resolve)) },
    log: pino({ level: 'silent' }),
    changed: () => {},
  });
  current.take(copying(1));
  t.mock.timers.tick(1000);
  await current.settled();
  assert.deepEqual([current.inForce, current.problems()], [copying(1), []]);
  t.mock.timers.tick(9000);
  const message = 'the disk has not taken it for 10 s';
  assert.deepEqual(current.problems(), [{ code: 'PROGRAM_UNSAVED', message }]);
  waiting[0]!();
  await turn();
  assert.deepEqual([current.problems(), waiting.length], [[], 1]);
  current.close();
});

test('of two programs that cannot be stored, both are said not to be', async (t) => {
  const { file } = start(t);
  const programs = new ProgramFile(join(file, 'no-folder', 'program.json'));
  const saved = await Promise.allSettled([1, 2].map((revision) => programs.save(copying(revision))));
  assert.deepEqual(
    saved.map(({ status }) => status),
    ['rejected', 'rejected'],
  );
});

test('an agent that has ended does not store its program over that of the next one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let fail: (error: Error) => void = () => undefined;
  let saves = 0;
  const current = new CurrentProgram({
    node: 'node-1',
    programs: {
      load: async () => undefined,
      save: () => {
        saves++;
        return new Promise<void>((_, reject) => {
          fail = reject;
        });
      },
    },
    log: pino({ level: 'silent' }),
    changed: () => undefined,
  });
  current.take(copying(1));
  current.close();
  fail(new Error('no space left on device'));
  await turn();
  t.mock.timers.tick(60_000);
  await turn();
  assert.equal(saves, 1);
});
