/** Capturing at several places at once, and comparing what was taken byte by byte. */
import assert from 'node:assert/strict';
import type { Capture, CaptureOptions, CaptureResult, Lab } from '@mirrorplane/lab';
import { python } from './traffic.ts';

/** A device of a host, and what to take there. */
export interface Tap extends CaptureOptions {
  host: string;
  /** Default `eth0`. */
  device?: string;
}

/**
 * Bytes of a packet, and KiB of kernel buffer: every packet takes a slot of the largest size in it,
 * so that with the usual 256 KiB a few packets would fill it. Enough for whole frames of the lab,
 * and some 8000 of them.
 */
const SNAP_LENGTH = 2048;
const BUFFER_KIB = 16_384;

/**
 * Captures at every tap while `work` runs, which returns when everything that was to arrive has
 * arrived. Asserts that no capture lost a packet.
 */
export async function watch<K extends string>(
  lab: Lab,
  taps: Record<K, Tap>,
  work: (captures: Record<K, Capture>) => Promise<void>,
): Promise<Record<K, CaptureResult>> {
  const names = Object.keys(taps) as K[];
  const started = await Promise.allSettled(
    names.map((name) => {
      const { host, device = 'eth0', ...options } = taps[name];
      return lab.capture(host, device, { bufferKiB: BUFFER_KIB, snapLength: SNAP_LENGTH, lines: false, ...options });
    }),
  );
  const captures = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  let results: CaptureResult[];
  try {
    for (const one of started) {
      if (one.status === 'rejected') {
        throw one.reason;
      }
    }
    await work(Object.fromEntries(names.map((name, i) => [name, captures[i]])) as Record<K, Capture>);
  } finally {
    results = await Promise.all(captures.map((capture) => capture.stop()));
  }
  const named = Object.fromEntries(names.map((name, i) => [name, results[i]])) as Record<K, CaptureResult>;
  for (const name of names) {
    assert.equal(named[name].dropped, 0, `the capture ${name} lost packets`);
  }
  return named;
}

/** The frames of captures as hex, read by Scapy. */
export function framesOf(...results: CaptureResult[]): Promise<string[][]> {
  return python<string[][]>(
    'frames.py',
    results.map(({ file }) => file),
  );
}

/** Source MAC of a frame, hex without colons. */
export const sourceMac = (frame: string) => frame.slice(12, 24);

/**
 * Asserts that `copies` are the frames of `originals`, byte by byte, each exactly once, and in the
 * same order for each sender. Of the two directions of a conversation one may overtake the other.
 */
export function assertSameFrames(copies: readonly string[], originals: readonly string[], what: string): void {
  assert.equal(copies.length, originals.length, `${what}: number of frames`);
  const senders = new Set([...originals, ...copies].map(sourceMac));
  for (const sender of senders) {
    const of = (frames: readonly string[]) => frames.filter((frame) => sourceMac(frame) === sender);
    assert.deepEqual(of(copies), of(originals), `${what}: frames of ${sender}, in their order`);
  }
}

/** The frame with an 802.1Q tag as its outermost: VLAN ID alone, priority 0. */
export function tagged(frame: string, vlanId: number): string {
  return `${frame.slice(0, 24)}8100${vlanId.toString(16).padStart(4, '0')}${frame.slice(24)}`;
}

/** Asserts that nothing at all was seen at these captures. */
export function assertSilent(results: Record<string, CaptureResult>): void {
  const seen = Object.fromEntries(Object.entries(results).map(([name, { packets }]) => [name, packets]));
  assert.deepEqual(seen, Object.fromEntries(Object.keys(results).map((name) => [name, 0])), 'bystanders see nothing');
}
