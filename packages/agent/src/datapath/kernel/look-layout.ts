/** Bytes of looks, and of what they write: as in packages/bpf/src/types.h. */
import type { CompiledWords, CopyFate, LookPlace, WordsNext, WordsTest } from '@mirrorplane/contract';
import { COPY_FATES, DROP_REASONS, LOOK_PLACES, SKIP_REASONS } from '@mirrorplane/contract';
import type { LookEntry, LookPacket } from '../datapath.ts';
import { HOOK, LAYOUT } from './layout.ts';
import { frameOf } from './record-frame.ts';

/** Where a look is in the maps. */
export interface LookSlot {
  slot: number;
  /** Drawn at random: records that one before it has left are told by it. */
  serial: number;
}

/** enum look_place. */
export const PLACE = Object.fromEntries(LOOK_PLACES.map((place, i) => [place, i])) as Record<LookPlace, number>;
/** enum copy_fate. */
export const FATE = new Map<CopyFate, number>(
  COPY_FATES.map((fate) => {
    const [kind, reason] = fate.split(':') as [string, string];
    const first = { dropped: 16, skipped: 48 }[kind];
    const reasons: readonly string[] = kind === 'dropped' ? DROP_REASONS : SKIP_REASONS;
    return [fate, first === undefined ? COPY_FATES.indexOf(fate) : first + reasons.indexOf(reason)];
  }),
);
/** enum look_term_kind. */
export const TERM = { ethertype: 0, protocol: 1, address: 2, port: 3, vlan: 4 } as const satisfies Record<
  WordsTest['kind'],
  number
>;
/** enum look_side. */
const SIDE = { src: 1, dst: 2, any: 3 } as const;
const ANY_VLAN = 0xffff;
const [YES, NO] = [254, 255];
/** PACKET_TOKENS of packages/bpf/src/watch.h. */
const PACKET_TOKENS = 1000;
/** Seconds of its rate that a look may take at once. */
const BURST_SECONDS = 0.25;

/** Looks at one hook, as bits by slot. */
export interface HookSets {
  /** They see all packets here. */
  own: number;
  /** enum look_place. */
  place: number;
  /** They see what is for their guests of `bridge`. */
  entering: number;
  bridge: number;
}

const FATES = new Map([...FATE].map(([name, number]) => [number, name]));
export function encodeLook(look: LookEntry, serial: number): Buffer {
  const at = LAYOUT.look.fields;
  const value = Buffer.alloc(LAYOUT.look.size);
  const rate = (offset: number, perSecond: number, least: number) => {
    value.writeBigUInt64LE(BigInt(Math.round(perSecond)), offset);
    value.writeBigUInt64LE(BigInt(Math.round(Math.max(perSecond * BURST_SECONDS, least))), offset + 8);
  };
  value.writeBigUInt64LE(BigInt(Math.round(look.endsAt * 1e6)), at.ends);
  value.writeBigUInt64LE(fateBits(look.fates ?? COPY_FATES), at.fates);
  rate(at.packets, look.packetRate * PACKET_TOKENS, PACKET_TOKENS);
  rate(at.bytes, look.byteRate, LAYOUT.look_record.size);
  value.writeUInt32LE(serial, at.serial);
  value.writeUInt32LE(look.length, at.length);
  encodeWords(look.words, value);
  return value;
}

function fateBits(fates: readonly CopyFate[]): bigint {
  return fates.reduce((bits, fate) => bits | (1n << BigInt(FATE.get(fate)!)), 0n);
}

function encodeWords({ first, comparisons }: CompiledWords, value: Buffer): void {
  const at = LAYOUT.look.fields;
  value.writeUInt32LE(numberOf(first), at.first);
  comparisons.forEach(({ test, yes, no }, i) => {
    const term = value.subarray(at.terms + i * LAYOUT.look_term.size);
    term.writeUInt8(TERM[test.kind], LAYOUT.look_term.fields.kind);
    term.writeUInt8(numberOf(yes), LAYOUT.look_term.fields.yes);
    term.writeUInt8(numberOf(no), LAYOUT.look_term.fields.no);
    encodeTest(test, term);
  });
}

function numberOf(next: WordsNext): number {
  return typeof next === 'number' ? next : next ? YES : NO;
}

function encodeTest(test: WordsTest, term: Buffer): void {
  const at = LAYOUT.look_term.fields;
  if ('sides' in test) {
    term.writeUInt8(SIDE[test.sides], at.sides);
  }
  if (test.kind === 'address') {
    term.writeUInt8(test.family, at.family);
    term.set(test.address, at.address);
    term.set(test.mask, at.mask);
    return;
  }
  term.writeUInt16LE(test.number ?? ANY_VLAN, at.number);
  if (test.kind === 'protocol') {
    term.writeUInt16LE(test.ethertype ?? 0, at.ethertype);
  }
  if (test.kind === 'port') {
    term.writeUInt8(test.protocol ?? 0, at.protocol);
  }
}

export function encodeLookHook({ own, place, entering, bridge }: HookSets): Buffer {
  const at = LAYOUT.look_hook.fields;
  const value = Buffer.alloc(LAYOUT.look_hook.size);
  value.writeUInt32LE(own, at.own);
  value.writeUInt32LE(place, at.own_place);
  value.writeUInt32LE(entering, at.entering);
  value.writeUInt32LE(bridge, at.bridge);
  return value;
}

export function encodeLookGuest({ looks, ifindex }: { looks: number; ifindex: number }): Buffer {
  const at = LAYOUT.look_guest.fields;
  const value = Buffer.alloc(LAYOUT.look_guest.size);
  value.writeUInt32LE(looks, at.looks);
  value.writeUInt32LE(ifindex, at.ifindex);
  return value;
}

/**
 * @param look id of the look of this record @param began when the node did, in microseconds since
 * 1970
 */
export function decodeRecord(record: Buffer, look: string, began: number): LookPacket {
  const at = LAYOUT.look_record.fields;
  const id = record.readBigUInt64LE(at.id);
  const { bytes, vlan } = frameOf(record, at);
  return {
    look,
    at: began + Number(record.readBigUInt64LE(at.at) / 1000n),
    ...(id !== 0n && { packet: id.toString(16).padStart(16, '0') }),
    place: LOOK_PLACES[record.readUInt8(at.place)]!,
    ifindex: record.readUInt32LE(at.ifindex),
    hook: record.readUInt8(at.hook) === HOOK.ingress ? 'ingress' : 'egress',
    fate: FATES.get(record.readUInt8(at.fate))!,
    length: record.readUInt32LE(at.length),
    packets: record.readUInt16LE(at.packets),
    gsoSize: record.readUInt16LE(at.gso_size),
    ...(vlan && { vlan }),
    bytes,
  };
}
