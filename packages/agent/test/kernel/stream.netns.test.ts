/** The copies of a TCP stream have all its bytes. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { after, before, test } from 'node:test';
import type { Datapath } from '../../src/datapath/datapath.ts';
import {
  addBridge,
  addNamespace,
  addVeth,
  enterOwnNamespace,
  leftPins,
  link,
  type Namespace,
  newDatapath,
  run,
  segmentInSoftware,
  underlay,
  type Veth,
} from './support/namespace.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSameFrames, assertSumsClose, capturesOf, countOf, countsOf, stateOf } from './support/world.ts';

const OUTER = 50;
const SIZE = 4 * 2 ** 20;
const CLIENT = '10.50.0.1';
const SERVER = '10.50.0.2';

/** Numbers that do not repeat in a stream of this size: four bytes each. */
const CONTENT = `b''.join((i * 2654435761 & 0xffffffff).to_bytes(4, 'big') for i in range(${SIZE} // 4))`;
const SEND = `
import socket
data = ${CONTENT}
s = socket.create_connection(('${SERVER}', 5001))
for i in range(0, len(data), 65536): s.sendall(data[i:i + 65536])
s.shutdown(socket.SHUT_WR)
s.recv(1)
`;
/**
 * A small window keeps the packets in flight below the packet queue of a CPU, so that none is lost.
 */
const RECEIVE = `
import socket
l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200000)
l.bind(('${SERVER}', 5001))
l.listen()
print('listening', flush=True)
s, _ = l.accept()
count = 0
while True:
    got = s.recv(65536)
    if not got: break
    count += len(got)
s.sendall(b'x')
print(count, flush=True)
`;

let guest: Namespace;
let host: Namespace;
let datapath: Datapath;
let vm: Veth;
let und: Veth;
let content: string;

before(async () => {
  enterOwnNamespace();
  [guest, host] = await Promise.all([addNamespace(), addNamespace()]);
  vm = addVeth('vm');
  addVeth('far');
  und = addVeth('und', { mtu: 1600 });
  addBridge('lan', ['vm', 'far']);
  for (const [namespace, device, address] of [
    [guest, 'vmp', CLIENT],
    [host, 'farp', SERVER],
  ] as const) {
    moveInto(namespace, device, address);
  }
  underlay('und', '10.98.0.1', '10.98.0.2', link('undp').address);
  segmentInSoftware('und', 'far');
  ({ datapath } = newDatapath());
  await datapath.open();
  const bytes = Buffer.alloc(SIZE);
  for (let i = 0; i < SIZE / 4; i++) {
    bytes.writeUInt32BE(Math.imul(i, 2654435761) >>> 0, i * 4);
  }
  content = createHash('sha256').update(bytes).digest('hex');
});
after(async () => {
  await datapath?.uninstall();
  for (const name of ['lan', 'vm', 'far', 'und']) {
    run('ip', 'link', 'del', name);
  }
  guest?.close();
  host?.close();
  assert.deepEqual(leftPins(), []);
});

function moveInto(namespace: Namespace, device: string, address: string): void {
  namespace.adopt(device);
  namespace.run('ip', 'addr', 'add', `${address}/24`, 'dev', device);
  namespace.run('ip', 'link', 'set', device, 'up');
}

/** Sends the content over TCP. Returns once the server has it all. */
async function transfer(): Promise<void> {
  const python = (namespace: Namespace, code: string) =>
    spawn('nsenter', ['-t', String(namespace.pid), '-n', '/usr/bin/python3', '-c', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
  const server = python(host, RECEIVE);
  let output = '';
  const ended = new Promise((resolve) => server.once('close', resolve));
  server.stdout.on('data', (chunk) => {
    output += chunk;
  });
  await new Promise((resolve) => server.stdout.once('data', resolve));
  const client = python(guest, SEND);
  const finished = new Promise((resolve) => client.once('close', resolve));
  try {
    await finished;
    await ended;
  } finally {
    for (const child of [server, client]) {
      child.kill('SIGKILL');
    }
  }
  assert.equal(output, `listening\n${SIZE}\n`);
}

const fromClient = (frame: Buffer) => frame.readUInt16BE(12) === 0x0800 && frame.readUInt32BE(26) === 0x0a320001;

/** The bytes that a client sent, of frames in any order, repetitions allowed. */
function streamOf(frames: readonly Buffer[]): Buffer {
  const segments = frames.map((frame) => {
    const tcp = 14 + (frame[14]! & 15) * 4;
    const payload = frame.subarray(tcp + (frame[tcp + 12]! >> 4) * 4, 14 + frame.readUInt16BE(16));
    return { sequence: frame.readUInt32BE(tcp + 4), syn: (frame[tcp + 13]! & 2) !== 0, payload };
  });
  const start = segments.find(({ syn }) => syn)!.sequence + 1;
  const stream = Buffer.alloc(SIZE);
  const seen = new Uint8Array(SIZE);
  for (const { sequence, payload } of segments) {
    const offset = (sequence - start) >>> 0;
    if (payload.length === 0) {
      continue;
    }
    payload.copy(stream, offset);
    seen.fill(1, offset, offset + payload.length);
  }
  assert.ok(!seen.includes(0), 'a part of the stream is missing');
  return stream;
}

for (const mtu of [1500, 1600]) {
  test(`a TCP stream of ${SIZE} bytes is whole in its copies at underlay MTU ${mtu}`, async () => {
    const id = `E-${mtu}`;
    await datapath.apply(
      stateOf({
        captures: capturesOf(vm.ifindex, id, { source: id }),
        deliveries: [
          {
            ...{ id, policy: 'p', kind: 'erspan', ifindex: und.ifindex, mtu, session: 7, generation: 0 },
            ...{ sourceAddress: '10.98.0.1', address: '10.98.0.2' },
          },
        ],
      }),
    );
    const outer = await Sniffer.start('undp', { longest: 2048 });
    const originals = await Sniffer.start('farp', { pid: host.pid, longest: 2048 });
    try {
      await transfer();
      const report = await datapath.counters();
      assertSumsClose(report);
      const { sent } = report.deliveries.find(({ delivery }) => delivery === id)!;
      const outers = await outer.expect(sent.packets);
      assert.deepEqual(countOf(outers), sent);
      assert.ok(outers.every((frame) => frame.length <= mtu + 14));
      const sequences = new Set(outers.map((frame) => frame.readUInt32BE(38)));
      assert.ok(sequences.size < outers.length / 2, 'the stream went through as super-packets');

      const inner = outers.map((frame) => frame.subarray(OUTER)).filter(fromClient);
      assert.equal(createHash('sha256').update(streamOf(inner)).digest('hex'), content);
      const { copied, dropped } = countsOf(report, 'outbound', id);
      assert.deepEqual(dropped, {});
      if (mtu === 1600) {
        const seen = await originals.expect(copied.packets);
        assert.deepEqual(countOf(seen), copied);
        assertSameFrames(inner, seen.filter(fromClient), 'inner segments');
      }
      const bad = '(ip.checksum.status == 0) || (tcp.checksum.status == 0)';
      const check = ['-o', 'ip.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-Y', bad];
      assert.deepEqual(outer.decode(['frame.number'], 'first', check), []);
    } finally {
      outer.close();
      originals.close();
    }
  });
}
