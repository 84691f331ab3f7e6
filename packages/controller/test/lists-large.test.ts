/** Lists of a large cluster: no answer is large. */
import assert from 'node:assert/strict';
import path from 'node:path';
import test from 'node:test';
import type { InterfaceRecord, PolicyRecord } from '../src/store/records.ts';
import { openSqliteStore } from '../src/store/sqlite.ts';
import type { Operation } from '../src/store/store.ts';
import { keyOf } from '../src/store/view.ts';
import { Bench } from './harness.ts';

const [POLICIES, SOURCES] = [100, 1024];

/** A policy with all its sources, declared and without devices. */
function recordsOf(policy: number): Operation[] {
  const at = '2026-01-31T12:00:00.000Z';
  const sources = Array.from({ length: SOURCES }, (_, source) => `vm-${policy}-${source}/0`);
  const name = `p-${policy}`;
  const record: PolicyRecord = {
    ...{ name, uid: `uid-${policy}`, description: '', sources, destination: 'ids-1/0', direction: 'all', percent: 100 },
    ...{ enabled: true, type: 'virtual', createdAt: at, updatedAt: at },
  };
  const interfaces = sources.map((id): InterfaceRecord => ({ id, kind: 'vm', name: id, pool: 'east', declared: true }));
  return [
    { type: 'put', key: keyOf('policies', name), value: record },
    ...interfaces.map((value): Operation => ({ type: 'put', key: keyOf('interfaces', value.id), value })),
  ];
}

test('100 policies of 1,024 sources: a page of summaries is small, and no page is large', {
  timeout: 240_000,
}, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  await bench.declare('ids-1/0');
  await bench.controller.close();
  const store = openSqliteStore(path.join(bench.data, 'store.db'));
  for (let policy = 0; policy < POLICIES; policy++) {
    await store.txn({ compare: [], ops: recordsOf(policy) });
  }
  await store.close();
  await bench.restart();

  const list = '/api/v1/policies';
  const summaries = await bench.get(`${list}?view=summary&limit=100`);
  assert.deepEqual([summaries.body.items.length, summaries.body.total], [POLICIES, POLICIES]);
  assert.ok(summaries.text.length < 500_000, `${summaries.text.length} bytes`);
  t.diagnostic(`summaries: ${summaries.text.length} bytes`);
  for (const [url, expected] of [
    [list, POLICIES],
    [`${list}/status`, POLICIES],
    [`${list}/p-1/sources`, SOURCES],
  ] as const) {
    let [items, largest] = [0, 0];
    for (let next: string | undefined = ''; next !== undefined; ) {
      const { text, body } = await bench.get(`${url}${next && `?continue=${next}`}`);
      largest = Math.max(largest, text.length);
      items += body.items.length;
      next = body.continue;
    }
    assert.equal(items, expected);
    t.diagnostic(`${url}: ${largest} bytes on the largest page`);
    assert.ok(largest < 8_000_000, `${url}: ${largest} bytes`);
  }
});
