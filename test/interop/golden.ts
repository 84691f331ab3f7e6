/**
 * The golden packets: frames, and the ERSPAN that carries each, made by Scapy. Run as a program,
 * writes the file.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { carried, type Fields, fieldsOf } from '../support/exact-fields.ts';
import { python } from '../support/traffic.ts';

export const GOLDEN_FILE = join(import.meta.dirname, 'golden-erspan.json');

/** Addresses of the underlay are those that a lab gives to node-1 and node-2. */
const OUTER = {
  source: '10.98.0.11',
  destination: '10.98.0.12',
  sourceMac: '02:03:00:00:00:0b',
  destinationMac: '02:03:00:00:00:0c',
  session: 7,
  /** Source slot 5, outbound. */
  index: (5 << 1) | 1,
};
const MTU = 1500;

/** The content of the file. */
export interface Golden {
  outer: typeof OUTER;
  mtu: number;
  /** `inner` is the frame, `outer` the packet with sequence number 0, 1, 2, …; hex. */
  packets: ({ what: string; inner: string; outer: string } & Fields)[];
}

/** Makes it again. */
export async function makeGolden(): Promise<Golden> {
  // The frames of the VMs web-1 and web-2 of a lab.
  const frames = await python<[string, string][]>('odd_frames.py', ['02:00:00:00:00:01', '02:00:00:00:00:02']);
  const list = frames.map(([what, inner]) => ({ what, inner, ...fieldsOf(inner, MTU) }));
  const request = {
    ...OUTER,
    frames: list.map((one) => ({ ...one, inner: carried(one.inner, MTU), index: OUTER.index })),
  };
  const packets = await python<string[]>('exact-erspan.py', ['golden'], JSON.stringify(request));
  return { outer: OUTER, mtu: MTU, packets: list.map((one, i) => ({ ...one, outer: packets[i]! })) };
}

if (process.argv[1] === import.meta.filename) {
  writeFileSync(GOLDEN_FILE, `${JSON.stringify(await makeGolden(), null, 2)}\n`);
}
