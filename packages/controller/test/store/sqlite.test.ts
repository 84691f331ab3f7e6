/** Tests for SQLite only. Tests for every store are in test/store/contract.ts. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import test from 'node:test';
import { until } from '@mirrorplane/base';
import { openSqliteStore } from '../../src/store/sqlite.ts';
import { temporaryFolder } from '../harness.ts';
import { storeContract } from './contract.ts';

storeContract('SQLite', {
  async open(t, keepRevisions) {
    const file = path.join(temporaryFolder(t), 'store.db');
    const options = keepRevisions === undefined ? {} : { keepRevisions };
    let store = openSqliteStore(file, options);
    t.after(() => store.close());
    const reopen = async () => {
      await store.close();
      store = openSqliteStore(file, options);
      return store;
    };
    return { store, reopen };
  },
});

test('SQLite: a file that another handle has open is refused with a message that says so', async (t) => {
  const file = path.join(temporaryFolder(t), 'store.db');
  const store = openSqliteStore(file);
  t.after(() => store.close());
  assert.throws(() => openSqliteStore(file), /another process uses the store .*store\.db; stop that controller first/);
});

test('SQLite: a file that is no database, and a folder that does not exist, are refused with the path', (t) => {
  const folder = temporaryFolder(t);
  const file = path.join(folder, 'store.db');
  writeFileSync(file, 'this is not a database, only some text that is long enough to be looked at'.repeat(20));
  assert.throws(() => openSqliteStore(file), /cannot open the store .*store\.db/);
  assert.throws(() => openSqliteStore(path.join(folder, 'no', 'store.db')), /cannot open the store .*no\/store\.db/);
});

test('SQLite: a file of a newer release is refused with both numbers, and is as it was', async (t) => {
  const file = path.join(temporaryFolder(t), 'store.db');
  const store = openSqliteStore(file);
  await store.txn({ compare: [], ops: [{ type: 'put', key: 'a', value: 1 }] });
  await store.close();
  const set = (schema: number) => {
    const db = new DatabaseSync(file);
    db.exec(`UPDATE meta SET value = ${schema} WHERE name = 'schema'`);
    db.close();
  };
  set(2);
  assert.throws(
    () => openSqliteStore(file),
    /cannot open the store .*store\.db: the store has schema 2, and this release reads schema 1: install the/,
  );
  set(1);
  const again = openSqliteStore(file);
  t.after(() => again.close());
  assert.equal((await again.get('a'))?.value, 1);
});

test('SQLite: keys of a lease disappear after the next opening if the owner ended while the store was closed', async (t) => {
  const file = path.join(temporaryFolder(t), 'store.db');
  const before = openSqliteStore(file);
  const lease = await before.lease(200);
  await before.txn({ compare: [], ops: [{ type: 'put', key: 'a', value: 1, lease: lease.id }] });
  await before.close();
  const store = openSqliteStore(file);
  t.after(() => store.close());
  assert.equal((await store.get('a'))?.value, 1);
  await until('it is gone', async () => (await store.get('a')) === undefined);
});
