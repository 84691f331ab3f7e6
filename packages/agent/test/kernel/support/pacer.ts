/** Sends numbered frames in the background while a test changes something. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A frame for a device. Its last four bytes become the number of the frame, from 0. */
export interface Paced {
  device: string;
  frame: Buffer;
}

/**
 * Runs `body` while every frame is sent once every `pause` seconds. Returns how many left by each
 * device.
 */
export async function underLoad(
  paced: readonly Paced[],
  body: () => Promise<void>,
  pause = 0.001,
): Promise<Record<string, number>> {
  const script = join(import.meta.dirname, 'pacer.py');
  const frames = paced.map(({ device, frame }) => `${device}:${frame.toString('hex')}`);
  const child = spawn('/usr/bin/python3', [script, String(pause), ...frames], { stdio: ['pipe', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk: Buffer) => {
    text += chunk;
  });
  const closed = once(child, 'close');
  try {
    await body();
  } finally {
    child.stdin.end();
    await closed;
  }
  return JSON.parse(text) as Record<string, number>;
}

/** The number that a frame bears in its last four bytes. */
function numberOf(frame: Buffer): number {
  return frame.readUInt32BE(frame.length - 4);
}

/** A frame with room for a number behind its content, 68 bytes at least. */
export function padded(frame: Buffer): Buffer {
  return Buffer.concat([frame, Buffer.alloc(Math.max(0, 64 - frame.length)), Buffer.alloc(4)]);
}

/** Asserts that these frames bear the numbers from 0 to `sent` - 1, each once. */
export function assertEveryOne(seen: readonly Buffer[], sent: number, what: string): void {
  const numbers = seen.map(numberOf).sort((a, b) => a - b);
  const twice = numbers.filter((number, i) => number === numbers[i - 1]);
  const there = new Set(numbers);
  const missing = Array.from({ length: sent }, (_, i) => i).filter((number) => !there.has(number));
  assert.deepEqual({ missing, twice, count: numbers.length }, { missing: [], twice: [], count: sent }, what);
}
