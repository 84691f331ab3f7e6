/** Rules for every engine of the store. The tests in this folder run them with a real engine. */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Operation, Store, StoreEvent } from '../../src/store/store.ts';
import { CompactedError, LeaseExpiredError } from '../../src/store/store.ts';

/**
 * An engine under test: `open` gives a handle on the same data each time; `close` the one before
 * first.
 */
export interface Engine {
  /** @param keepRevisions how far a watch can look back, where the engine lets one choose */
  open(t: TestContext, keepRevisions?: number): Promise<{ store: Store; reopen(): Promise<Store> }>;
}

const put = (key: string, value: unknown, lease?: string): Operation => ({
  type: 'put',
  key,
  value,
  ...(lease !== undefined && { lease }),
});
const remove = (key: string): Operation => ({ type: 'delete', key });

async function write(store: Store, ...ops: Operation[]): Promise<number> {
  const { ok, revision } = await store.txn({ compare: [], ops });
  assert.equal(ok, true);
  return revision;
}

/** Collects the events of a watch, one line for each. */
async function collect(store: Store, prefix: string, from: number) {
  const batches: { revision: number; events: string[] }[] = [];
  const line = (event: StoreEvent) =>
    event.type === 'put' ? `${event.entry.key}=${JSON.stringify(event.entry.value)}` : `-${event.key}`;
  const watch = await store.watch(prefix, from, {
    onBatch: (events, revision) => batches.push({ revision, events: events.map(line) }),
    onEnd: (error) => assert.fail(error),
  });
  return { batches, lines: () => batches.flatMap(({ events }) => events), close: () => watch.close() };
}

