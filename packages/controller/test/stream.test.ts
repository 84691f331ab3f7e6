/**
 * The one stream of a tab: a snapshot of each topic, then what changes, at the speed of its reader.
 */
import assert from 'node:assert/strict';
import test, { type TestContext } from 'node:test';
import { until } from '@mirrorplane/base';
import fc from 'fast-check';
import { EntryItems } from '../src/streams/items.ts';
import { MAX_TOPIC_ITEMS, Topic } from '../src/streams/topic.ts';
import { TopicStream } from '../src/streams/topic-stream.ts';
import { Bench } from './harness.ts';
import { SseReader } from './sse.ts';
import { Traffic } from './traffic.ts';

interface Data {
  snapshot?: true;
  total: number;
  upserts: Record<string, unknown>[];
  removed: string[];
}

/** What a reader makes of the messages of a topic. */
class Held {
  readonly items = new Map<string, Record<string, unknown>>();
  snapshots = 0;

  take(data: Data, key = 'name'): void {
    if (data.snapshot) {
      this.snapshots++;
      this.items.clear();
    }
    for (const item of data.upserts) {
      const id = String(item[key]);
      this.items.set(id, { ...this.items.get(id), ...item });
    }
    for (const id of data.removed) {
      this.items.delete(id);
    }
  }
}

async function open(t: TestContext, bench: Bench, query: string, lastId?: string): Promise<SseReader> {
  const headers = { authorization: `Bearer ${bench.token}`, ...(lastId !== undefined && { 'last-event-id': lastId }) };
  const reader = await SseReader.open(`http://${bench.controller.addresses[0]}/api/v1/stream?${query}`, headers);
  t.after(() => reader.close());
  return reader;
}

const dataOf = (reader: SseReader, name: string): Data[] =>
  reader.messages.filter((message) => message.name === name).map(({ data }) => JSON.parse(data));

function held(reader: SseReader, topic: string): Held {
  const all = new Held();
  for (const data of dataOf(reader, topic)) {
    all.take(data);
  }
  return all;
}

test('a reader has what a list has: at first, and after each change', { timeout: 60_000 }, async (t) => {
  const bench = await Bench.start(t);
  await Traffic.start(t, bench, { matched: 100 });
  const reader = await open(t, bench, 'topics=policies,nodes,events,policy:p,interface:ids-1/0');
  assert.equal(reader.response.headers['x-accel-buffering'], 'no');
  await until('every topic is there', () => new Set(reader.messages.map(({ name }) => name)).size >= 5);
  assert.equal(reader.messages[0]!.name, 'hello');
  const hello = JSON.parse(reader.messages[0]!.data);
  assert.ok(hello.version && hello.serverTime && hello.revision > 0);
  assert.equal(dataOf(reader, 'policies')[0]!.snapshot, true);
  assert.equal(dataOf(reader, 'nodes')[0]!.total, 2);
  assert.equal(dataOf(reader, 'interface:ids-1/0')[0]!.upserts[0]!.id, 'ids-1/0');
  assert.ok(dataOf(reader, 'policy:p')[0]!.upserts[0]!.totals);

  await bench.must('PATCH', '/api/v1/policies/p', { description: 'changed' });
  await until('the change is there', () => held(reader, 'policies').items.get('p')?.description === 'changed');
  await bench.declare('db-1/0');
  await bench.must('POST', '/api/v1/policies', { name: 'q', sources: ['db-1/0'], destination: 'ids-1/0' });
  await until('the new one is there', () => held(reader, 'policies').items.has('q'));
  await bench.must('DELETE', '/api/v1/policies/q');
  await until('it is gone', () => !held(reader, 'policies').items.has('q'));
  await until('rates come', () => held(reader, 'policies').items.get('p')?.health !== undefined && rateSeen(reader), {
    limitMs: 20_000,
  });
  const { items, snapshots } = held(reader, 'policies');
  const list = (await bench.get('/api/v1/policies?view=summary')).body.items;
  assert.deepEqual([snapshots, [...items.keys()]], [1, list.map(({ name }: { name: string }) => name)]);
  assert.equal((items.get('p')!.sparkline as unknown[]).length, 60);
  const events = dataOf(reader, 'events').flatMap((data) => (data as unknown as { items: { kind: string }[] }).items);
  for (const kind of ['policyChanged', 'policyCreated', 'policyDeleted']) {
    assert.ok(
      events.some((event) => event.kind === kind),
      kind,
    );
  }
});

