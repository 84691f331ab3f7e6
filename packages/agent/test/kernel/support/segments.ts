/** Reading TCP segments that a test has caught. */
import assert from 'node:assert/strict';
import type { Sniffer } from './sniffer.ts';

/** Asserts that all checksums of the inner packets are right, as tshark computes them. */
export function assertInnerChecksums(sniffer: Sniffer, transport: 'tcp' | 'udp'): void {
  const options = ['ip', 'tcp', 'udp'].flatMap((name) => ['-o', `${name}.check_checksum:TRUE`]);
  for (const row of sniffer.decode(['ip.checksum.status', `${transport}.checksum.status`], 'last', options)) {
    assert.ok(
      row.every((status) => status === '1' || status === ''),
      `checksum status ${row}`,
    );
    assert.equal(row[1], '1');
  }
}

export interface Segment {
  sequence: number;
  payload: Buffer;
}

export function tcpSegment(frame: Buffer): Segment {
  let offset = 14;
  while ([0x8100, 0x88a8].includes(frame.readUInt16BE(offset - 2))) {
    offset += 4;
  }
  const six = frame.readUInt16BE(offset - 2) === 0x86dd;
  const end = offset + (six ? 40 + frame.readUInt16BE(offset + 4) : frame.readUInt16BE(offset + 2));
  const tcp = offset + (six ? 40 : (frame[offset]! & 15) * 4);
  assert.equal(end, frame.length, 'the IP length fits the frame');
  return { sequence: frame.readUInt32BE(tcp + 4), payload: frame.subarray(tcp + (frame[tcp + 12]! >> 4) * 4) };
}

/** The byte stream of segments in any order. Fails on a gap, an overlap or a repetition. */
export function streamOf(frames: readonly Buffer[]): Buffer {
  const segments = frames.map(tcpSegment).sort((a, b) => a.sequence - b.sequence);
  let next = segments[0]?.sequence ?? 0;
  for (const { sequence, payload } of segments) {
    assert.equal(sequence, next, 'gap or repetition in the stream');
    next += payload.length;
  }
  return Buffer.concat(segments.map(({ payload }) => payload));
}
