/** Captures of whole frames in a burst: room for thousands, where a reader waits for the CPU. */
import assert from 'node:assert/strict';
import type { Capture, CaptureResult, Lab } from '@mirrorplane/lab';
import { assertSameFrames, type Tap, watch } from './taps.ts';

/**
 * Bytes kept of a frame: none of these tests sends a longer one, and the kernel keeps a slot of
 * that size for each.
 */
const SNAP_LENGTH = 2048;
const BUFFER_KIB = 4096;

/** As `watch`. */
export function watchAll<K extends string>(
  lab: Lab,
  taps: Record<K, Tap>,
  work: (captures: Record<K, Capture>) => Promise<void>,
): Promise<Record<K, CaptureResult>> {
  const roomy = (tap: Tap): Tap => ({ ...tap, snapLength: SNAP_LENGTH, bufferKiB: BUFFER_KIB });
  const all = Object.entries<Tap>(taps).map(([name, tap]) => [name, roomy(tap)]);
  return watch(lab, Object.fromEntries(all) as Record<K, Tap>, work);
}

/**
 * Waits until so many packets are captured, or no more come. The frames are compared afterwards,
 * which shows more than their number.
 */
export async function arrived(capture: Capture, packets: number): Promise<void> {
  await capture.waitFor(packets, 3000).catch(() => undefined);
}

/**
 * As `assertSameFrames`; where it fails, the frames that are too many and those that are missing
 * are shown.
 */
export function assertFrames(seen: readonly string[], expected: readonly string[], what: string): void {
  const surplus = [...seen];
  const missing = expected.filter((frame) => {
    const at = surplus.indexOf(frame);
    if (at >= 0) {
      surplus.splice(at, 1);
    }
    return at < 0;
  });
  const some = (frames: string[]) => ({ count: frames.length, first: frames.slice(0, 3) });
  assert.deepEqual({ surplus: some(surplus), missing: some(missing) }, { surplus: some([]), missing: some([]) }, what);
  assertSameFrames(seen, expected, what);
}

/**
 * As `assertFrames`, in any order. It is for frames after the switch: its datapath handles the
 * first frame of each flow slowly, so later frames of other flows overtake it.
 */
export function assertSet(seen: readonly string[], expected: readonly string[], what: string): void {
  assertFrames([...seen].sort(), [...expected].sort(), what);
}
