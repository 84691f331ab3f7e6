/** Bytes of what is heard: as in packages/bpf/src/hear-types.h. */
import type { DropFacts } from '../drop-cause.ts';
import type { LookDrop } from '../look-reading.ts';
import { frameOf, headerLength } from './record-frame.ts';

/** Sizes and offsets, by struct. */
export const HEAR_LAYOUT = {
  hearing: { size: 64, fields: { ends: 0, serials: 32, netns: 48, own: 52 } },
  hearing_counters: { size: 32, fields: { heard: 0, written: 8, over_rate: 16, ring_full: 24 } },
  heard_drop: {
    size: 192,
    fields: {
      ...{ at: 0, id: 8, function: 16, serial: 24, reason: 28, ifindex: 32, mtu: 36, flags: 40, length: 44 },
      ...{ captured: 48, gso_size: 50, gso_segs: 52, vlan_tci: 54, vlan_protocol: 56, join: 58, packet_type: 59 },
      bytes: 64,
    },
  },
} as const;

/** Maps of the object that only it has. */
export const HEAR_MAPS = ['hearing', 'hearing_counters', 'heard_drops', 'drop_functions', 'heard_scratch'] as const;
/** The program at the tracepoint. */
export const HEAR_PROGRAM = 'hear_drop';
/** FUNCTION_BYTES. */
export const FUNCTION_BYTES = 64;
/** enum hearing_join. */
export const JOIN = { packet: 0, flow: 1 } as const satisfies Record<LookDrop['join'], number>;

/** What is to be heard. */
export interface HearingRow {
  /** By slot: when the look ends, in milliseconds of CLOCK_MONOTONIC, and its serial. */
  looks: readonly { slot: number; serial: number; endsAt: number }[];
  /** Inode of the network namespace of the node. */
  netns: number;
  /** ifindexes of devices that only copies pass, at most three. */
  own: readonly number[];
}

export function encodeHearing({ looks, netns, own }: HearingRow): Buffer {
  const at = HEAR_LAYOUT.hearing.fields;
  const value = Buffer.alloc(HEAR_LAYOUT.hearing.size);
  for (const { slot, serial, endsAt } of looks) {
    value.writeBigUInt64LE(BigInt(Math.round(endsAt * 1e6)), at.ends + 8 * slot);
    value.writeUInt32LE(serial, at.serials + 4 * slot);
  }
  value.writeUInt32LE(netns, at.netns);
  own.forEach((ifindex, i) => {
    value.writeUInt32LE(ifindex, at.own + 4 * i);
  });
  return value;
}

/** linux/if_packet.h: PACKET_BROADCAST to PACKET_OTHERHOST. */
const NOT_FOR_HOST: readonly number[] = [1, 2, 3];
const IFF_UP = 1;

/** A drop as the kernel told it. */
export type ToldDrop = Omit<LookDrop, 'look' | 'cause' | 'function'> & {
  /** Of the look. */
  serial: number;
  /** Address in the function. */
  address: bigint;
  facts: Omit<DropFacts, 'function'>;
};

/** What `decodeDrop` has to know. */
export interface Around {
  /** When the node began, in microseconds since 1970. */
  began: number;
  /** The name of a reason. */
  nameOf: (reason: number) => string;
  /** ifindexes of bridges, and of guests that are looked at. */
  bridges: ReadonlySet<number>;
  guests: ReadonlySet<number>;
}

export function decodeDrop(record: Buffer, { began, nameOf, bridges, guests }: Around): ToldDrop {
  const at = HEAR_LAYOUT.heard_drop.fields;
  const id = record.readBigUInt64LE(at.id);
  const { bytes, vlan } = frameOf(record, at);
  const [reason, ifindex] = [nameOf(record.readUInt32LE(at.reason)), record.readUInt32LE(at.ifindex)];
  const [length, gsoSize] = [record.readUInt32LE(at.length), record.readUInt16LE(at.gso_size)];
  const headers = gsoSize === 0 ? 0 : headerLength(bytes);
  const segments = headers === 0 ? record.readUInt16LE(at.gso_segs) : Math.ceil((length - headers) / gsoSize);
  const tag = vlan ? 4 : 0;
  return {
    serial: record.readUInt32LE(at.serial),
    address: record.readBigUInt64LE(at.function),
    at: began + Number(record.readBigUInt64LE(at.at) / 1000n),
    join: record.readUInt8(at.join) === JOIN.packet ? 'packet' : 'flow',
    ...(id !== 0n && { packet: id.toString(16).padStart(16, '0') }),
    reason,
    ifindex,
    length,
    packets: Math.max(segments, 1),
    gsoSize,
    ...(vlan && { vlan }),
    bytes,
    facts: {
      reason,
      frame: (gsoSize === 0 ? length : headers + gsoSize) - tag,
      mtu: record.readUInt32LE(at.mtu),
      up: (record.readUInt32LE(at.flags) & IFF_UP) !== 0,
      toMany: ((bytes[0] ?? 0) & 1) !== 0,
      notForHost: NOT_FOR_HOST.includes(record.readUInt8(at.packet_type)),
      device: bridges.has(ifindex) ? 'bridge' : guests.has(ifindex) ? 'guest' : 'other',
    },
  };
}
