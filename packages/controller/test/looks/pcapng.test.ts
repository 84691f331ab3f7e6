/** Files of looks, as tshark and capinfos read them. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { KeptPacket } from '../../src/looks/kept-packet.ts';
import { PcapngWriter } from '../../src/looks/pcapng.ts';
import { lookedPacket, udpFrame } from './looked-packets.ts';

/** Fields of each packet, by name. */
function tshark(file: Buffer, fields: readonly string[], filter = ''): Record<string, string>[] {
  const wanted = ['-E', 'separator=/t', '-T', 'fields', ...fields.flatMap((field) => ['-e', field])];
  const command = ['tshark', '-n', '-r', '-', ...wanted, ...(filter === '' ? [] : ['-Y', filter])];
  // Standard input of a child of Node is a socket, and tshark reads no sockets.
  const out = execFileSync('sh', ['-c', 'cat | "$@"', 'sh', ...command], {
    input: file,
    encoding: 'utf8',
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  const lines = out.split('\n').slice(0, -1);
  return lines.map((line) => Object.fromEntries(line.split('\t').map((value, i) => [fields[i], value])));
}

function fileOf(packets: readonly KeptPacket[], comment = 'a look'): Buffer {
  const writer = new PcapngWriter();
  return Buffer.concat([writer.start(comment), ...packets.map((packet) => writer.packet(packet))]);
}

const DROP = {
  at: 1_764_000_000_000_300,
  node: 'node-2',
  packet: '00000000000000ff',
  cause: 'rule',
  reason: 'NETFILTER_DROP',
  function: 'nf_hook_slow',
  device: 'br0',
  packets: 1,
} as const;

test('tshark reads place, direction, id, verdict, losses and fates of each packet', () => {
  const file = fileOf([
    lookedPacket({ packet: '00000000000000ff', original: { state: 'dropped', drop: DROP } }),
    lookedPacket({ place: 'arrived', node: 'node-2', direction: 'inbound', copy: 'dropped:overBudget', lostBefore: 7 }),
    lookedPacket({ original: { state: 'seenLater' } }),
  ]);
  assert.deepEqual(
    tshark(file, [
      'frame.interface_name',
      'frame.p2p_dir',
      'frame.packet_id',
      'frame.verdict.ebpf_tc',
      'frame.drop_count',
      'frame.comment',
      'frame.time_epoch',
    ]),
    [
      {
        'frame.interface_name': 'web-1/0 on node-1 (sent)',
        'frame.p2p_dir': '0',
        'frame.packet_id': '255',
        'frame.verdict.ebpf_tc': '2',
        'frame.drop_count': '',
        'frame.comment': 'copy: copied; original: dropped on node-2 by NETFILTER_DROP in nf_hook_slow at br0 (rule)',
        'frame.time_epoch': '1764000000.000123000',
      },
      {
        'frame.interface_name': 'web-1/0 on node-2 (arrived)',
        'frame.p2p_dir': '1',
        'frame.packet_id': '',
        'frame.verdict.ebpf_tc': '-1',
        'frame.drop_count': '7',
        'frame.comment': 'copy: dropped:overBudget; original: unknown',
        'frame.time_epoch': '1764000000.000123000',
      },
      {
        'frame.interface_name': 'web-1/0 on node-1 (sent)',
        'frame.p2p_dir': '0',
        'frame.packet_id': '',
        'frame.verdict.ebpf_tc': '0',
        'frame.drop_count': '',
        'frame.comment': 'copy: copied; original: seen later',
        'frame.time_epoch': '1764000000.000123000',
      },
    ],
  );
  const heard = tshark(file, ['frame.number'], 'frame.comment contains "NETFILTER"');
  assert.deepEqual(heard, [{ 'frame.number': '1' }]);
});

test('a packet that is cut keeps its true length, and its headers are decoded', () => {
  const whole = udpFrame('x'.repeat(1000));
  const [read] = tshark(fileOf([lookedPacket({ bytes: whole.subarray(0, 128), length: whole.length })]), [
    'frame.len',
    'frame.cap_len',
    'ip.src',
    'udp.dstport',
  ]);
  assert.deepEqual(read, { 'frame.len': '1042', 'frame.cap_len': '128', 'ip.src': '10.0.0.1', 'udp.dstport': '9999' });
});

test('says of a super-packet how many segments it is', () => {
  const [read] = tshark(fileOf([lookedPacket({ packets: 45, gsoSize: 1448 })]), ['frame.comment']);
  assert.equal(
    read?.['frame.comment'],
    'copy: copied; original: unknown; super-packet of 45 segments with 1448 bytes each',
  );
});

test('frames of every length from 0 to 70 leave the next packets readable', () => {
  const frame = udpFrame('x'.repeat(100));
  const packets = Array.from({ length: 71 }, (_, length) => lookedPacket({ bytes: frame.subarray(0, length), length }));
  const read = tshark(fileOf(packets), ['frame.cap_len']);
  assert.deepEqual(
    read.map((fields) => Number(fields['frame.cap_len'])),
    packets.map(({ length }) => length),
  );
});

test('names with line breaks, escapes and marks that turn text become harmless', () => {
  const interfaceName = 'web\n\x1b[31m\u202egnp\u0000\ud800é';
  const [read] = tshark(fileOf([lookedPacket({ interfaceName })]), ['frame.interface_name']);
  assert.equal(read?.['frame.interface_name'], 'web\ufffd\ufffdgnp\ufffd\ufffdé on node-1 (sent)');
});

test('capinfos counts packets and interfaces, and shows what the file is', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-pcapng-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'look.pcapng');
  const places = ['sent', 'arrived', 'delivered'] as const;
  const packets = Array.from({ length: 300 }, (_, i) => lookedPacket({ place: places[i % 3] ?? 'sent' }));
  writeFileSync(path, fileOf(packets, 'look 17 of web-1/0'));
  const said = execFileSync('capinfos', ['-M', path], { encoding: 'utf8' });
  assert.match(said, /File type: +.*pcapng\n/);
  assert.match(said, /Number of packets: +300\n/);
  assert.match(said, /Number of interfaces in file: 3\n/);
  assert.match(said, /Capture comment: +look 17 of web-1\/0\n/);
  assert.match(said, /Capture application: +Mirrorplane\n/);
  assert.match(said, /Time ticks per second = 1000000\n/);
});