function rateSeen(reader: SseReader): boolean {
  const rates = held(reader, 'policies').items.get('p')?.rates as { copied: { packetsPerSecond: number } | null };
  return (rates.copied?.packetsPerSecond ?? 0) > 50;
}

test('events go on after the last id, state begins with a snapshot, and a gap is told', {
  timeout: 60_000,
}, async (t) => {
  const bench = await Bench.start(t);
  await bench.cluster('node-1');
  const reader = await open(t, bench, 'topics=events,nodes');
  await bench.declare('web-1/0', 'ids-1/0');
  await bench.must('POST', '/api/v1/policies', { name: 'p', sources: ['web-1/0'], destination: 'ids-1/0' });
  await until('it is told', () => dataOf(reader, 'events').length > 0);
  const { lastId } = reader;
  reader.close();
  await bench.must('PATCH', '/api/v1/policies/p', { percent: 5 });
  const again = await open(t, bench, 'topics=events,nodes', lastId);
  await until(
    'what came meanwhile is told',
    () => dataOf(again, 'events').length > 0 && dataOf(again, 'nodes').length > 0,
  );
  const [first] = dataOf(again, 'events') as unknown as { items: { id: number; kind: string }[]; gap?: object }[];
  assert.deepEqual([first!.items[0]!.id, first!.gap], [Number(lastId) + 1, undefined]);
  assert.equal(dataOf(again, 'nodes')[0]!.snapshot, true);
  const lost = await open(t, bench, 'topics=events', '99999');
  await until('the gap is told', () => dataOf(lost, 'events').some((data) => 'gap' in data));

  for (const topics of [
    '',
    'policy:',
    'colours',
    'policies,nothing',
    Array(40)
      .fill(0)
      .map((_, at) => `policy:p${at}`)
      .join(),
  ]) {
    assert.equal((await bench.get(`/api/v1/stream?topics=${topics}`)).status, 400, topics);
  }
  assert.equal((await bench.get('/api/v1/stream')).status, 400);
  const wrong = await bench.get('/api/v1/stream?topics=policies,nothing');
  assert.match(wrong.body.detail, /"nothing" is not a topic: use policies, .*interface:ID/);
});

test('a slow reader gets fewer messages with all changes in them, and nothing waits for it', async () => {
  const items = new Map<string, { name: string; value: number; text: string }>();
  for (let at = 0; at < 100; at++) {
    items.set(`p-${at}`, { name: `p-${at}`, value: 0, text: 'x'.repeat(1000) });
  }
  const topic = new Topic(() => new Map(items));
  const stream = new TopicStream({ topics: [['policies', topic]], hello: {}, clock: Date.now });
  stream.setEncoding('utf8');
  const own = new Held();
  let messages = 0;
  const read = () => {
    for (let text = stream.read(); text !== null; text = stream.read()) {
      for (const [, data] of text.matchAll(/^data: (.*)$/gm)) {
        if (data !== '{}') {
          own.take(JSON.parse(data));
          messages++;
        }
      }
    }
  };
  topic.refresh();
  for (let second = 1; second <= 200; second++) {
    for (let at = second; at < second + 80; at++) {
      items.set(`p-${at % 100}`, { name: `p-${at % 100}`, value: second, text: 'x'.repeat(1000) });
    }
    items.delete(`p-${(second * 7) % 100}`);
    topic.refresh();
    stream.tell();
    assert.ok(stream.readableLength < 400_000, `${stream.readableLength} bytes wait`);
    if (second % 50 === 0) {
      read();
    }
  }
  read();
  stream.tell();
  read();
  assert.ok(messages < 20, `${messages} messages`);
  assert.deepEqual([...own.items.keys()].sort(), [...items.keys()].sort());
  for (const [key, { value }] of items) {
    assert.equal(own.items.get(key)?.value, value, key);
  }
  stream.destroy();
});

