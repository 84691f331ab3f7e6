/** Rows of a look for one reader: real decoders, a look that is fed by the test. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { LookCreate, PacketRows } from '@mirrorplane/contract';
import { Decoders } from '../../src/decoder/decoders.ts';
import { RowStream, type RowStreamOptions } from '../../src/decoder/row-stream.ts';
import type { LiveLook } from '../../src/looks/live-look.ts';
import { Looks } from '../../src/looks/looks.ts';
import { udpFrame } from '../looks/looked-packets.ts';
import { arrived, drop, seen } from '../looks/seen.ts';
import { missing } from './sandboxes.ts';

class Reader {
  readonly messages: PacketRows[] = [];
  readonly stream: RowStream;
  ended = false;

  constructor(t: TestContext, look: LiveLook, options: Partial<RowStreamOptions> = {}) {
    this.stream = new RowStream({
      look,
      holder: 'ann',
      decoders: new Decoders(),
      after: 0,
      filter: '',
      renew: () => undefined,
      ...options,
    });
    t.after(() => this.stream.destroy());
    let text = '';
    this.stream.setEncoding('utf8').on('data', (more: string) => {
      text += more;
      const parts = text.split('\n\n');
      text = parts.pop()!;
      for (const part of parts) {
        const [, data] = /^event: rows\nid: \d+\ndata: (.*)$/.exec(part) ?? [];
        if (data !== undefined) {
          this.messages.push(PacketRows.parse(JSON.parse(data)));
        }
        this.ended ||= part.startsWith('event: end');
      }
    });
  }

  get rows(): PacketRows['rows'] {
    return this.messages.flatMap(({ rows }) => rows);
  }

  get last(): PacketRows | undefined {
    return this.messages.at(-1);
  }

  seen(count: number): Promise<unknown> {
    return until(`${count} rows`, () => this.rows.length >= count, { limitMs: 30_000 });
  }
}

function begin(t: TestContext): { look: LiveLook; looks: Looks; feed: (count: number, more?: object) => void } {
  const looks = new Looks({ clock: Date.now, nameOf: (id) => `name of ${id}` });
  t.after(() => looks.close());
  const look = looks.create(LookCreate.parse({ interfaces: ['web-1/0'] }), {
    name: 'test',
    kind: 'token',
    address: '',
  });
  const feed = (count: number, more: object = {}) => {
    const packets = Array.from({ length: count }, (_, i) => {
      return { ...seen({ bytes: udpFrame('x'.repeat(i % 50)), packet: i.toString(16).padStart(16, '0') }), ...more };
    });
    looks.feed(look.id, 'node-1', { packets });
  };
  return { look, looks, feed };
}

test('each packet comes once, in order, with its columns, at most 500 in a message', async (t) => {
  const { look, feed } = begin(t);
  feed(700);
  const reader = new Reader(t, look);
  await reader.seen(700);
  feed(2);
  await reader.seen(702);
  assert.deepEqual(
    reader.rows.map(({ packet }) => packet.number),
    Array.from({ length: 702 }, (_, i) => i + 1),
  );
  assert.equal(reader.rows[3]?.columns.info, '40000 → 9999 Len=3');
  assert.equal(reader.rows[3]?.packet.interfaceName, 'name of web-1/0');
  assert.ok(reader.messages.every(({ rows }) => rows.length <= 500));
  assert.equal(reader.messages[0]?.look?.id, look.id);
  assert.ok(!JSON.stringify(reader.messages).includes('"bytes"'));
});

test('what became of a packet is told again when more is known', async (t) => {
  const { look, looks } = begin(t);
  const reader = new Reader(t, look);
  looks.feed(look.id, 'node-1', { packets: [seen(), seen({ packet: '00000000000000bb', at: 1_000_001 })] });
  await reader.seen(2);
  assert.deepEqual(
    reader.rows.map(({ packet }) => packet.original.state),
    ['unknown', 'unknown'],
  );
  looks.feed(look.id, 'node-2', { packets: [arrived()], drops: [drop()] });
  await until('its fate', () => reader.messages.some(({ originals }) => originals.length > 0));
  const told = reader.messages.flatMap(({ originals }) => originals);
  // Without the bytes of its frame.
  const { length: _, gsoSize: __, bytes: ___, ...heard } = drop();
  assert.deepEqual(told, [{ number: 1, original: { state: 'dropped', drop: heard } }]);
});

test('the display filter hides packets and says how many, and tells nothing of them later', async (t) => {
  const { look, looks, feed } = begin(t);
  feed(10, { bytes: udpFrame('', { to: 53 }) });
  feed(5);
  const reader = new Reader(t, look, { filter: 'udp.dstport == 53' });
  await reader.seen(10);
  await until('all of them', () => reader.last?.last === 15);
  assert.deepEqual([reader.rows.length, reader.last?.hidden], [10, 5]);
  looks.feed(look.id, 'node-2', { drops: [drop({ packet: '0000000000000009', at: 1_000_100 })] });
  looks.feed(look.id, 'node-1', { packets: [seen({ packet: 'ff00000000000000', bytes: udpFrame('', { to: 53 }) })] });
  await reader.seen(11);
  assert.deepEqual(
    reader.messages.flatMap(({ originals }) => originals.map(({ number }) => number)),
    [10],
  );
});

test('a reader that resumes gets what it does not have, and what left the ring is counted', async (t) => {
  const { look, feed } = begin(t);
  feed(10_200);
  const resumed = new Reader(t, look, { after: 10_150 });
  await resumed.seen(50);
  assert.deepEqual([resumed.rows.length, resumed.last?.skipped], [50, 0]);
  resumed.stream.destroy();
  const late = new Reader(t, look, { after: 100 });
  await late.seen(1);
  assert.equal(late.rows[0]?.packet.number, 201);
  assert.equal(late.last?.skipped, 100);
});

test('the stream ends after the last packet of a look that has ended', async (t) => {
  const { look, looks, feed } = begin(t);
  feed(3);
  const reader = new Reader(t, look);
  await reader.seen(3);
  looks.end(look.id, 'asked');
  await until('that it has ended', () => reader.messages.some((one) => one.look?.state === 'ended'));
  feed(1);
  look.finish();
  await until('the end', () => reader.ended);
  assert.equal(reader.rows.length, 4);
  assert.equal(reader.messages.findLast((one) => one.look)?.look?.endedBy, 'asked');
});

test('without a decoder rows come with simple columns, and the first message says why', async (t) => {
  const { look, feed } = begin(t);
  const reader = new Reader(t, look, { decoders: new Decoders(missing) });
  await until('the first message', () => reader.messages.length > 0);
  assert.equal(reader.messages[0]?.decoder.state, 'absent');
  feed(2);
  await reader.seen(2);
  assert.equal(reader.rows[0]?.columns.protocol, 'UDP');
});

test('a reader lets the look live while it reads', async (t) => {
  const { look } = begin(t);
  let renewed = 0;
  const reader = new Reader(t, look, { renew: () => renewed++ });
  await until('the first message', () => reader.messages.length > 0);
  assert.equal(renewed, 1);
});
