/** Counters as numbers say the same as rows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  CounterReader,
  type CountersMessage,
  CounterWriter,
  type HeardCounters,
  type Passing,
  CountersMessage as Schema,
} from '../src/index.ts';

const count = fc.record({ packets: fc.nat(1000), bytes: fc.maxSafeNat() });
const nothing = fc.constant({ packets: 0, bytes: 0 });
const captureCounts = fc.oneof(
  count.map((matched) => ({
    ...{ matched, sampledOut: { packets: 0, bytes: 0 }, copied: { ...matched } },
    ...{ truncated: { packets: 0, bytes: 0 }, dropped: {}, skipped: {} },
  })),
  fc.record({
    matched: count,
    sampledOut: fc.oneof(count, nothing),
    copied: count,
    truncated: fc.oneof(count, nothing),
    dropped: fc.oneof(fc.constant({}), fc.record({ cloneFailed: count })),
    skipped: fc.oneof(fc.constant({}), fc.record({ isCopy: count })),
  }),
);
const row = fc.record(
  {
    policy: fc.constantFrom('p-1', 'p-2'),
    source: fc.constantFrom('vm-1', 'vm-2', 'vm-3'),
    direction: fc.constantFrom('inbound' as const, 'outbound' as const),
    life: fc.nat(2),
    counts: captureCounts,
  },
  { requiredKeys: ['policy', 'source', 'direction', 'counts'] },
);
const device = fc.record(
  { ifindex: fc.integer({ min: 1, max: 9 }), inbound: count, outbound: count, unread: fc.nat(5) },
  { requiredKeys: ['ifindex', 'inbound', 'outbound'] },
);
const message = fc
  .record(
    {
      captures: fc.uniqueArray(row, { selector: (one) => `${one.policy} ${one.source} ${one.direction}` }),
      traffic: fc.record({ devices: fc.uniqueArray(device, { selector: ({ ifindex }) => ifindex }) }),
    },
    { requiredKeys: ['captures'] },
  )
  .map(({ captures, ...traffic }): CountersMessage => {
    const rest = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
    return { type: 'counters', report: { epoch: 'e', captures, ...rest }, ...traffic };
  });

/** Rows in an order that does not matter. */
function sorted({ report, traffic, ...others }: CountersMessage) {
  const key = (one: CountersMessage['report']['captures'][number]) => `${one.policy} ${one.source} ${one.direction}`;
  const captures = report.captures.toSorted((a, b) => (key(a) < key(b) ? -1 : 1));
  const devices = traffic?.devices.toSorted((a, b) => a.ifindex - b.ifindex);
  return { ...others, report: { ...report, captures }, ...(devices && { traffic: { ...traffic, devices } }) };
}

/** What is read, as a message of lists: each item is a copy, because the next one may be the same object. */
function whole(read: HeardCounters | { problem: string }): CountersMessage {
  assert.ok(!('problem' in read));
  const listOf = <T extends object>({ forEach }: Passing<T>): T[] => {
    const items: T[] = [];
    forEach((item) => {
      const { number: _, ...copy } = JSON.parse(JSON.stringify(item));
      items.push(copy);
    });
    return items;
  };
  const { report, traffic, ...others } = read;
  return {
    ...others,
    report: { ...report, captures: listOf(report.captures) },
    ...(traffic && { traffic: { ...traffic, devices: listOf(traffic.devices) } }),
  };
}

const sent = (told: CountersMessage) => Schema.parse(JSON.parse(JSON.stringify(told)));

test('what is read is what was written, whatever the reports of a connection say', () => {
  let asNumbers = 0;
  fc.assert(
    fc.property(fc.array(message, { minLength: 1, maxLength: 6 }), (messages) => {
      const [writer, reader] = [new CounterWriter(), new CounterReader()];
      for (const made of messages) {
        // Without the objects without a prototype that fast-check makes.
        const one: CountersMessage = JSON.parse(JSON.stringify(made));
        const written = writer.write(one);
        asNumbers += (written.numbers?.whole?.length ?? 0) + (written.numbers?.parts?.length ?? 0);
        assert.deepEqual(sorted(whole(reader.read(sent(written)))), sorted(one));
      }
    }),
  );
  assert.ok(asNumbers > 0);
});

