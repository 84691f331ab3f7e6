/**
 * Copies that come while a state is being applied: before each write of a map, copies are sent with
 * every number that matters.
 */
import assert from 'node:assert/strict';
import { before, mock, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DatapathState, TerminationEntry } from '../../src/datapath/datapath.ts';
import { BpfMap } from '../../src/datapath/kernel/libbpf.ts';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { sniffing } from './support/sniffer.ts';
import {
  capturesOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useWorld,
} from './support/world.ts';

/** The node that copies are relayed to, and the numbers there: of the earlier meaning, and of the later one. */
const NEXT_ADDRESS = '10.98.0.3';
const [EARLIER, LATER] = [101, 202];
/** What is the same for one number during all changes. */
const STEADY_SESSION = SESSION + 1;
/** IPv4 20 and GRE 8 behind the outer Ethernet header of 14. Then a word with the session, and the index. */
const ERSPAN_AT = 42;
/** Bits of the generation in an index are above those of the source. */
const SOURCE_BITS = 11;
/** Sources that the copies are said to be of, so that each is known again behind a relay. */
const SOURCE = { earlier: 1, later: 2, steady: 3 };

const world = await useWorld({ underlayMtu: 1600 });
let frame: Buffer;

before(() => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  run('ip', 'neigh', 'replace', NEXT_ADDRESS, 'lladdr', world.nextHop.destinationMac, 'dev', 'und', 'nud', 'permanent');
});

interface Number {
  session: number;
  generation: number;
}

/** A copy of the other node with a number. */
function copyAs({ session, generation }: Number, source: number): Buffer {
  const { sourceMac, destinationMac } = world.nextHop; // as this node sees them
  const request = {
    ...{ inner: frame, source: OTHER_ADDRESS, address: OWN_ADDRESS, session },
    ...{ index: (generation << SOURCE_BITS) | source, sourceMac: destinationMac, destinationMac: sourceMac },
  };
  return scapy({ erspan: [request] }).erspan[0]!;
}

/** What comes with `number` is relayed to the next node as `session`. One number is delivered here. */
function relaying(number: Number & Partial<TerminationEntry>, session: number): DatapathState {
  return stateOf({
    deliveries: [
      localTo(world.devices.dst.ifindex),
      erspanOver(world, { id: 'N', address: NEXT_ADDRESS, session, mtu: 1600 }),
    ],
    terminations: [
      erspanFrom('N', { id: 'T', ...number }),
      erspanFrom('L', { id: 'S', session: STEADY_SESSION, generation: 0 }),
    ],
    mirrorDevice: world.devices.und.ifindex,
  });
}

/** Applies a state. @param before called before each write, with its kind and the name of the map */
async function applyWith(state: DatapathState, before: (write: string) => void): Promise<void> {
  const { update, remove } = BpfMap.prototype;
  const spies = [
    mock.method(BpfMap.prototype, 'update', function call(this: BpfMap, key: Buffer, value: Buffer) {
      before(`update ${this.name}`);
      update.call(this, key, value);
    }),
    mock.method(BpfMap.prototype, 'remove', function call(this: BpfMap, key: Buffer) {
      before(`remove ${this.name}`);
      return remove.call(this, key);
    }),
  ];
  try {
    await world.datapath.apply(state);
  } finally {
    for (const spy of spies) {
      spy.mock.restore();
    }
  }
}

/** Source and session of a copy behind a relay. */
function wordsOf(packet: Buffer): string {
  const source = packet.readUInt32BE(ERSPAN_AT + 4) & ((1 << SOURCE_BITS) - 1);
  return `source ${source} as ${packet.readUInt32BE(ERSPAN_AT) & 0x3ff}`;
}

const CHANGES: [string, Number, Number][] = [
  ['the same session of the next generation', { session: SESSION, generation: 4 }, { session: SESSION, generation: 5 }],
  ['another session', { session: SESSION, generation: 5 }, { session: SESSION + 2, generation: 5 }],
];

for (const [name, earlier, later] of CHANGES) {
  test(`at no moment of a change to ${name}, a copy is relayed with a number of another meaning`, async () => {
    const copies = [copyAs(earlier, SOURCE.earlier), copyAs(later, SOURCE.later)];
    const steady = copyAs({ session: STEADY_SESSION, generation: 0 }, SOURCE.steady);
    const sendAll = () => {
      for (const copy of [...copies, steady]) {
        world.wire.send(copy);
      }
    };
    await world.datapath.apply(relaying(earlier, EARLIER));
    await sniffing(['undp', 'dstp'], async ([wire, here]) => {
      let writes = 0;
      await applyWith(relaying(later, LATER), () => {
        writes++;
        sendAll();
      });
      assert.ok(writes >= 2, 'a termination and a delivery change');
      sendAll();
      const isLast = (packet: Buffer) => wordsOf(packet) === `source ${SOURCE.later} as ${LATER}`;
      await until('the copy behind the change', () => wire.frames().some(isLast));
      assert.equal((await here.expect(writes + 1)).length, writes + 1, 'what stays is delivered all the time');
      const seen = [...new Set(wire.frames().map(wordsOf))].sort();
      assert.deepEqual(seen, [`source ${SOURCE.earlier} as ${EARLIER}`, `source ${SOURCE.later} as ${LATER}`]);
    });
  });
}

test('a capture that gets another delivery never sends as its earlier one is then', async () => {
  const { vm, dst, und } = world.devices;
  /** The node is the destination's from now on, and relays to the next one. */
  const state = (delivery: 'L' | 'N', session: number) =>
    stateOf({
      captures: capturesOf(vm.ifindex, delivery),
      deliveries: [
        ...(delivery === 'L' ? [localTo(dst.ifindex)] : []),
        erspanOver(world, { id: 'N', address: NEXT_ADDRESS, session, mtu: 1600 }),
      ],
      mirrorDevice: und.ifindex,
    });
  await world.datapath.apply(state('N', EARLIER));
  await sniffing(['undp', 'dstp'], async ([wire, here]) => {
    let sent = 0;
    const send = () => {
      sent++;
      world.guest.send(frame);
    };
    await applyWith(state('L', LATER), send);
    send();
    await until('every copy', () => wire.frames().length + here.frames().length >= sent);
    assert.equal(wire.frames().length + here.frames().length, sent);
    const sessions = wire.frames().map((packet) => packet.readUInt32BE(ERSPAN_AT) & 0x3ff);
    assert.ok(sessions.length > 0 && here.frames().length > 0);
    assert.deepEqual(new Set(sessions), new Set([EARLIER]));
  });
});

test('a number that comes by another device from now on begins there before it ends here', async () => {
  const number = { session: SESSION, generation: 4 };
  await world.datapath.apply(relaying({ ...number, device: world.devices.by.ifindex }, EARLIER));
  const writes: string[] = [];
  await applyWith(relaying(number, EARLIER), (write) => writes.push(write));
  const ofTerminations = writes.filter((write) => write.endsWith(' terminations'));
  assert.deepEqual(ofTerminations, ['update terminations', 'remove terminations']);
});
