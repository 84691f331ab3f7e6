/** `mirrorplane capture` and `mirrorplane look`: reading the stream, lines, and refusals. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Look } from '@mirrorplane/contract';
import { packetLine } from '../src/output/looks.ts';
import { PcapngError, PcapngReader } from '../src/pcapng-reader.ts';
import { CLUSTER } from './cluster.ts';
import { Controller } from './controller.ts';

/** The header of a section: magic, version 1.0, length not known. */
const SECTION = '0a0d0d0a1c0000004d3c2b1a01000000ffffffffffffffff1c000000';

function option(code: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(code, 0);
  head.writeUInt16LE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
}

function block(type: number, body: Buffer): Buffer {
  const around = Buffer.alloc(12);
  around.writeUInt32LE(type, 0);
  around.writeUInt32LE(body.length + 12, 4);
  around.writeUInt32LE(body.length + 12, 8);
  return Buffer.concat([around.subarray(0, 8), body, around.subarray(8)]);
}

function packetBlock(comment: string): Buffer {
  const fixed = Buffer.alloc(20);
  fixed.writeUInt32LE(416_767, 4);
  fixed.writeUInt32LE(123_456, 8);
  fixed.writeUInt32LE(3, 12);
  fixed.writeUInt32LE(1500, 16);
  const flags = Buffer.from([2, 0, 0, 0]);
  const drops = Buffer.from([7, 0, 0, 0, 0, 0, 0, 0]);
  const options = [option(1, Buffer.from(comment)), option(2, flags), option(4, drops), Buffer.alloc(4)];
  return block(6, Buffer.concat([fixed, Buffer.from([1, 2, 3, 0]), ...options]));
}

const STREAM = Buffer.concat([
  Buffer.from(SECTION, 'hex'),
  block(1, Buffer.concat([Buffer.alloc(8), option(2, Buffer.from('web-1/0 on node-1 (sent)')), Buffer.alloc(4)])),
  packetBlock('copy: copied; original: delivered'),
  packetBlock('\u001b[31mred\u202e'),
]);

describe('the stream of a look', () => {
  it('is read in pieces of any length', () => {
    for (const length of [1, 3, 7, 64, STREAM.length]) {
      const reader = new PcapngReader();
      const blocks = [];
      for (let at = 0; at < STREAM.length; at += length) {
        blocks.push(...reader.add(STREAM.subarray(at, at + length)));
      }
      assert.deepEqual(Buffer.concat(blocks.map(({ bytes }) => bytes)), STREAM);
      const [packet] = blocks.flatMap((one) => (one.packet ? [one.packet] : []));
      assert.deepEqual(packet, {
        at: 416_767 * 2 ** 32 + 123_456,
        interface: 'web-1/0 on node-1 (sent)',
        direction: 'outbound',
        length: 1500,
        captured: 3,
        comment: 'copy: copied; original: delivered',
        lost: 7,
      });
    }
  });

  it('is refused where a block cannot be', () => {
    const wrong = Buffer.from(STREAM);
    wrong.writeUInt32LE(5, 4);
    assert.throws(() => new PcapngReader().add(wrong), PcapngError);
  });

  it('becomes lines without control characters', () => {
    const packets = new PcapngReader().add(STREAM).flatMap(({ packet }) => (packet ? [packet] : []));
    const line = packetLine(packets[0]!);
    assert.match(
      line,
      /^\d\d:\d\d:\d\d\.\d{6} {2}web-1\/0 on node-1 \(sent\) +out +1500 {2}copy: copied; original: delivered {2}\(7 lost before\)\n$/,
    );
    assert.ok(!['\u001b', '\u202e'].some((character) => packetLine(packets[1]!).includes(character)));
  });
});

describe('capture and look', () => {
  const controller = new Controller();

  before(async () => {
    await controller.start();
    assert.equal((await controller.run(['apply', '-f', '-'], { input: CLUSTER })).code, 0);
  });
  after(() => controller.close());

  it('say what is wrong with a look, and where', async () => {
    const { code, stderr } = await controller.run(['capture', 'web-1/0', 'no-1/0', '--filter', 'tcp prot 80']);
    assert.equal(code, 3);
    assert.match(stderr, /no interface "no-1\/0"/);
    assert.match(stderr, /"prot" at character 5/);
    assert.equal((await controller.run(['capture'])).code, 3);
    assert.equal((await controller.run(['capture', 'web-1/0', '--for', '11m'])).code, 2);
  });

  it('stop after a time, and say what was seen', async () => {
    const { code, stdout, stderr } = await controller.run(['capture', 'web-1/0', '--for', '1s', '-w', '-']);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^0 packets written; seen 0 = received 0 \+ lost 0/);
    assert.match(stderr, /no node has a device of what was looked at/);
    assert.equal(stdout.charCodeAt(0), 0x0a);
  });

  it('list, show and end looks', async () => {
    await controller.api('POST', '/looks', { interfaces: ['web-1/0'], words: 'tcp', comment: 'why' });
    const { items } = await controller.json<{ items: Look[] }>('look', 'list');
    const { id } = items[0]!;
    assert.match((await controller.run(['look', 'list'])).stdout, new RegExp(`${id} +admin +web-1/0 +tcp +running`));
    assert.match((await controller.run(['look', 'show', id])).stdout, /comment +why/);
    assert.ok((await controller.run(['__complete', 'look', 'end', ''])).stdout.includes(id));
    assert.ok((await controller.run(['__complete', 'capture', 'web'])).stdout.includes('web-1/0'));
    assert.match((await controller.run(['look', 'end', id])).stdout, new RegExp(`look ${id} has ended`));
    assert.match((await controller.run(['look', 'show', id])).stdout, /ended \(asked\)/);
    assert.equal((await controller.run(['look', 'show', 'nothing'])).code, 4);
  });
});