test('a topic has a bound, and a sparkline is sent only when it has changed', () => {
  const items = new Map(
    Array.from({ length: MAX_TOPIC_ITEMS + 5 }, (_, at) => [
      `k${String(at).padStart(5, '0')}`,
      { at, sparkline: [at] },
    ]),
  );
  const topic = new Topic(() => new Map(items));
  assert.equal(topic.refresh(), true);
  assert.equal(topic.refresh(), false);
  const first = topic.since(undefined)!;
  const data = JSON.parse(first.data);
  assert.deepEqual([data.total, data.upserts.length], [MAX_TOPIC_ITEMS + 5, MAX_TOPIC_ITEMS]);
  items.set('k00001', { at: 7, sparkline: [1] });
  items.set('k00002', { at: 2, sparkline: [8] });
  topic.refresh();
  const { data: next, version } = topic.since(first.version)!;
  assert.deepEqual(JSON.parse(next).upserts, [{ at: 7 }, { at: 2, sparkline: [8] }]);
  assert.equal(topic.since(version), undefined);
});

const key = (at: number) => `k${String(at).padStart(4, '0')}`;
const rowOf = (at: number) => ({ name: key(at), state: 0, number: 0 });

test('of a long topic, what is more than a number is told at once, and all numbers after five seconds', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 201, max: 1000 }),
      fc.array(fc.tuple(fc.nat(999), fc.constantFrom('state', 'number', 'gone', 'new')), { maxLength: 30 }),
      (count, changes) => {
        const entries = new Map(Array.from({ length: count }, (_, at) => [key(at), rowOf(at)]));
        const sign = ({ state }: { state: number }) => state;
        const topic = new Topic(() => new EntryItems(new Map(entries), (entry) => ({ ...entry }), sign));
        topic.refresh();
        const own = new Held();
        own.take(JSON.parse(topic.since(undefined)!.data));
        let version = topic.since(undefined)!.version;
        const read = () => {
          topic.refresh();
          const news = topic.since(version);
          version = news?.version ?? version;
          if (news) {
            own.take(JSON.parse(news.data));
          }
        };
        for (const [at, what] of changes) {
          const before = entries.get(key(at));
          if (what === 'gone') {
            entries.delete(key(at));
          } else if (before === undefined || what === 'new') {
            entries.set(key(at), { ...rowOf(at), state: 1 });
          } else {
            entries.set(key(at), { ...before, [what]: before[what] + 1 });
          }
        }
        read();
        const expected = [...entries].sort().slice(0, MAX_TOPIC_ITEMS);
        assert.deepEqual(
          [...own.items.keys()].sort(),
          expected.map(([name]) => name),
        );
        for (const [name, { state }] of expected) {
          assert.equal(own.items.get(name)?.state, state, name);
        }
        for (let second = 1; second < 5; second++) {
          read();
        }
        assert.deepEqual(
          expected.map(([name]) => own.items.get(name)?.number),
          expected.map(([, { number }]) => number),
        );
      },
    ),
    { numRuns: 60 },
  );
});

test('a stream that nobody reads is ended, and one that is read is alive', async () => {
  const topic = new Topic(() => new Map([['a', { text: 'x'.repeat(100_000) }]]));
  topic.refresh();
  const options = { topics: [['t', topic]] as const, hello: {}, clock: Date.now, heartbeatMs: 20, stalledMs: 100 };
  const stalled = new TopicStream(options);
  stalled.read(0);
  await until('it is ended', () => stalled.destroyed);
  const alive = new TopicStream(options);
  let text = '';
  alive.setEncoding('utf8').on('data', (part) => {
    text += part;
  });
  await until('it beats', () => /event: heartbeat\ndata: \{"serverTime"/.test(text));
  alive.destroy();
});
