/**
 * Service traffic on an uplink, with copies of three times the uplink's rate. One VM sends to
 * another on the same node. All this traffic is mirrored to the other node. The node itself talks
 * to that node by the same uplink.
 */
import { type Bed, DESTINATION_NODE, PEER, SOURCE, SOURCE_NODE } from '../bed.ts';
import { RECEIVER_CPU, SENDER_CPU } from '../cpu.ts';
import { endpointProgram, startEndpoint } from '../endpoint.ts';
import { NOTHING } from '../node-datapath.ts';
import { comparedRow, type Row, row } from '../row.ts';
import { ERSPAN_1500, erspanState, terminateAtDestination } from '../variants.ts';

/** Mbit/s of the uplink; its queue holds 10 ms. */
const UPLINK = 100;
const SHAPER = `tbf rate ${UPLINK}mbit burst 16kb limit ${(UPLINK * 1e6 * 0.01) / 8}b`.split(' ');
/** What is to be mirrored: Mbit/s, three times the uplink, and the length of a frame. */
const MIRRORED = 300;
const MIRRORED_LENGTH = 1400;
const PORTS = { stream: 5201, mirrored: 5202, ask: 7010 };
/** Seconds in which copies flow before anything is measured. */
const SETTLE = 1;

interface Case {
  name: string;
  mirrored: boolean;
  /** Device of the node that service traffic leaves by; copies leave by underlay0. */
  service: 'underlay0' | 'mgmt0';
  protection?: 'known' | 'learned';
  /** A queue that knows priorities, behind the shaper. */
  bands?: boolean;
}

const CASES: readonly Case[] = [
  { name: 'none', mirrored: false, service: 'underlay0' },
  { name: 'protected', mirrored: true, service: 'underlay0', protection: 'known' },
  { name: 'protected-rate-learned', mirrored: true, service: 'underlay0', protection: 'learned' },
  { name: 'protected-pfifo-fast', mirrored: true, service: 'underlay0', protection: 'learned', bands: true },
  { name: 'unprotected', mirrored: true, service: 'underlay0' },
  { name: 'dedicated-nic', mirrored: true, service: 'mgmt0', protection: 'known' },
];

interface Result {
  /** Mbit/s. */
  stream: number;
  /** Microseconds. */
  p50: number;
  p99: number;
  /** Mbit/s to copy, and Mbit/s copied. Undefined without a mirror. */
  offered: number | undefined;
  copies: number | undefined;
}

async function shape(bed: Bed, device: string, bands: boolean): Promise<void> {
  await bed.run(SOURCE_NODE, ['tc', 'qdisc', 'replace', 'dev', device, 'root', 'handle', '1:', ...SHAPER]);
  const child = ['tc', 'qdisc', 'add', 'dev', device, 'parent', '1:1', 'handle', '10:', 'pfifo_fast'];
  if (bands) {
    await bed.run(SOURCE_NODE, child);
  }
}

async function startMirroring(bed: Bed, { protection, mirrored }: Case): Promise<void> {
  if (!mirrored) {
    return;
  }
  await terminateAtDestination(bed);
  const state = await erspanState(bed, 1500);
  await bed.source.apply({ ...state, protect: protection !== undefined });
  if (protection) {
    await bed.source.protect('underlay0', protection === 'known' ? UPLINK : undefined);
  }
}

async function stopMirroring(bed: Bed, { protection, mirrored }: Case): Promise<void> {
  if (!mirrored) {
    return;
  }
  if (protection) {
    await bed.source.unprotect();
  }
  await bed.source.apply(NOTHING);
  await bed.destination.apply(NOTHING);
}

