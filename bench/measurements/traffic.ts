/**
 * Traffic as networks have it: packets of mixed sizes from one CPU, many flows at a fixed rate, and
 * many sources on a node. Copies that were lost are counted.
 */
import { type Bed, LOCAL_DESTINATION, PEER, SOURCE, SOURCE_NODE } from '../bed.ts';
import { datagram } from '../frames.ts';
import { NOTHING } from '../node-datapath.ts';
import { metricRows } from '../report.ts';
import type { Measurement } from '../rounds.ts';
import {
  ERSPAN_1600,
  ERSPAN_1600_SENDER,
  ERSPAN_SENDER,
  erspanDelivery,
  LOCAL,
  localDelivery,
  MIRRED,
  NONE,
  stateOf,
  type Variant,
} from '../variants.ts';
import { fates, fullSpeed, PORT, preparePackets, rate } from './packets.ts';

/**
 * The simple IMIX: of twelve packets, so many of so many bytes on the wire, four of which hardware
 * appends. Their mean is 354 bytes.
 */
const IMIX = [
  { count: 7, bytes: 64 },
  { count: 4, bytes: 570 },
  { count: 1, bytes: 1518 },
];
const CHECKSUM = 4;
/** Flows of the mix: a source port each. */
const IMIX_FLOWS = 36;

function imix(bed: Bed) {
  const sizes = IMIX.flatMap(({ count, bytes }) => Array.from({ length: count }, () => bytes - CHECKSUM));
  return Array.from({ length: IMIX_FLOWS }, (_, i) => ({
    device: 'eth0',
    // Seven is coprime to twelve, so the sizes are mixed.
    frame: datagram(bed.lab, [SOURCE, PEER], PORT, { size: sizes[(7 * i) % sizes.length]!, sourcePort: 10_000 + i }),
  }));
}

/** An underlay with room: with 1500 bytes, the largest copies would be truncated. */
export const IMIX_PACKETS: Measurement = {
  name: 'imix',
  title: 'IMIX from one CPU',
  variants: [NONE, LOCAL, MIRRED, ERSPAN_1600_SENDER, ERSPAN_1600],
  prepare: preparePackets,
  run: (bed, seconds) => fullSpeed(bed, imix(bed), seconds),
  leastArrived: 0.9,
  rows: (samples) => [...metricRows(samples, 'imix/sent', 'kpps', rate), ...fates(samples, 'imix')],
};

/** A measurement for each number of sources on the node. All of them send in turn, from one CPU. */
export const SOURCES: readonly Measurement[] = [1, 16, 256].map((count) => {
  const names = Array.from({ length: count }, (_, i) => `g${i}`);
  return {
    name: `sources-${count}`,
    title: `${count} sources on a node`,
    variants: [NONE, many(LOCAL, count), many(ERSPAN_SENDER, count)],
    async prepare(bed) {
      const finish = await preparePackets(bed);
      await addSources(bed, count);
      return async () => {
        await finish();
        await removeSources(bed, count);
      };
    },
    offered: (bed) => bed.devices(SOURCE, names),
    run(bed, seconds) {
      const frames = names.map((device, i) => ({ device, frame: frameOf(bed, i) }));
      return fullSpeed(bed, frames, seconds);
    },
    leastArrived: 0.9,
    rows: (samples) => [
      ...metricRows(samples, `sources-${count}/sent`, 'kpps', rate),
      ...fates(samples, `sources-${count}`),
    ],
  } satisfies Measurement;
});

/** The same way for all sources that `addSources` makes. */
function many(way: Variant, count: number): Variant {
  return {
    ...way,
    async start(bed) {
      await way.start(bed);
      const links: { ifname: string; ifindex: number }[] = JSON.parse(await bed.run(SOURCE_NODE, ['ip', '-j', 'link']));
      const numbers = new Map(links.map(({ ifname, ifindex }) => [ifname, ifindex]));
      const sources = Array.from({ length: count }, (_, i) => ({
        source: `source-${i}`,
        id: `source-${i}`,
        ifindex: numbers.get(`s${i}`)!,
      }));
      const delivery =
        way === LOCAL ? await localDelivery(bed, SOURCE_NODE, LOCAL_DESTINATION) : await erspanDelivery(bed, 1500);
      await bed.source.apply(stateOf(delivery, sources));
    },
    async stop(bed) {
      await bed.source.apply(NOTHING);
      await way.stop(bed);
    },
  };
}

const macOf = (i: number) => [0x02, 0x5e, 0, 0, i >> 8, i & 255];

function frameOf(bed: Bed, i: number): Buffer {
  const frame = datagram(bed.lab, [SOURCE, PEER], PORT, { sourcePort: 10_000 + i });
  Buffer.from(macOf(i)).copy(frame, 6);
  return frame;
}

/** Ports of the node's bridge, whose other ends are in SOURCE. */
async function addSources(bed: Bed, count: number): Promise<void> {
  const lines = Array.from({ length: count }, (_, i) => [
    `link add s${i} type veth peer name g${i} netns ${bed.lab.ns(SOURCE)}`,
    `link set s${i} master ${bed.lab.vm(SOURCE).bridge} up`,
  ]);
  await bed.batch(SOURCE_NODE, lines.flat());
  await bed.batch(
    SOURCE,
    Array.from({ length: count }, (_, i) => `link set g${i} up`),
  );
}

async function removeSources(bed: Bed, count: number): Promise<void> {
  await bed.batch(
    SOURCE_NODE,
    Array.from({ length: count }, (_, i) => `link del s${i}`),
  );
}
