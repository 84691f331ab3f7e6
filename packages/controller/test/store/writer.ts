/**
 * writer.ts STORE [COUNT [BYTES]]: writes transactions and prints each acknowledged one, until it is
 * killed or has written COUNT. STORE: a file, or the URL of a member of etcd. BYTES: size of the value
 * of each row.
 */
import { writeSync } from 'node:fs';
import { openEtcdStore } from '../../src/store/etcd.ts';
import { openSqliteStore } from '../../src/store/sqlite.ts';

const where = process.argv[2]!;
const store = where.startsWith('http')
  ? await openEtcdStore({ endpoints: [where], keepRevisions: 16, leaseMs: 1000 })
  : openSqliteStore(where, { keepRevisions: 16 });
let number = Number((await store.get('left'))?.value ?? 0);
const value = process.argv[4] === undefined ? null : 'x'.repeat(Number(process.argv[4]));
// A bound, so that a writer that is not killed does not run for ever.
for (const end = number + Number(process.argv[3] ?? 20_000); number < end; ) {
  number++;
  const { ok } = await store.txn({
    compare: [],
    ops: [
      { type: 'put', key: 'left', value: number },
      { type: 'put', key: `row/${number}`, value },
      { type: 'put', key: 'right', value: number },
    ],
  });
  if (!ok) {
    throw new Error('a transaction without comparisons was refused');
  }
  writeSync(1, `${number}\n`);
  await new Promise((resolve) => setImmediate(resolve));
}