/** Declares the tests of one engine. */
export function storeContract(name: string, engine: Engine): void {
  test(`${name}: a key reads back with its revisions, and one that is not there as undefined`, async (t) => {
    const { store } = await engine.open(t);
    const first = await write(store, put('a/1', { x: [1, 'ä', null] }));
    const second = await write(store, put('a/1', 'two'));
    assert.deepEqual(await store.get('a/1'), {
      key: 'a/1',
      value: 'two',
      createRevision: first,
      modRevision: second,
    });
    assert.equal(await store.get('a/2'), undefined);
  });

  test(`${name}: a range has every key of the prefix and no other, in order, with the revision of the store`, async (t) => {
    const { store } = await engine.open(t);
    await write(store, put('b/2', 2), put('b/1', 1), put('b', 0), put('b0', 0), put('a/1', 0), put('b/\u{10fffe}', 3));
    const revision = await write(store, put('c', 0));
    const range = await store.range('b/');
    assert.deepEqual(
      range.entries.map(({ key }) => key),
      ['b/1', 'b/2', 'b/\u{10fffe}'],
    );
    assert.equal(range.revision, revision);
    assert.equal((await store.range('')).entries.length, 7);
  });

  test(`${name}: a transaction whose comparison does not hold changes nothing and says so`, async (t) => {
    const { store } = await engine.open(t);
    const revision = await write(store, put('a', 1));
    for (const compare of [
      [{ key: 'a', modRevision: 0 }],
      [{ key: 'b', modRevision: revision }],
      [
        { key: 'a', modRevision: revision },
        { key: 'b', modRevision: revision },
      ],
    ]) {
      const result = await store.txn({ compare, ops: [put('a', 2), put('c', 2)] });
      assert.deepEqual(result, { ok: false, revision });
    }
    assert.equal((await store.get('a'))?.value, 1);
    assert.equal(await store.get('c'), undefined);
    const compare = [
      { key: 'a', modRevision: revision },
      { key: 'b', modRevision: 0 },
    ];
    assert.equal((await store.txn({ compare, ops: [put('a', 2)] })).ok, true);
  });

  test(`${name}: of twenty transactions that want the same absent key exactly one gets it`, async (t) => {
    const { store } = await engine.open(t);
    const attempt = (index: number) => store.txn({ compare: [{ key: 'k', modRevision: 0 }], ops: [put('k', index)] });
    const results = await Promise.all(Array.from({ length: 20 }, (_, index) => attempt(index)));
    assert.equal(results.filter(({ ok }) => ok).length, 1);
    assert.equal(
      (await store.get('k'))?.value,
      results.findIndex(({ ok }) => ok),
    );
  });

  test(`${name}: all keys of a transaction get one revision, and one that changes nothing gets none`, async (t) => {
    const { store } = await engine.open(t);
    const revision = await write(store, put('a', 1), put('b', 1));
    assert.deepEqual([(await store.get('a'))?.modRevision, (await store.get('b'))?.modRevision], [revision, revision]);
    assert.equal(await write(store, remove('absent')), revision);
    assert.equal(await write(store), revision);
    assert.equal(await write(store, remove('a')), revision + 1);
    assert.equal(await store.get('a'), undefined);
  });

  test(`${name}: a transaction that names a key twice is an error`, async (t) => {
    const { store } = await engine.open(t);
    await assert.rejects(store.txn({ compare: [], ops: [put('a', 1), remove('a')] }), /once/);
    assert.equal(await store.get('a'), undefined);
  });

  test(`${name}: a key that was deleted and made again has a new create revision`, async (t) => {
    const { store } = await engine.open(t);
    await write(store, put('a', 1));
    await write(store, remove('a'));
    const revision = await write(store, put('a', 2));
    const entry = await store.get('a');
    assert.deepEqual([entry?.createRevision, entry?.modRevision], [revision, revision]);
  });

  test(`${name}: a watch sees everything from its revision on, a batch a transaction, and no other prefix`, async (t) => {
    const { store } = await engine.open(t);
    await write(store, put('w/1', 1));
    const snapshot = await store.range('w/');
    // Between the snapshot and the watch.
    const between = await write(store, put('w/2', 2), put('w/3', 3), put('x/1', 0));
    const seen = await collect(store, 'w/', snapshot.revision + 1);
    await write(store, put('x/2', 0));
    await write(store, remove('w/1'), put('w/2', 'new'));
    await until('the watch saw it', () => seen.lines().length >= 4);
    assert.deepEqual(seen.batches, [
      { revision: between, events: ['w/2=2', 'w/3=3'] },
      { revision: between + 2, events: ['-w/1', 'w/2="new"'] },
    ]);
    seen.close();
    await write(store, put('w/9', 9));
    await store.get('w/9');
    assert.equal(seen.lines().length, 4);
  });

  test(`${name}: several watches see the same, also one that starts in the past`, async (t) => {
    const { store } = await engine.open(t);
    const early = await collect(store, '', 1);
    for (let index = 0; index < 30; index++) {
      await write(store, put(`k/${index % 3}`, index));
    }
    const late = await collect(store, '', 1);
    await until('both saw it', () => early.lines().length === 30 && late.lines().length === 30);
    assert.deepEqual(late.batches, early.batches);
  });

  test(`${name}: a revision that is compacted cannot be watched from, and a snapshot then can`, async (t) => {
    const { store } = await engine.open(t, 8);
    for (let index = 0; index < 100; index++) {
      await write(store, put('k', index));
    }
    const watcher = { onBatch: () => {}, onEnd: () => {} };
    await assert.rejects(store.watch('', 1, watcher), CompactedError);
    const { revision, entries } = await store.range('');
    assert.equal(entries[0]?.value, 99);
    const seen = await collect(store, '', revision + 1);
    await write(store, put('k', 'next'));
    await until('the watch saw it', () => seen.lines().length === 1);
  });

  test(`${name}: keys, revisions and history outlive the handle`, async (t) => {
    const { store, reopen } = await engine.open(t);
    await write(store, put('a', 1));
    const revision = await write(store, put('b', 2));
    const again = await reopen();
    // An engine may count an opening too.
    const opened = (await again.range('')).revision;
    assert.ok(opened >= revision);
    const seen = await collect(again, '', revision);
    assert.equal(await write(again, put('c', 3)), opened + 1);
    await until('the watch saw both', () => seen.lines().join() === 'b=2,c=3');
  });

  test(`${name}: keys of a lease vanish together when it runs out, and a watch sees it`, async (t) => {
    const { store } = await engine.open(t);
    const lease = await store.lease(1);
    const seen = await collect(store, '', 1);
    const kept = await store.lease(60_000);
    await write(store, put('other', 1, kept.id));
    await store
      .txn({ compare: [], ops: [put('l/1', 1, lease.id), put('l/2', 2, lease.id)] })
      .catch((error) => assert.ok(error instanceof LeaseExpiredError));
    await until('they are gone', async () => (await store.range('l/')).entries.length === 0);
    const puts = seen.lines().filter((line) => line.startsWith('l/')).length;
    await until('the watch saw it', () => seen.lines().filter((line) => line.startsWith('-l/')).length === puts);
    assert.equal((await store.get('other'))?.value, 1);
    await assert.rejects(lease.keepAlive(), LeaseExpiredError);
    await assert.rejects(store.txn({ compare: [], ops: [put('l/1', 1, lease.id)] }), LeaseExpiredError);
  });

  test(`${name}: a lease that is revoked takes its keys with it, but not one that was written without it since`, async (t) => {
    const { store } = await engine.open(t);
    const lease = await store.lease(60_000);
    await write(store, put('a', 1, lease.id), put('b', 1, lease.id));
    await lease.keepAlive();
    await write(store, put('b', 2));
    await lease.revoke();
    assert.equal(await store.get('a'), undefined);
    assert.equal((await store.get('b'))?.value, 2);
    await assert.rejects(lease.keepAlive(), LeaseExpiredError);
  });

  test(`${name}: above a raised revision, comparisons and watches go on, also after the next opening`, async (t) => {
    const { store, reopen } = await engine.open(t);
    await store.raiseRevision(1_000_000);
    const first = await write(store, put('a', 1));
    assert.ok(first > 1_000_000);
    await store.raiseRevision(10);
    const again = await reopen();
    assert.equal((await again.get('a'))?.modRevision, first);
    const seen = await collect(again, '', (await again.range('')).revision + 1);
    for (const [modRevision, ok] of [
      [first, true],
      [first - 1_000_000, false],
      [0, false],
    ] as const) {
      const result = await again.txn({ compare: [{ key: 'a', modRevision }], ops: [put('b', modRevision)] });
      assert.equal(result.ok, ok);
    }
    const { modRevision } = (await again.get('b'))!;
    await until('the watch saw it', () => seen.lines().length > 0);
    assert.deepEqual(seen.batches, [{ revision: modRevision, events: [`b=${first}`] }]);
  });

  test(`${name}: a closed store refuses, and closing twice is harmless`, async (t) => {
    const { store } = await engine.open(t);
    await store.close();
    await store.close();
    await assert.rejects(store.get('a'), /closed/);
  });
}