test('a row is told whole once on a connection, and where more of it has changed than its counts', () => {
  const writer = new CounterWriter();
  const counts = (packets: number, dropped = {}) => {
    const zero = { packets: 0, bytes: 0 };
    const all = { packets, bytes: packets };
    return { matched: all, sampledOut: zero, copied: all, truncated: zero, dropped, skipped: {} };
  };
  const told = (packets: number, dropped?: object) => {
    const captures = [{ policy: 'p', source: 's', direction: 'inbound' as const, counts: counts(packets, dropped) }];
    const rest = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
    return writer.write({ type: 'counters', report: { epoch: 'e', captures, ...rest } });
  };
  const first = told(1);
  assert.deepEqual([first.report.captures[0]?.number, first.numbers], [0, {}]);
  const second = told(2);
  assert.deepEqual([second.report.captures, second.numbers], [[], { whole: [0, 2, 2] }]);
  const dropping = told(3, { cloneFailed: { packets: 1, bytes: 1 } });
  assert.deepEqual([dropping.report.captures[0]?.number, dropping.numbers], [0, {}]);
  writer.forget();
  assert.equal(told(4).report.captures.length, 1);
});

test('a connection that sees many policies come and go uses no more numbers than there are rows at a time', () => {
  const [writer, reader] = [new CounterWriter(), new CounterReader()];
  const counts = { packets: 1, bytes: 1 };
  const zero = { packets: 0, bytes: 0 };
  const all = { matched: counts, sampledOut: zero, copied: counts, truncated: zero, dropped: {}, skipped: {} };
  const rest = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const report = (policy: string) => {
    const captures = Array.from({ length: 100 }, (_, at) => {
      return { policy, source: `s-${at}`, direction: 'inbound' as const, counts: all };
    });
    return { type: 'counters' as const, report: { epoch: 'e', captures, ...rest } };
  };
  let highest = 0;
  let last = 0;
  for (let generation = 0; generation < 400; generation++) {
    for (let time = 0; time < 2; time++) {
      const made = report(`p-${generation}`);
      writer.retain(made.report.captures);
      const written = writer.write(made);
      highest = Math.max(highest, ...written.report.captures.map(({ number }) => number ?? Number.POSITIVE_INFINITY));
      last = JSON.stringify(written).length;
      assert.deepEqual(sorted(whole(reader.read(sent(written)))), sorted(made));
    }
  }
  assert.ok(highest < 200, `the highest number is ${highest}`);
  assert.ok(last < 2000, `a report in which nothing is new has ${last} bytes`);
});

test('numbers that no honest agent sends are refused', () => {
  const rest = { deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const base = { type: 'counters', report: { epoch: 'e', captures: [], ...rest }, traffic: { devices: [] } };
  const isGood = (numbers: object) => Schema.safeParse({ ...base, numbers }).success;
  assert.ok(isGood({}));
  assert.ok(isGood({ whole: [1, 2, 3], parts: [1, 2, 3, 4, 5, 6, 7, 8, 9], devices: [1, 2, 3, 4, 5, -1] }));
  for (const whole of [[1, 2], [1, 2, -1], [1, 2, 0.5], [1, 2, '3'], [1, 2, null], [1, 2, 1e300], 'x', {}]) {
    assert.ok(!isGood({ whole }), JSON.stringify(whole));
  }
  assert.ok(!isGood({ devices: [1, -1, 3, 4, 5, -1] }));
  assert.ok(!isGood({ whole: new Array(12_003).fill(0) }), 'more than an agent has');
  const unknown = { ...base, numbers: { whole: [7, 1, 1] } };
  assert.deepEqual(new CounterReader().read(Schema.parse(unknown)), {
    problem: 'row 7 of the counters was never told',
  });
});
