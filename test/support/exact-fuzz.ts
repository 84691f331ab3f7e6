/** Broken, spoofed and truncated ERSPAN for `terminate_erspan`, run in the kernel, with a second opinion on each packet. */
import { Program } from '../../packages/bpf/test/support/prog-run.ts';

/** What to run. */
export interface FuzzRequest {
  packets: number;
  seed: number;
  /** Device that the packets come in by, and its MAC. */
  ifindex: number;
  mac: string;
  /** The sender and session that are known, and the MTU of the destination. */
  source: string;
  session: number;
  mtu: number;
  /** Keep the frames that are to arrive. */
  keep?: boolean;
}

/** What was run, and what ought to have happened. */
export interface FuzzReport {
  /** The kernel did not take so many as packets at all. */
  refusedByKernel: number;
  /** Left to the node; of which ERSPAN of an unknown sender or session. */
  ignored: number;
  unknown: number;
  received: number;
  malformed: number;
  tooBigForDestination: number;
  delivered: number;
  deliveredBytes: number;
  /** Verdicts that are not the expected ones: what, and the packet in hex; at most ten. */
  wrong: string[];
  frames: string[];
}

type Fate = 'ignored' | 'unknown' | 'malformed' | 'tooBigForDestination' | 'delivered';

const HEADERS = 36;
const ETHERNET = 14;

/** A small generator with a seed (xorshift, 32 bits), so that a run can be repeated. */
function generator(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state % below;
  };
}

