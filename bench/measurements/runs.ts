/**
 * What a copy costs the CPU that makes it, or takes it: one run of a program on one packet of 64
 * bytes, by BPF_PROG_RUN. The lowest value of a row compares builds, within some 10 ns, on a busy
 * machine too.
 */
import type { ProgramName } from '@mirrorplane/agent/testing';
import { type Bed, DESTINATION_NODE, SOURCE, SOURCE_NODE } from '../bed.ts';
import { ipv4Checksum } from '../frames.ts';
import type { NodeDatapath } from '../node-datapath.ts';
import { type Row, row } from '../row.ts';
import { ERSPAN_SENDER, LOCAL, SAMPLED_OUT, SESSION, terminateAtDestination, type Variant } from '../variants.ts';

const TIMES = 4000;

/** Ethernet, IPv4 from 10.0.0.1 to 10.0.0.2, UDP: 60 bytes, with the checksum of the frame 64. */
export const DATAGRAM = Buffer.from(
  '020000000001020000000002' +
    '08004500002e000100004011' +
    '66bc0a0000010a000002' +
    '03e803e9001a0000' +
    '00'.repeat(18),
  'hex',
);

/** The same in ERSPAN type II (draft-foschiano-erspan-03), as the other node sends it. */
async function wrapped(bed: Bed): Promise<Buffer> {
  const [own, other] = [DESTINATION_NODE, SOURCE_NODE].map((node) => bed.lab.node(node).underlayAddress);
  const mac = async (node: string) => Buffer.from((await bed.mac(node, 'underlay0')).replaceAll(':', ''), 'hex');
  const header = Buffer.alloc(36);
  header.writeUInt16BE(0x4500, 0);
  header.writeUInt16BE(header.length + DATAGRAM.length, 2);
  header.writeUInt16BE(0x4000, 6); // do not fragment
  header.writeUInt16BE(0x402f, 8); // TTL 64, GRE
  Buffer.from(other!.split('.').map(Number)).copy(header, 12);
  Buffer.from(own!.split('.').map(Number)).copy(header, 16);
  header.writeUInt16BE(ipv4Checksum(header.subarray(0, 20)), 10);
  header.writeUInt32BE(0x1000_88be, 20); // with a sequence number
  header.writeUInt32BE((0x1000_0000 | SESSION) >>> 0, 28);
  const ethernet = [await mac(DESTINATION_NODE), await mac(SOURCE_NODE), Buffer.from('0800', 'hex')];
  return Buffer.concat([...ethernet, header, DATAGRAM]);
}

interface Run {
  name: string;
  program: ProgramName;
  /** Makes the state that the program runs in, lends it, and ends it. */
  during(bed: Bed, work: (node: NodeDatapath, ifindex: number, packet: Buffer) => Promise<void>): Promise<void>;
}

/** A packet of the source, captured as the variant says. */
function captured(variant: Variant): Run {
  return {
    name: variant.name,
    program: 'capture_ingress',
    async during(bed, work) {
      await variant.start(bed);
      try {
        await work(bed.source, await bed.ifindex(SOURCE_NODE, bed.lab.vm(SOURCE).device), DATAGRAM);
      } finally {
        await variant.stop(bed);
      }
    },
  };
}

const TERMINATED: Run = {
  name: 'erspan-received',
  program: 'terminate_erspan',
  async during(bed, work) {
    await terminateAtDestination(bed);
    await work(bed.destination, await bed.ifindex(DESTINATION_NODE, 'underlay0'), await wrapped(bed));
  },
};

const RUNS = [...[SAMPLED_OUT, LOCAL, ERSPAN_SENDER].map(captured), TERMINATED];

/** @throws Error where a run made no copy */
export async function measureRuns(
  bed: Bed,
  rounds: number,
  _seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const found = new Map<string, number[]>(RUNS.map(({ name }) => [name, []]));
  for (let round = 1; round <= rounds; round++) {
    onRound(round);
    for (const { name, program, during } of RUNS) {
      await during(bed, async (node, ifindex, packet) => {
        const before = await handled(node);
        found.get(name)!.push(await node.runTimes(program, ifindex, packet, TIMES));
        const copies = (await handled(node)) - before;
        if (copies < TIMES) {
          throw new Error(`runs/${name}: ${copies} of ${TIMES} packets were handled`);
        }
      });
    }
  }
  return [...found].map(([name, values]) => row(`runs/${name}`, 'ns/packet', values));
}

/** Packets that were copied, sampled out or delivered. */
async function handled(node: NodeDatapath): Promise<number> {
  const { captures, terminations } = await node.counters();
  const made = captures.map(({ counts }) => counts.copied.packets + counts.sampledOut.packets);
  return [...made, ...terminations.map(({ delivered }) => delivered.packets)].reduce(
    (sum, packets) => sum + packets,
    0,
  );
}
