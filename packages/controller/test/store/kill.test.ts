/** The store after kills in the middle of transactions. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'node:test';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import type { Store } from '../../src/store/store.ts';
import { temporaryFolder } from '../harness.ts';
import { startEtcd } from './etcd-members.ts';

const KILLS = 20;

/** Numbers from 0 to 1, the same each run (Park and Miller). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/**
 * Lets a writer run until it acknowledged `count` transactions and a little more, kills it, returns
 * the last one.
 */
async function runAndKill(store: string, count: number, moreMs: number): Promise<number> {
  const writer = spawn(process.execPath, [path.join(import.meta.dirname, 'writer.ts'), store], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  let lines = 0;
  writer.stdout.on('data', (data) => {
    text += data;
    const before = lines;
    lines = text.split('\n').length - 1;
    if (before < count && lines >= count) {
      setTimeout(() => writer.kill('SIGKILL'), moreMs);
    }
  });
  const [, signal] = await once(writer, 'close');
  assert.equal(signal, 'SIGKILL', 'the writer ended by itself');
  // The last line can be cut short: it was not acknowledged as a whole.
  const acknowledged = text.slice(0, text.lastIndexOf('\n')).split('\n');
  return Number(acknowledged.at(-1));
}

/**
 * Kills writers, and checks the store after each one.
 * @param store of the writer: a file, or the URL of a member of etcd
 * @param check gets the revision of the store, and the number of the last transaction
 */
async function killWriters(
  store: string,
  kills: number,
  open: () => Store | Promise<Store>,
  check: (revision: number, last: number) => void,
): Promise<void> {
  const random = seeded(20_24);
  let last = 0;
  for (let kill = 0; kill < kills; kill++) {
    const acknowledged = await runAndKill(store, 1 + Math.floor(random() * 40), random() * 8);
    assert.ok(acknowledged > last, 'the writer went on from where it was killed');
    const opened = await open();
    const { entries: all, revision } = await opened.range('');
    await opened.close();
    const entries = new Map(all.map(({ key, value }) => [key, value]));
    const [left, right] = [entries.get('left'), entries.get('right')] as [number, number];
    assert.equal(left, right, 'both keys of a transaction are of the same one');
    assert.ok(left >= acknowledged, `acknowledged ${acknowledged}, found ${left}`);
    for (let index = 1; index <= left; index++) {
      assert.ok(entries.has(`row/${index}`), `row ${index} of ${left} is lost`);
    }
    check(revision, left);
    last = left;
  }
}

test(`SQLite: after each of ${KILLS} kills every acknowledged transaction is there, and none is half done`, async (t) => {
  const file = path.join(temporaryFolder(t), 'store.db');
  const open = () => openSqliteStore(file, { keepRevisions: 16 });
  await killWriters(file, KILLS, open, (revision, last) => {
    assert.equal(revision, last, 'a revision a transaction');
    const db = new DatabaseSync(file);
    assert.deepEqual({ ...db.prepare('PRAGMA integrity_check').get() }, { integrity_check: 'ok' });
    db.close();
  });
});

test('etcd: after each of 5 kills of the one that writes, the next one finds every acknowledged transaction whole', async (t) => {
  const { endpoints } = await startEtcd(t, 1);
  const open = () => openEtcdStore({ endpoints, leaseMs: 1000 });
  await killWriters(endpoints[0]!, 5, open, (revision, last) => assert.ok(revision > last));
});
