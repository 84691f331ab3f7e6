/** `cluster.key` is changed while controllers run, and a kill between any two steps loses nothing. */
import assert from 'node:assert/strict';
import { copyFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { storeCommands } from '../../src/backup/commands.ts';
import { makeNextKey, useNextKey } from '../../src/backup/shared-part.ts';
import { ClusterKey } from '../../src/shared/cluster-key.ts';
import { followShared } from '../../src/shared/follow.ts';
import { dropFormerKey, MARK_KEY, type Mark, markOperation, readMark, requireKey } from '../../src/shared/mark.ts';
import { beginSealing, endSealing, sealValues } from '../../src/shared/seal-again.ts';
import { SharedWriter } from '../../src/shared/writer.ts';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { WRITES_KEY } from '../../src/store/shared-space.ts';
import type { SharedOperation } from '../../src/store/store.ts';
import { verdictOf } from '../audit-log.ts';
import { startEtcd } from '../store/etcd-members.ts';
import { newData, useControllers } from './controllers.ts';
import { type Fate, MemorySpace } from './memory-space.ts';

const MARK: Mark = { state: 'shared', host: 'here', data: '/data' };
/** More than two transactions take. */
const VALUES = 80;

const keyLines = (data: string) => readFileSync(path.join(data, 'cluster.key'), 'utf8').trim().split('\n');

/** Runs `mirrorplane store` and returns what it says. @throws Error with its message */
async function run(...words: string[]): Promise<string> {
  let said = '';
  await storeCommands((text) => (said += text)).parseAsync(words, { from: 'user' });
  return said;
}

/** A space with many values, and the data directory with its key. */
async function fill(t: TestContext) {
  const data = newData(t);
  const key = ClusterKey.make(data);
  const space = new MemorySpace();
  const texts = new Map<string, string>();
  const ops: SharedOperation[] = [markOperation(key, MARK)];
  for (let number = 1; number <= VALUES; number++) {
    const [name, text] = [`files/f${number}`, `text ${number}`];
    texts.set(name, text);
    ops.push({ type: 'put', key: name, value: key.seal(name, text, number % 2 === 0) });
  }
  await new SharedWriter(space).write(ops);
  return { data, space, texts };
}

/** A new key, and its use. */
async function makeNewKey(data: string, space: MemorySpace): Promise<void> {
  await makeNextKey(data, space);
  await useNextKey(data, space);
}

/** What a leader does with a new key. */
async function lead(data: string, space: MemorySpace): Promise<void> {
  const writer = new SharedWriter(space);
  const found = (await readMark(space))!;
  const key = requireKey(data, found);
  const mark = await beginSealing(writer, key, found);
  await sealValues(writer, key, () => false);
  dropFormerKey(data, await endSealing(writer, key, mark));
}

/** Opens all values by the key of a data directory. */
async function textsIn(data: string, space: MemorySpace): Promise<Map<string, string>> {
  const key = requireKey(data, (await readMark(space))!);
  const values = [...space.keys.values()].filter((entry) => entry.key !== WRITES_KEY && entry.key !== MARK_KEY);
  return new Map(values.map((entry) => [entry.key, key.open(entry.key, entry.value as Buffer)]));
}

for (const fate of ['lost', 'unknown'] as const satisfies Fate[]) {
  test(`a leader that is killed at any write of a new key, which is ${fate}, leaves all values to the next one`, async (t) => {
    let kills = 0;
    for (let at = 0; ; at++) {
      const { data, space, texts } = await fill(t);
      const [before] = keyLines(data);
      const { check: sealed } = (await readMark(space))!;
      await makeNewKey(data, space);
      const writes = space.writes;
      space.fate = () => (space.writes - writes - 1 === at ? fate : 'done');
      const isOver = await lead(data, space).then(
        () => true,
        () => false,
      );
      space.fate = () => 'done';
      assert.deepEqual(await textsIn(data, space), texts);
      if (!isOver) {
        kills++;
        // A follower has both keys, as the operator has copied them.
        assert.deepEqual(keyLines(data).length, 2);
        const { former, check } = (await readMark(space))!;
        if (former !== undefined || check === sealed) {
          await assert.rejects(makeNextKey(data, space), /not all is sealed with the last new key/);
        }
        await assert.rejects(useNextKey(data, space), /there is no new key below/);
        await lead(data, space);
      }
      const lines = keyLines(data);
      assert.equal(lines.length, 1);
      assert.notEqual(lines[0], before);
      assert.deepEqual(await textsIn(data, space), texts);
      if (isOver) {
        break;
      }
    }
    // The mark, three parts of the values, and the mark again.
    assert.equal(kills, 5);
  });
}

test('a value that is written while all are sealed again stays', async (t) => {
  const { data, space, texts } = await fill(t);
  await makeNewKey(data, space);
  const writer = new SharedWriter(space);
  const found = (await readMark(space))!;
  const key = requireKey(data, found);
  await beginSealing(writer, key, found);
  const sealing = sealValues(writer, key, () => false);
  for (let number = 1; number <= VALUES; number++) {
    const [name, text] = [`files/f${number}`, `newer ${number}`];
    texts.set(name, text);
    await writer.write([{ type: 'put', key: name, value: key.seal(name, text) }]);
  }
  await sealing;
  assert.deepEqual(await textsIn(data, space), texts);
});

test('a new key that was not copied to all yet seals nothing, whichever controller leads', async (t) => {
  const { data, space, texts } = await fill(t);
  const other = newData(t);
  copyFileSync(path.join(data, 'cluster.key'), path.join(other, 'cluster.key'));
  await makeNextKey(data, space);
  await lead(data, space);
  assert.deepEqual(await textsIn(other, space), texts);
  assert.equal(keyLines(data).length, 2);
});

test('controllers that were not told to use a new key go on with it, once another one has', async (t) => {
  const { data, space, texts } = await fill(t);
  await makeNextKey(data, space);
  const [untold, late] = [newData(t), newData(t)];
  for (const other of [untold, late]) {
    copyFileSync(path.join(data, 'cluster.key'), path.join(other, 'cluster.key'));
  }
  await useNextKey(data, space);
  const writer = new SharedWriter(space);
  const found = (await readMark(space))!;
  await beginSealing(writer, requireKey(data, found), found);
  // The leader is killed here, and one that was not told ends what it has begun.
  await lead(untold, space);
  const [newest] = keyLines(data);
  assert.deepEqual(keyLines(untold), [newest]);
  // Another one comes later: it does not go back to the former key.
  await lead(late, space);
  assert.deepEqual(keyLines(late), [newest]);
  assert.deepEqual(await textsIn(untold, space), texts);
});

test('a host that was stopped during a change can begin the next one', async (t) => {
  const { data, space } = await fill(t);
  await makeNextKey(data, space);
  const stopped = newData(t);
  copyFileSync(path.join(data, 'cluster.key'), path.join(stopped, 'cluster.key'));
  await useNextKey(data, space);
  await lead(data, space);
  const [newest] = keyLines(data);
  await makeNextKey(stopped, space);
  assert.deepEqual([keyLines(stopped)[0], keyLines(stopped).length], [newest, 2]);
});

test('a new key is used after a restart of the leader, followers go on with it, and the former one opens nothing', async (t) => {
  const start = useControllers(t);
  const { endpoints } = await startEtcd(t, 1);
  const [a, b, c] = [newData(t), newData(t), newData(t)];
  const where = (data: string) => ['--data', data, '--etcd', endpoints.join()];
  const leader = await start(a, { etcd: { endpoints } });
  await leader.cluster('node-1');
  const [before] = keyLines(a);
  for (const other of [b, c]) {
    copyFileSync(path.join(a, 'cluster.key'), path.join(other, 'cluster.key'));
  }
  const store = await openEtcdStore({ endpoints, readOnly: true });
  const follower = await followShared({ data: b, store, log: createLog('controller', 'silent') });
  t.after(async () => {
    await follower.close();
    await store.close();
  });

  assert.match(await run('new-key', ...where(a)), /wrote a new key .*copy the file to all other controllers/);
  await assert.rejects(run('new-key', ...where(a)), /there is a new key already/);
  copyFileSync(path.join(a, 'cluster.key'), path.join(b, 'cluster.key'));
  for (const data of [a, b]) {
    assert.match(await run('new-key', '--use', ...where(data)), /restart the one that leads/);
    await assert.rejects(run('new-key', '--use', ...where(data)), /there is no new key below/);
  }
  await leader.must('PUT', '/api/v1/domains/between', {});
  await leader.stop();
  const again = await start(a, { etcd: { endpoints } });
  await until('the former key is gone', () => keyLines(a).length === 1);
  assert.notEqual(keyLines(a)[0], before);
  await again.must('PUT', '/api/v1/domains/after', {});
  const newest = () => readFileSync(path.join(a, 'audit.log'), 'utf8');
  await until('the follower goes on', () => readFileSync(path.join(b, 'audit.log'), 'utf8') === newest());
  assert.deepEqual([follower.problem, keyLines(b)], [undefined, keyLines(a)]);
  assert.match(newest(), /"action":"rotate","resource":"store\/cluster-key"/);
  await again.stop();

  await assert.rejects(start(c, { etcd: { endpoints } }), /is not the key that the store in etcd is sealed with/);
  copyFileSync(path.join(a, 'cluster.key'), path.join(c, 'cluster.key'));
  const third = await start(c, { etcd: { endpoints } });
  assert.equal((await third.get('/api/v1/domains/after')).status, 200);
  assert.equal(verdictOf(c).fault, undefined);
});
