/** A copy of a store that is cut off at any write to etcd: never do both go on, and it can be repeated. */
import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { Cluster } from '../../src/store/etcd/cluster.ts';
import { openToRead, type StorePlace, using } from '../../src/store/open.ts';
import { StoreUnavailableError } from '../../src/store/store.ts';
import { newData, useControllers } from '../shared/controllers.ts';
import { run } from './commands.ts';
import { startEtcd } from './etcd-members.ts';

/** What becomes of the write at which a copy is cut off. */
const ENDS = ['lost', 'unknown'] as const;
/** More writes than a copy has. */
const MOST = 30;

/** Runs a copy whose n-th write to etcd and all later ones have no answer. @returns whether it has ended before */
async function cutOff(t: TestContext, number: number, end: (typeof ENDS)[number], words: string[]): Promise<boolean> {
  let writes = 0;
  const { ask } = Cluster.prototype;
  const mock = t.mock.method(Cluster.prototype, 'ask', async function (this: Cluster, ...args: Parameters<typeof ask>) {
    writes += args[0] === 'txn' ? 1 : 0;
    if (args[0] !== 'txn' || writes < number) {
      return ask.apply(this, args);
    }
    if (end === 'unknown' && writes === number) {
      await ask.apply(this, args);
    }
    throw new StoreUnavailableError('cut off');
  });
  try {
    await run('copy', ...words);
    return true;
  } catch (error) {
    assert.match((error as Error).message, /cut off/);
    return false;
  } finally {
    mock.mock.restore();
  }
}

/** Whether a controller would go on with the store there. */
async function goesOn(place: StorePlace): Promise<boolean> {
  try {
    return await using(await openToRead(place), async (store) => (await store.get('domains/first')) !== undefined);
  } catch (error) {
    assert.match((error as Error).message, /is in etcd|goes on there|a part of a copy|unable to open/);
    return false;
  }
}

async function made(t: TestContext) {
  const start = useControllers(t);
  const { endpoints, ctl } = await startEtcd(t, 1);
  const data = newData(t);
  const before = await start(data);
  await before.must('PUT', '/api/v1/domains/first', {});
  await before.stop();
  const etcd = { endpoints };
  return { start, ctl, data, etcd, options: (folder: string) => ['--data', folder, '--etcd', endpoints.join()] };
}

test('a copy to etcd that is cut off at any write leaves one store at most, and is repeated', async (t) => {
  const { ctl, data, etcd, options } = await made(t);
  const words = [...options(data), '--to', 'etcd'];
  for (const end of ENDS) {
    let number = 1;
    const fileGoesOn: boolean[] = [];
    for (let isDone = false; !isDone; number++) {
      assert.ok(number < MOST);
      isDone = await cutOff(t, number, end, words);
      const where = [await goesOn({ data }), await goesOn({ data, etcd })];
      assert.ok(!(where[0] && where[1]), `both go on after write ${number}, ${end}`);
      fileGoesOn.push(where[0]!);
      if (!where[1]) {
        await run('copy', ...words);
      }
      assert.deepEqual([await goesOn({ data }), await goesOn({ data, etcd })], [false, true]);
      await ctl('del', '/mirrorplane/', '--prefix');
      for (const name of ['store-place', 'cluster.key']) {
        rmSync(path.join(data, name));
      }
    }
    assert.ok(number > 5, `${number} writes`);
    // Before the last write, etcd has not all: who gives the copy up goes on with the file.
    assert.ok(fileGoesOn.slice(0, -2).every(Boolean), fileGoesOn.join());
  }
});

test('a copy to a file that is cut off at any write leaves one store at most, and is repeated', async (t) => {
  const { start, data, etcd, options } = await made(t);
  await run('copy', ...options(data), '--to', 'etcd');
  await (await start(data, { etcd })).stop();
  let from = data;
  for (const end of ENDS) {
    let number = 1;
    for (let isDone = false; !isDone; number++) {
      assert.ok(number < MOST);
      const to = newData(t, from);
      const words = [...options(to), '--to', 'file'];
      isDone = await cutOff(t, number, end, words);
      const where = [await goesOn({ data: to }), await goesOn({ data: to, etcd })];
      assert.ok(!(where[0] && where[1]), `both go on after write ${number}, ${end}`);
      if (!where[0]) {
        await run('copy', ...words, '--overwrite');
      }
      assert.deepEqual([await goesOn({ data: to }), await goesOn({ data: to, etcd })], [true, false]);
      await run('copy', ...options(to), '--to', 'etcd', '--overwrite');
      await (await start(to, { etcd })).stop();
      from = to;
    }
    assert.ok(number > 2, `${number} writes`);
  }
});
