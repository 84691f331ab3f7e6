/** Headers as Scapy has written them, and hostile ones. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { fingerprintOf } from '../src/findings/fingerprint.ts';
import { type Headers, headersOf } from '../src/findings/headers.ts';
import { arpFrame, pingFrame, tcpFrame } from './findings/frames.ts';
import { DB, WEB } from './findings/world.ts';

const SCRIPT = fileURLToPath(new URL('findings/headers.py', import.meta.url));

/** Frames of Scapy, with what it has written into them. */
function frames(seed: number): { bytes: Buffer; length: number; expected: Partial<Headers> }[] {
  const lines = execFileSync('/usr/bin/python3', [SCRIPT, String(seed), '400'], { encoding: 'utf8' })
    .trim()
    .split('\n');
  return lines.map((line) => {
    const { hex, ...rest } = JSON.parse(line) as { hex: string; length: number; expected: Partial<Headers> };
    return { bytes: Buffer.from(hex, 'hex'), ...rest };
  });
}

test('reads what Scapy has written, with tags, options and extension headers', () => {
  for (const { bytes, length, expected } of frames(1)) {
    const read = headersOf(bytes, length, false);
    const macs = { sourceMac: '02:00:00:00:00:01', targetMac: '02:00:00:00:00:02' };
    assert.deepEqual({ ...read }, { ...macs, ...expected }, bytes.toString('hex'));
  }
});

test('gives different packets different fingerprints, and one with another tag or TTL the same', () => {
  const all = frames(2);
  const prints = new Set(all.map(({ bytes }) => fingerprintOf(bytes)));
  assert.equal(prints.size, new Set(all.map(({ bytes }) => bytes.toString('hex'))).size);
  const frame = pingFrame(WEB, DB, 1);
  const routed = Buffer.from(frame);
  routed.set(Buffer.from('020000000077', 'hex'), 0);
  routed[22] = 63;
  routed[24] = 0x12;
  const tagged = Buffer.concat([frame.subarray(0, 12), Buffer.of(0x81, 0, 0, 7), frame.subarray(12)]);
  assert.equal(fingerprintOf(routed), fingerprintOf(frame));
  assert.equal(fingerprintOf(tagged.subarray(0, 128)), fingerprintOf(frame.subarray(0, 128)));
});

test('never reads beyond the bytes that there are, whatever they say', () => {
  const seeds = [tcpFrame(WEB, DB, { sourcePort: 1, targetPort: 2 }), arpFrame(WEB, DB), pingFrame(WEB, DB, 1)];
  fc.assert(
    fc.property(
      fc.oneof(fc.uint8Array({ maxLength: 140 }), fc.constantFrom(...seeds)),
      fc.array(fc.tuple(fc.nat(140), fc.nat(255)), { maxLength: 8 }),
      fc.nat(140),
      fc.boolean(),
      (bytes, changes, length, isSuper) => {
        const changed = Uint8Array.from(bytes).subarray(0, length);
        for (const [at, value] of changes) {
          changed[at] = value;
        }
        const headers = headersOf(changed, changed.length, isSuper);
        assert.ok(headers === undefined || headers.tcp === undefined || headers.tcp.data <= changed.length);
        assert.equal(typeof fingerprintOf(changed), 'string');
      },
    ),
  );
});
