/** Batches of looks: written and read again, and refused where they are wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  BATCH_LIMITS,
  type BatchPacket,
  decodeLookBatch,
  divideBatch,
  encodeLookBatch,
  type LookBatch,
  LookBatchError,
} from '@mirrorplane/contract';

const PACKET: BatchPacket = {
  at: 1_790_000_000_123_456,
  interface: 'web-1/0',
  device: 'tap1',
  place: 'sent',
  direction: 'outbound',
  length: 65_226,
  captured: 4,
  packets: 45,
  gsoSize: 1448,
  vlan: 0,
  packet: '00ff00000000000a',
  copy: 'dropped:overBudget',
  bytes: Uint8Array.of(1, 2, 3, 4),
};
const { packet: _, vlan: __, ...BARE } = PACKET;

const BATCH: LookBatch = {
  look: 'a1b2',
  run: 2 ** 32 - 1,
  counts: { seen: 2 ** 40, written: 5, overRate: 4, ringFull: 3, lostOnTheWay: 2, dropsHeard: 6, dropsLost: 7 },
  unseen: [
    { device: 'tap7', direction: 'inbound', message: 'occupied: détachez' },
    { device: 'tap8', message: 'not mirrorable' },
  ],
  unheard: 'no tracepoint',
  packets: [PACKET, { ...BARE, place: 'delivered', direction: 'inbound', copy: 'copied' }],
  drops: [
    {
      at: 7,
      cause: 'ring',
      packets: 3,
      reason: 'FULL_RING',
      function: 'tun_net_xmit',
      device: '',
      packet: PACKET.packet!,
      length: 3000,
      gsoSize: 1448,
      bytes: Uint8Array.of(9, 8, 7),
    },
    {
      at: 8,
      cause: 'unclear',
      packets: 1,
      reason: '',
      function: '',
      device: 'br0',
      length: 60,
      gsoSize: 0,
      bytes: new Uint8Array(),
    },
  ],
  ended: 'lease',
};

test('a batch is read as it was written', () => {
  assert.deepEqual(decodeLookBatch(encodeLookBatch(BATCH)), BATCH);
  const { ended: _, unheard: __, ...going } = { ...BATCH, packets: [], drops: [], unseen: [] };
  assert.deepEqual(decodeLookBatch(encodeLookBatch(going)), going);
});

test('a batch that is cut anywhere is refused, and so is one with something behind it', () => {
  const bytes = encodeLookBatch(BATCH);
  for (let length = 0; length < bytes.length; length++) {
    assert.throws(() => decodeLookBatch(bytes.subarray(0, length)), LookBatchError, `${length}`);
  }
  assert.throws(() => decodeLookBatch(Uint8Array.of(...bytes, 0)), /follows its end/);
});

test('a batch with a wrong byte is refused or read within bounds', () => {
  const bytes = encodeLookBatch(BATCH);
  for (let at = 0; at < bytes.length; at++) {
    for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
      const wrong = bytes.slice();
      wrong[at] = value;
      try {
        const { packets, drops, unseen } = decodeLookBatch(wrong);
        assert.ok(packets.length + drops.length + unseen.length <= 6);
      } catch (error) {
        assert.ok(error instanceof LookBatchError, `${at}: ${error}`);
      }
    }
  }
});

for (const [what, packet, message] of [
  ['more bytes than it is long', { length: 3 }, /cannot be/],
  ['no number', { packets: 0 }, /cannot be/],
  ['a VLAN ID of 4096', { vlan: 4096 }, /cannot be/],
  ['an interface that is none', { interface: '../etc' }, /no valid id/],
  ['a fate that there is not', { copy: 'eaten' as never }, /a fate that there is not/],
  ['a negative time', { at: -1 }, /time of a packet/],
  ['a time that is no number', { at: Number.NaN }, /time of a packet/],
  ['too many bytes', { length: 9000, bytes: new Uint8Array(1605) }, /cannot be/],
  ['too great a length', { length: (1 << 20) + 1 }, /cannot be/],
  ['more segments than there can be', { packets: 65_536 }, /cannot be/],
  ['segments that are too large', { gsoSize: 65_536 }, /cannot be/],
] as const) {
  test(`refuses a packet with ${what}`, () => {
    const wrong = encodeLookBatch({ ...BATCH, packets: [{ ...PACKET, ...packet }] });
    assert.throws(() => decodeLookBatch(wrong), message);
  });
}

test('reads the most payload with the VLAN tag that a node puts back', () => {
  const packet = { ...PACKET, length: 1 << 20, packets: 65_535, gsoSize: 65_535, bytes: new Uint8Array(1604) };
  const { packets } = decodeLookBatch(encodeLookBatch({ ...BATCH, packets: [packet] }));
  assert.deepEqual(packets, [{ ...packet, captured: 1604 }]);
});

test('a batch of another version is refused', () => {
  const bytes = encodeLookBatch(BATCH);
  bytes[0] = 2;
  assert.throws(() => decodeLookBatch(bytes), /version 2, and not 1/);
});

test('a large batch is divided into batches within the limits, and nothing of it is lost', () => {
  const packets = Array.from({ length: 5000 }, (_, at) => ({
    ...PACKET,
    at,
    length: 2000,
    bytes: new Uint8Array(1600),
  }));
  const drops = Array.from({ length: 5000 }, (_, at) => ({ ...BATCH.drops[1]!, at }));
  const parts = divideBatch({ ...BATCH, packets, drops }).map((part) => decodeLookBatch(encodeLookBatch(part)));
  assert.deepEqual(
    parts.flatMap((part) => part.packets.map(({ at }) => at)),
    packets.map(({ at }) => at),
  );
  assert.deepEqual(
    parts.flatMap((part) => part.drops.map(({ at }) => at)),
    drops.map(({ at }) => at),
  );
  assert.deepEqual([parts.filter(({ ended }) => ended).length, parts.at(-1)?.ended], [1, 'lease']);
  assert.ok(parts.every((part) => encodeLookBatch(part).length <= BATCH_LIMITS.filled + 4096));
});