async function measure(bed: Bed, use: Case, seconds: number): Promise<Result> {
  const devices = use.service === 'underlay0' ? ['underlay0'] : ['underlay0', use.service];
  const { underlayAddress, managementAddress } = bed.lab.node(DESTINATION_NODE);
  const address = use.service === 'underlay0' ? underlayAddress : managementAddress;
  for (const device of devices) {
    await shape(bed, device, use.bands ?? false);
  }
  await startMirroring(bed, use);
  const before = await ERSPAN_1500.totals!(bed);
  const start = performance.now();
  const sink = ['iperf3', '--server', '--port', String(PORTS.mirrored)];
  const { stop } = await bed.serve(PEER, sink, () => bed.bound(PEER, 'tcp', PORTS.mirrored));
  // Steady, unlike what trafgen makes of a rate on a busy machine.
  const udp = ['--udp', '--bitrate', `${MIRRORED}M`, '--length', String(MIRRORED_LENGTH - 42), '--time', '600'];
  const argv = ['iperf3', '--client', bed.lab.address(PEER), '--port', String(PORTS.mirrored), ...udp];
  const load = await bed.serve(SOURCE, ['taskset', '--cpu-list', SENDER_CPU, ...argv], async () => true);
  try {
    await new Promise((resolve) => setTimeout(resolve, SETTLE * 1000));
    const ask = [endpointProgram(bed), 'ask', address, String(PORTS.ask), String(seconds)];
    const { p50, p99 } = JSON.parse(await bed.run(SOURCE_NODE, ask)) as { p50: number; p99: number };
    const iperf = [
      'iperf3',
      '--client',
      address,
      '--json',
      '--congestion',
      'cubic',
      '--time',
      String(Math.ceil(seconds)),
    ];
    const { end } = JSON.parse(await bed.run(SOURCE_NODE, iperf)) as {
      end: { sum_received: { bits_per_second: number } };
    };
    const after = await ERSPAN_1500.totals!(bed);
    const megabits = (packets: number) =>
      use.mirrored ? (packets * MIRRORED_LENGTH * 8) / 1000 / (performance.now() - start) : undefined;
    return {
      stream: end.sum_received.bits_per_second / 1e6,
      p50: p50 / 1000,
      p99: p99 / 1000,
      offered: megabits(after.matched - before.matched),
      copies: megabits(after.copied - before.copied),
    };
  } finally {
    await load.stop();
    await stop();
    if (!bed.signal.aborted) {
      await stopMirroring(bed, use);
      for (const device of devices) {
        await bed.run(SOURCE_NODE, ['tc', 'qdisc', 'del', 'dev', device, 'root']);
      }
    }
  }
}

/** Every case once a round, in an order that rotates. */
export async function measureOverload(
  bed: Bed,
  rounds: number,
  seconds: number,
  onRound: (round: number) => void,
): Promise<Row[]> {
  const closers = [await startEndpoint(bed, DESTINATION_NODE, RECEIVER_CPU, 'serve', 'tcp', PORTS.ask)];
  const results = new Map<string, Result[]>(CASES.map(({ name }) => [name, []]));
  try {
    const bound = () => bed.bound(DESTINATION_NODE, 'tcp', PORTS.stream);
    closers.push((await bed.serve(DESTINATION_NODE, ['iperf3', '--server'], bound)).stop);
    for (let round = 0; round < rounds; round++) {
      onRound(round + 1);
      const rotated = CASES.map((_, i) => CASES[(i + round) % CASES.length]!);
      for (const use of round % 2 ? rotated.reverse() : rotated) {
        results.get(use.name)!.push(await measure(bed, use, seconds));
      }
    }
  } finally {
    for (const close of closers) {
      await close();
    }
  }
  return rowsOf(results);
}

function rowsOf(results: ReadonlyMap<string, readonly Result[]>): Row[] {
  const rows: Row[] = [];
  for (const [metric, unit] of [
    ['stream', 'Mbit/s'],
    ['p50', 'us'],
    ['p99', 'us'],
  ] as const) {
    const baseline = results.get('none')!.map((result) => result[metric]);
    for (const [name, list] of results) {
      const values = list.map((result) => result[metric]);
      const full = `overload/${metric}/${name}`;
      rows.push(name === 'none' ? row(full, unit, values) : comparedRow(full, unit, values, baseline));
    }
  }
  for (const metric of ['offered', 'copies'] as const) {
    for (const [name, list] of results) {
      const values = list.flatMap((result) => result[metric] ?? []);
      if (values.length > 0) {
        rows.push(row(`overload/${metric}/${name}`, 'Mbit/s', values));
      }
    }
  }
  return rows;
}