function ipChecksum(packet: Buffer): number {
  let sum = 0;
  for (let i = ETHERNET; i < ETHERNET + 20; i += 2) sum += packet.readUInt16BE(i);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function repairChecksum(packet: Buffer): void {
  packet.writeUInt16BE(0, 24);
  packet.writeUInt16BE(ipChecksum(packet), 24);
}

/** What the documents say must become of a packet. */
function fateOf(packet: Buffer, request: FuzzRequest, source: Buffer, mac: Buffer): Fate {
  if (!packet.subarray(0, 6).equals(mac) || packet.readUInt16BE(12) !== 0x0800) return 'ignored';
  if (packet.length < ETHERNET + HEADERS || packet[14] !== 0x45 || packet[23] !== 47) return 'ignored';
  if (packet.readUInt16BE(20) & 0x3fff) return 'ignored';
  if (packet.readUInt32BE(34) !== 0x100088be || packet[42]! >> 4 !== 1) return 'ignored';
  if (!packet.subarray(26, 30).equals(source) || (packet.readUInt16BE(44) & 0x3ff) !== request.session)
    return 'unknown';
  const length = packet.readUInt16BE(16);
  if (ipChecksum(packet) !== 0 || length < HEADERS + ETHERNET || length + ETHERNET > packet.length) return 'malformed';
  // A tag in the frame does not count towards the MTU.
  return length - HEADERS > request.mtu + ETHERNET + 4 ? 'tooBigForDestination' : 'delivered';
}

/** A valid packet whose inner frame is of a random kind and length. */
function valid(random: (below: number) => number, request: FuzzRequest, source: Buffer, mac: Buffer): Buffer {
  const lengths = [14, 15, 34, 60, 61, 98, 200, 1500, 1514, 1518];
  const inner = Buffer.alloc(lengths[random(lengths.length)]!);
  for (let i = 0; i + 4 <= inner.length; i += 4) inner.writeUInt32LE(random(2 ** 32) >>> 0, i);
  // To an address that no bridge and no host takes for its own.
  inner.write('0200000000fe0200000000fd', 0, 'hex');
  inner.writeUInt16BE([0x0800, 0x86dd, 0x0806, 0x8100, 0x88cc, 0x88b5, 0x8847][random(7)]!, 12);
  const packet = Buffer.alloc(ETHERNET + HEADERS + inner.length);
  mac.copy(packet, 0);
  packet.write('0203000000990800', 6, 'hex');
  packet.writeUInt16BE(0x4500, 14);
  packet.writeUInt16BE(HEADERS + inner.length, 16);
  packet.writeUInt16BE(0x4000, 20);
  packet.writeUInt16BE(0x402f, 22);
  source.copy(packet, 26);
  packet.write('0a62000b', 30, 'hex');
  packet.writeUInt32BE(0x100088be, 34);
  packet.writeUInt32BE(random(2 ** 32) >>> 0, 38);
  packet.writeUInt32BE((0x10000000 | (random(1 << 18) << 10) | request.session) >>> 0, 42);
  packet.writeUInt32BE(random(1 << 20), 46);
  repairChecksum(packet);
  inner.copy(packet, ETHERNET + HEADERS);
  return packet;
}

/** Breaks a packet in one of many ways, or not at all. */
function mutate(random: (below: number) => number, packet: Buffer): Buffer {
  const bit = (from: number, to: number) => {
    const at = from + random(to - from);
    packet[at]! ^= 1 << random(8);
  };
  switch (random(10)) {
    case 0: // cut anywhere
      return packet.subarray(0, ETHERNET + random(packet.length - ETHERNET + 1));
    case 1: // any bit of the outer headers
      bit(0, ETHERNET + HEADERS);
      return packet;
    case 2: // the same with a right checksum
      bit(ETHERNET, ETHERNET + HEADERS);
      repairChecksum(packet);
      return packet;
    case 3: // an IP length that lies
      packet.writeUInt16BE(random(2) ? random(80) : random(65_536), 16);
      repairChecksum(packet);
      return packet;
    case 4: // another session
      packet.writeUInt16BE((packet.readUInt16BE(44) & 0xfc00) | random(1024), 44);
      return packet;
    case 5: // another sender
      packet.writeUInt8(random(256), 29);
      repairChecksum(packet);
      return packet;
    case 6: // GRE with other fields, another version of ERSPAN
      packet.writeUInt16BE(random(65_536), random(2) ? 34 : 36);
      return packet;
    case 7: // Ethernet padding behind the packet
      return Buffer.concat([packet, Buffer.alloc(1 + random(64), 0x55)]);
    default:
      return packet;
  }
}

/** Runs the pinned program on `request.packets` packets. */
export function fuzz(bpffs: string, request: FuzzRequest): FuzzReport {
  const program = new Program(bpffs, 'terminate_erspan');
  const random = generator(request.seed);
  const source = Buffer.from(request.source.split('.').map(Number));
  const mac = Buffer.from(request.mac.replaceAll(':', ''), 'hex');
  const report: FuzzReport = {
    refusedByKernel: 0,
    ignored: 0,
    unknown: 0,
    received: 0,
    malformed: 0,
    tooBigForDestination: 0,
    delivered: 0,
    deliveredBytes: 0,
    wrong: [],
    frames: [],
  };
  try {
    for (let i = 0; i < request.packets; i++) {
      const packet = mutate(random, valid(random, request, source, mac));
      const result = program.try(packet, { ifindex: request.ifindex });
      if (typeof result === 'number') {
        report.refusedByKernel++;
        continue;
      }
      const fate = fateOf(packet, request, source, mac);
      report[fate]++;
      const leave = fate === 'ignored' || fate === 'unknown';
      if (!leave) report.received++;
      if (result.verdict !== (leave ? -1 : 2) && report.wrong.length < 10) {
        report.wrong.push(`${fate}, verdict ${result.verdict}: ${packet.subarray(0, 64).toString('hex')}`);
      }
      if (fate !== 'delivered') continue;
      const inner = packet.subarray(ETHERNET + HEADERS, ETHERNET + packet.readUInt16BE(16));
      report.deliveredBytes += inner.length;
      if (request.keep) report.frames.push(inner.toString('hex'));
    }
  } finally {
    program.close();
  }
  return report;
}
