/** Packets of attackers: rows stay text, and decoders that die are survived. */
import assert from 'node:assert/strict';
import { Transform } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { Decoders } from '../../src/decoder/decoders.ts';
import { plainColumns } from '../../src/decoder/plain-columns.ts';
import { RowSource } from '../../src/decoder/row-source.ts';
import { bubblewrap, type Sandbox } from '../../src/decoder/sandbox.ts';
import type { KeptPacket } from '../../src/looks/kept-packet.ts';
import { lookedPacket, udpFrame } from '../looks/looked-packets.ts';

/** Characters that turn, hide or break text, or speak to a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const HARMFUL = /[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]/;
const EVIL = '\x1b[31m\x1b]0;owned\x07\r\n9\t1\t<img src=x onerror=alert(1)>\u202egnp.\u2066\u0000\u009b2J';

function sourceOf(t: TestContext, sandbox?: Sandbox): RowSource {
  const source = new RowSource(new Decoders(sandbox), '', 'ann');
  t.after(() => source.close());
  return source;
}

/** Always the same numbers for the same seed: mulberry32. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function noise(length: number, random: () => number): Buffer {
  return Buffer.from(Array.from({ length }, () => Math.floor(random() * 256)));
}

function numbered(frames: readonly Buffer[], more: Partial<KeptPacket> = {}): KeptPacket[] {
  return frames.map((bytes, i) => lookedPacket({ ...more, number: i + 1, bytes }));
}

/** Decodes them, and expects a harmless row for each. @returns all text of the rows */
async function harmlessRows(source: RowSource, packets: readonly KeptPacket[]): Promise<string> {
  const columns = await source.columnsOf(packets);
  assert.deepEqual(
    [...columns.keys()].sort((a, b) => a - b),
    packets.map(({ number }) => number),
  );
  const texts = [...columns.values()].flatMap((one) => Object.values(one) as string[]);
  assert.deepEqual(
    texts.filter((text) => HARMFUL.test(text) || text.length > 400),
    [],
  );
  return texts.join('\n');
}

function dnsQuery(name: string): Buffer {
  const label = Buffer.from(name).subarray(0, 63);
  const head = Buffer.from('000101000001000000000000', 'hex');
  return Buffer.concat([head, Buffer.of(label.length), label, Buffer.from('0000010001', 'hex')]);
}

function tcpFrame(payload: string, to: number): Buffer {
  const frame = udpFrame(Buffer.concat([Buffer.alloc(12), Buffer.from(payload)]), { to });
  frame[23] = 6;
  frame.set([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 1, 0, 0, 0, 0, 0], 38);
  return frame;
}

test('names and requests with terminal sequences, HTML and turned text become text', async (t) => {
  const frames = [
    udpFrame(dnsQuery(EVIL), { to: 53 }),
    udpFrame(dnsQuery(EVIL), { to: 5353 }),
    tcpFrame(`GET /${EVIL} HTTP/1.1\r\nHost: ${EVIL}\r\n\r\n`, 80),
    tcpFrame(`USER ${EVIL}\r\n`, 21),
    udpFrame(`INVITE sip:${EVIL} SIP/2.0\r\nFrom: ${EVIL}\r\n\r\n`, { to: 5060 }),
    udpFrame(`<1>${EVIL}`, { to: 514 }),
  ];
  const source = sourceOf(t);
  const said = await harmlessRows(source, numbered(frames, { interfaceName: EVIL, device: EVIL, interface: EVIL }));
  assert.equal(source.state.state, 'ok');
  for (const protocol of ['DNS', 'MDNS', 'HTTP', 'FTP', 'Syslog']) {
    assert.ok(said.includes(protocol), `${protocol} in ${said}`);
  }
});

test('frames of one byte, of 64 kB and of noise have a row each, and the decoder lives', async (t) => {
  const random = randomFrom(7);
  const frames = [
    Buffer.alloc(0),
    Buffer.of(0xff),
    Buffer.alloc(65_535, 0x5a),
    ...Array.from({ length: 60 }, (_, i) => noise(i, random)),
    ...Array.from({ length: 60 }, () => noise(1500, random)),
    noise(65_535, random),
  ];
  const source = sourceOf(t);
  await harmlessRows(source, numbered(frames));
  assert.equal(source.state.state, 'ok');
});

test('headers that lie are decoded without harm: each byte of real packets is changed', async (t) => {
  const random = randomFrom(11);
  const bases = [
    udpFrame(dnsQuery('example'), { to: 53 }),
    tcpFrame('GET / HTTP/1.1\r\n\r\n', 80),
    udpFrame(noise(60, random), { to: 4789 }),
    udpFrame(noise(60, random), { to: 67 }),
  ];
  const frames = bases.flatMap((base) =>
    Array.from({ length: base.length * 3 }, (_, i) => {
      const frame = Buffer.from(base);
      frame[i % base.length] = Math.floor(random() * 256);
      return frame.subarray(0, 14 + Math.floor(random() * (frame.length - 13)));
    }),
  );
  const source = sourceOf(t);
  for (let from = 0; from < frames.length; from += 400) {
    const batch = numbered(frames.slice(from, from + 400));
    await harmlessRows(source, batch);
  }
});

test('a file that is damaged on its way ends the decoder, which is told, and rows go on', async (t) => {
  const random = randomFrom(3);
  let isDamaged = false;
  const source = sourceOf(t, () => {
    const running = bubblewrap();
    const stdin = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        if (isDamaged) {
          for (let i = 0; i < 40; i++) {
            chunk[Math.floor(random() * chunk.length)] = Math.floor(random() * 256);
          }
        }
        done(null, chunk);
      },
    });
    stdin.pipe(running.stdin).on('error', () => undefined);
    return { ...running, stdin };
  });
  const packets = numbered([udpFrame('a'), udpFrame('b')]);
  await harmlessRows(source, packets);
  isDamaged = true;
  await harmlessRows(source, packets);
  assert.equal(source.state.state, 'restarted');
  isDamaged = false;
  await harmlessRows(source, packets);
  assert.equal(source.state.state, 'ok');
});

test('a decoder that grows over its memory is started again, and rows go on', async (t) => {
  const source = sourceOf(t);
  const states = new Set<string>();
  // Each pair of ports is a conversation, which costs memory until the decoder ends.
  for (let batch = 0; !states.has('restarted'); batch++) {
    assert.ok(batch < 300, 'the decoder did not reach its bound');
    const frames = Array.from({ length: 1500 }, (_, i) => udpFrame('x', { from: 1024 + i, to: 1000 + batch }));
    const columns = await source.columnsOf(numbered(frames));
    assert.equal(columns.size, frames.length);
    states.add(source.state.state);
  }
  await harmlessRows(source, numbered([udpFrame('after')]));
  assert.equal(source.state.state, 'ok');
});

test('simple columns read any bytes without harm', () => {
  const random = randomFrom(5);
  const ip4 = udpFrame('x');
  const ip6 = Buffer.concat([Buffer.alloc(12), Buffer.from('86dd', 'hex'), noise(60, random)]);
  ip6[20] = 6;
  for (const base of [ip4, ip6, Buffer.from(`${'00'.repeat(12)}8100000181000002`, 'hex')]) {
    for (let length = 0; length <= base.length; length++) {
      for (const text of Object.values(plainColumns(base.subarray(0, length)))) {
        assert.doesNotMatch(text, HARMFUL);
      }
    }
  }
  assert.deepEqual(plainColumns(ip4), {
    source: '10.0.0.1',
    destination: '10.0.0.2',
    protocol: 'UDP',
    info: '40000 → 9999',
  });
});
