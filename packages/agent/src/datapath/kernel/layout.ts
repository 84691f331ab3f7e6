/**
 * Layout of the structs in packages/bpf/src/types.h. A test compares sizes and offsets with the
 * object's BTF. It is one file, as types.h is, so that both can be read side by side.
 */
import { isIPv4 } from 'node:net';
import {
  type CaptureCounts,
  COPY_REFUSALS,
  type CopyRefusal,
  type Count,
  DROP_REASONS,
  type GuestCopies,
  MAX_GENERATION,
  MAX_SECRET,
  type PeerReport,
  type ProbeCounts,
  SKIP_REASONS,
  TERMINATION_DROP_REASONS,
} from '@mirrorplane/contract';
import { type DeliveryEntry, type Hook, MAX_TUNNELS, type TerminationEntry } from '../datapath.ts';

const COUNT_SIZE = 16;
/** Lanes in which a sender numbers its copies, see sequence.h. */
const LANES = 16;
const DELIVERY_SLOTS = 4096;

/** Sizes in bytes, offsets of fields: name in C to number. */
export const LAYOUT = {
  capture_key: { size: 8, fields: { ifindex: 0, hook: 4 } },
  capture: {
    size: 48,
    fields: {
      threshold: 0,
      slot: 8,
      delivery: 12,
      out_ifindex: 16,
      direct_mtu: 20,
      erspan_index: 24,
      skip_vlan_id: 28,
      flags: 32,
      checked: 36,
      budget: 40,
      device_budget: 44,
      overhead: 46,
    },
  },
  capture_counters: {
    size: COUNT_SIZE * (4 + DROP_REASONS.length + SKIP_REASONS.length),
    fields: {
      matched: 0,
      sampled_out: COUNT_SIZE,
      copied: 2 * COUNT_SIZE,
      truncated: 3 * COUNT_SIZE,
      dropped: 4 * COUNT_SIZE,
      skipped: (4 + DROP_REASONS.length) * COUNT_SIZE,
    },
  },
  delivery: {
    size: 52,
    fields: {
      kind: 0,
      ifindex: 4,
      mtu: 8,
      slot: 12,
      source_address: 16,
      address: 20,
      vlan_id: 24,
      session: 26,
      proof: 28,
      forward: 32,
      destination_mtu: 36,
      segmenter: 40,
      allow_feedback: 44,
      lanes: 48,
    },
  },
  delivery_counters: { size: 2 * COUNT_SIZE, fields: { sent: 0, feedback: COUNT_SIZE } },
  next_hop: {
    size: 52,
    fields: { tick: 0, source: 4, address: 8, ifindex: 12, family: 16, gateway: 20, link: 36, linked: 48 },
  },
  termination_key: { size: 8, fields: { address: 0, session_at_device: 4 } },
  termination: {
    size: 52,
    fields: {
      slot: 0,
      kind: 4,
      ifindex: 8,
      mtu: 12,
      vlan_id: 16,
      delivery: 20,
      hold: 24,
      own_address: 28,
      proof: 32,
      proof_mask: 36,
      device: 40,
      least_ttl: 44,
      checked: 48,
    },
  },
  peer: { size: 8 * COPY_REFUSALS.length, fields: { refused: 0 } },
  termination_counters: {
    size: COUNT_SIZE * (3 + TERMINATION_DROP_REASONS.length),
    fields: { received: 0, delivered: COUNT_SIZE, relayed: 2 * COUNT_SIZE, dropped: 3 * COUNT_SIZE },
  },
  probe_key: { size: 12, fields: { addresses: 0 } },
  probe: { size: 16, fields: { ifindex: 0, hook: 4, length: 8, made: 12 } },
  probe_counts: {
    size: COUNT_SIZE * (7 + DROP_REASONS.length + TERMINATION_DROP_REASONS.length),
    fields: {
      made: 0,
      copied: COUNT_SIZE,
      truncated: 2 * COUNT_SIZE,
      sent: 3 * COUNT_SIZE,
      dropped: 4 * COUNT_SIZE,
      end: (4 + DROP_REASONS.length) * COUNT_SIZE,
    },
  },
  lane_state: { size: 32, fields: { next: 0, seen: 4, missing: 8, late: 16, first: 24 } },
  sequence_state: { size: 32 * LANES, fields: { lanes: 0 } },
  budget: { size: 16, fields: { rate: 0, burst: 8 } },
  copy_mac: { size: 8, fields: { mac: 0, vlan_id: 6 } },
  bucket: { size: 24, fields: { tokens: 0, filled: 8, refused: 16 } },
  budget_share: { size: 16, fields: { tokens: 0, passed: 8 } },
  arrival_port: { size: 16, fields: { bridge: 0, uplink: 4, feedback: 8, overruled: 12 } },
  destination: { size: 40, fields: { since: 0, window: 8, feedback: 16, own: 24, noted: 28, arriving: 32 } },
  arrival_key: { size: 12, fields: { bridge: 0, mac: 4 } },
  host_address: { size: 16, fields: { bytes: 0 } },
  place: { size: 20, fields: { helper: 0, netns: 4, begun: 8, tunnels: 12 } },
  hold: { size: 12, fields: { queue: 0, released: 4, netns: 8 } },
  hold_counts: {
    size: 56,
    fields: { handed: 0, read: 8, relayed: 16, unconfirmed: 24, last_read: 32, reads: 40, confirmed: 44, prompt: 48 },
  },
  look_term: {
    size: 44,
    fields: {
      kind: 0,
      sides: 1,
      yes: 2,
      no: 3,
      number: 4,
      ethertype: 6,
      protocol: 8,
      family: 9,
      address: 12,
      mask: 28,
    },
  },
  look: {
    size: 64 + 44 * 32,
    fields: { ends: 0, fates: 8, packets: 16, bytes: 32, serial: 48, length: 52, first: 56, terms: 64 },
  },
  look_hook: { size: 16, fields: { own: 0, own_place: 4, entering: 8, bridge: 12 } },
  look_guest: { size: 8, fields: { looks: 0, ifindex: 4 } },
  look_buckets: { size: 56, fields: { packets: 0, bytes: 24, lock: 48 } },
  look_counters: { size: 32, fields: { seen: 0, written: 8, over_rate: 16, ring_full: 24 } },
  look_record: {
    size: 48 + 2048,
    fields: {
      at: 0,
      id: 8,
      serial: 16,
      ifindex: 20,
      length: 24,
      captured: 28,
      gso_size: 30,
      packets: 32,
      vlan_tci: 34,
      vlan_protocol: 36,
      place: 38,
      hook: 39,
      fate: 40,
      bytes: 48,
    },
  },
  node_counters: { size: 8, fields: { unknown_erspan: 0 } },
} as const;

/** enum hook and enum delivery_kind. */
export const HOOK = { ingress: 0, egress: 1 } as const satisfies Record<Hook, number>;
/** Bytes of a bucket with its lock. */
export const LOCKED_BUCKET_SIZE = 32;
/**
 * The first key of device budgets in the maps of budgets. Before it are the node's budget and one
 * for each delivery slot.
 */
export const FIRST_DEVICE_BUDGET = 4097;
/** enum copy_vlan_set. */
export const COPY_VLAN_SET = { others: 0, node: 1, guests: 2 } as const;
/** enum copy_mac_side. */
export const COPY_MAC_SIDE = { source: 1, destination: 2 } as const;
/** Means every multicast and broadcast address. */
const GROUP_MAC = '01:00:00:00:00:00';
/** Bytes of a set with one bit for each VLAN ID. */
export const VLAN_SET_SIZE = 512;
/** enum capture_flag. */
export const CAPTURE_FLAG = {
  edge: 1,
  standby: 2,
  watch: 4,
  hold: 8,
  handover: 16,
  feedback: 32,
  overruled: 64,
} as const;
export const DELIVERY_KIND = { local: 1, edge: 2, erspan: 3 } as const satisfies Record<DeliveryEntry['kind'], number>;

/** A 32-bit key, for arrays and slot maps. */
export function u32Key(value: number): Buffer {
  const key = Buffer.alloc(4);
  key.writeUInt32LE(value);
  return key;
}

function address(text: string): Buffer {
  return Buffer.from(text.split('.').map(Number));
}

function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

export function encodeCaptureKey(ifindex: number, hook: Hook): Buffer {
  const key = Buffer.alloc(LAYOUT.capture_key.size);
  key.writeUInt32LE(ifindex, 0);
  key.writeUInt32LE(HOOK[hook], 4);
  return key;
}

export interface CaptureValue {
  threshold: number;
  slot: number;
  delivery: number;
  outIfindex: number;
  directMtu: number;
  erspanIndex: number;
  skipVlanId: number;
  flags: readonly (keyof typeof CAPTURE_FLAG)[];
  /** Keys in the maps of budgets; 0: none. */
  budget: number;
  deviceBudget: number;
  /** Bytes that are added to a copy before it leaves the node. */
  overhead: number;
}

export function encodeCapture(capture: CaptureValue): Buffer {
  const at = LAYOUT.capture.fields;
  const value = Buffer.alloc(LAYOUT.capture.size);
  value.writeBigUInt64LE(BigInt(capture.threshold), at.threshold);
  value.writeUInt32LE(capture.slot, at.slot);
  value.writeUInt32LE(capture.delivery, at.delivery);
  value.writeUInt32LE(capture.outIfindex, at.out_ifindex);
  value.writeUInt32LE(capture.directMtu, at.direct_mtu);
  value.writeUInt32LE(capture.erspanIndex, at.erspan_index);
  value.writeUInt32LE(capture.skipVlanId, at.skip_vlan_id);
  value.writeUInt32LE(
    capture.flags.reduce((bits, flag) => bits | CAPTURE_FLAG[flag], 0),
    at.flags,
  );
  value.writeUInt32LE(capture.budget, at.budget);
  value.writeUInt16LE(capture.deviceBudget, at.device_budget);
  value.writeUInt16LE(capture.overhead, at.overhead);
  return value;
}

/**
 * @param forward slot of the delivery to the target node of the destination's handover
 * @param segmenter ifindex of the segmenter; 0: there is none
 */
export function encodeDelivery(delivery: DeliveryEntry, slot: number, forward = 0, segmenter = 0): Buffer {
  const at = LAYOUT.delivery.fields;
  const value = Buffer.alloc(LAYOUT.delivery.size);
  value.writeUInt32LE(DELIVERY_KIND[delivery.kind], at.kind);
  value.writeUInt32LE(delivery.ifindex, at.ifindex);
  value.writeUInt32LE(delivery.mtu, at.mtu);
  value.writeUInt32LE(slot, at.slot);
  value.writeUInt32LE(forward, at.forward);
  value.writeUInt32LE(segmenter, at.segmenter);
  if (delivery.kind === 'local') {
    value.writeUInt32LE(delivery.allowFeedback ? 1 : 0, at.allow_feedback);
  }
  if (delivery.kind === 'edge') {
    value.writeUInt16LE(delivery.vlanId, at.vlan_id);
  }
  if (delivery.kind === 'erspan') {
    value.writeUInt32LE(delivery.destinationMtu ?? 0, at.destination_mtu);
    address(delivery.sourceAddress).copy(value, at.source_address);
    address(delivery.address).copy(value, at.address);
    value.writeUInt16LE(delivery.session, at.session);
    value.writeUInt32LE(proofOf(delivery), at.proof);
    value.writeUInt32LE(delivery.lanes ? 1 : 0, at.lanes);
  }
  return value;
}

/**
 * Keys of a delivery slot in the map `delivery_sequences`, one for each lane.
 * @param cpus left out lanes that no CPU of so many uses; default: all lanes
 */
export function sequenceKeys(slot: number, cpus = LANES): Buffer[] {
  return Array.from({ length: Math.min(LANES, cpus) }, (_, lane) => u32Key(lane * DELIVERY_SLOTS + slot));
}

/** Bits of a number in its lane. */
const NUMBER_BITS = 28;

/**
 * A value of the map `termination_sequences`: sums over the lanes, and the expected number of each
 * lane up to the last that was used, 1 to 2^28; 0: nothing has come in it.
 */
export function decodeSequences(value: Buffer): { missing: Count; late: Count; expected: number[] } {
  const { size, fields } = LAYOUT.lane_state;
  const lanes = Array.from({ length: LANES }, (_, lane) => lane * size);
  const expected = lanes.map((at) => {
    const next = value.readUInt32LE(at + fields.next) % 2 ** NUMBER_BITS;
    return value.readUInt32LE(at + fields.seen) === 0 ? 0 : next || 2 ** NUMBER_BITS;
  });
  const sum = (offset: number) => {
    let packets = 0;
    for (let lane = 0; lane < LANES; lane++) {
      packets += Number(value.readBigUInt64LE(lane * size + offset));
    }
    return { packets, bytes: 0 };
  };
  return { missing: sum(fields.missing), late: sum(fields.late), expected: untilLast(expected) };
}

/** Without the zeros at the end. */
export function untilLast(numbers: readonly number[]): number[] {
  return numbers.slice(0, numbers.findLastIndex((number) => number !== 0) + 1);
}

const SESSION_BITS = 10;
/** The session in `session_at_device` of a key of terminations. */
export const SESSION_MASK = (1 << SESSION_BITS) - 1;

/** @param device ifindex of the device that copies come from */
export function encodeTerminationKey(senderAddress: string, session: number, device: number): Buffer {
  const at = LAYOUT.termination_key.fields;
  const key = Buffer.alloc(LAYOUT.termination_key.size);
  address(senderAddress).copy(key, at.address);
  key.writeUInt32LE((session | (device << SESSION_BITS)) >>> 0, at.session_at_device);
  return key;
}

/** Bits of the generation in a proof. The secret is above them. */
const GENERATION_BITS = 9;

/** Generation and secret as one number, as `proof` in erspan.h. */
function proofOf({ generation, secret = 0 }: { generation: number; secret?: number }): number {
  return generation | (secret << GENERATION_BITS);
}

/**
 * @param deliverySlot key of `delivery` in the map `deliveries`
 * @param hold copies are held until the guest has read them
 * @param device ifindex of the device that copies come from
 */
export function encodeTermination(
  termination: TerminationEntry,
  delivery: DeliveryEntry,
  around: { slot: number; deliverySlot: number; hold: boolean; device: number },
): Buffer {
  const { ownAddress, secret, leastTtl = 0, hasWayBack = true } = termination;
  const { slot, deliverySlot, hold, device } = around;
  const at = LAYOUT.termination.fields;
  const value = Buffer.alloc(LAYOUT.termination.size);
  value.writeUInt32LE(slot, at.slot);
  value.writeUInt32LE(DELIVERY_KIND[delivery.kind], at.kind);
  value.writeUInt32LE(delivery.ifindex, at.ifindex);
  value.writeUInt32LE(delivery.mtu, at.mtu);
  value.writeUInt32LE(delivery.kind === 'edge' ? delivery.vlanId : 0, at.vlan_id);
  value.writeUInt32LE(deliverySlot, at.delivery);
  value.writeUInt32LE(hold ? 1 : 0, at.hold);
  address(ownAddress).copy(value, at.own_address);
  value.writeUInt32LE(proofOf(termination), at.proof);
  value.writeUInt32LE(
    proofOf({ generation: MAX_GENERATION, secret: secret === undefined ? 0 : MAX_SECRET }),
    at.proof_mask,
  );
  value.writeUInt32LE(hasWayBack ? device : 0, at.device);
  value.writeUInt32LE(leastTtl, at.least_ttl);
  return value;
}

/** The key of the map `peers`. */
export function encodePeerKey(senderAddress: string): Buffer {
  return address(senderAddress);
}

/** A row of the map `peers` as it is reported. */
export function decodePeer(key: Buffer, value: Buffer): PeerReport {
  const counts = COPY_REFUSALS.map((reason, i) => [reason, Number(value.readBigUInt64LE(8 * i))]);
  return { address: [...key].join('.'), ...(Object.fromEntries(counts) as Record<CopyRefusal, number>) };
}

/** @param feedback the device belongs to a destination, so its guest may send copies */
export function encodeArrivalPort(
  bridge: number,
  { uplink, feedback, overruled }: { uplink: boolean; feedback: boolean; overruled: boolean },
): Buffer {
  const at = LAYOUT.arrival_port.fields;
  const value = Buffer.alloc(LAYOUT.arrival_port.size);
  value.writeUInt32LE(bridge, at.bridge);
  value.writeUInt32LE(uplink ? 1 : 0, at.uplink);
  value.writeUInt32LE(feedback ? 1 : 0, at.feedback);
  value.writeUInt32LE(overruled ? 1 : 0, at.overruled);
  return value;
}

export function encodeArrivalKey(bridge: number, guestMac: string): Buffer {
  const key = Buffer.alloc(LAYOUT.arrival_key.size);
  key.writeUInt32LE(bridge, LAYOUT.arrival_key.fields.bridge);
  mac(guestMac).copy(key, LAYOUT.arrival_key.fields.mac);
  return key;
}

/** The rows of the map `copy_macs` for one VLAN ID. */
export function encodeCopyMacs({ vlanId, direction, macs }: GuestCopies): [key: Buffer, value: Buffer][] {
  const received = direction === 'outbound' ? 0 : COPY_MAC_SIDE.destination;
  const sides = received | (direction === 'inbound' ? 0 : COPY_MAC_SIDE.source);
  const row = (address: string, value: number): [Buffer, Buffer] => {
    const key = Buffer.alloc(LAYOUT.copy_mac.size);
    mac(address).copy(key, LAYOUT.copy_mac.fields.mac);
    key.writeUInt16LE(vlanId, LAYOUT.copy_mac.fields.vlan_id);
    return [key, u32Key(value)];
  };
  return [...macs.map((address) => row(address, sides)), ...(received ? [row(GROUP_MAC, received)] : [])];
}

/** @param arriving the guest is about to come from another node */
export function encodeDestination(arriving: boolean): Buffer {
  const value = Buffer.alloc(LAYOUT.destination.size);
  value.writeUInt32LE(arriving ? 1 : 0, LAYOUT.destination.fields.arriving);
  return value;
}

/**
 * Time of the last feedback in a row of the map `destinations`, CLOCK_MONOTONIC in ns. 0: never.
 */
export function decodeLastFeedback(value: Buffer): bigint {
  return value.readBigUInt64LE(LAYOUT.destination.fields.feedback);
}

/** An address as IPv6; IPv4 as ::ffff:a.b.c.d. */
export function encodeHostAddress(text: string): Buffer {
  const bytes = Buffer.alloc(LAYOUT.host_address.size);
  if (isIPv4(text)) {
    bytes.writeUInt16BE(0xffff, 10);
    address(text).copy(bytes, 12);
    return bytes;
  }
  const [head, tail] = text.split('%')[0]!.split('::') as [string, string | undefined];
  const groups = (part: string | undefined) => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []);
  groups(head).forEach((group, i) => {
    bytes.writeUInt16BE(group, 2 * i);
  });
  const last = groups(tail);
  last.forEach((group, i) => {
    bytes.writeUInt16BE(group, 16 - 2 * (last.length - i));
  });
  return bytes;
}

/** The size of a bucket: so many seconds of its rate, but at least so many bytes. */
export interface Burst {
  seconds: number;
  least: number;
}

/**
 * For policies and nodes: at least a few super-packets, so that a burst of traffic passes even at a
 * low rate.
 */
export const BURST: Burst = { seconds: 0.05, least: 256 * 1024 };
/** For devices: so small that copies alone do not fill the queue of service traffic. */
export const DEVICE_BURST: Burst = { seconds: 0.005, least: 16 * 1024 };

/** @param rate bytes a second; 0: no limit */
export function encodeBudget(rate: number, { seconds, least }: Burst = BURST): Buffer {
  const at = LAYOUT.budget.fields;
  const value = Buffer.alloc(LAYOUT.budget.size);
  if (rate === 0) {
    return value;
  }
  value.writeBigUInt64LE(BigInt(Math.round(rate)), at.rate);
  value.writeBigUInt64LE(BigInt(Math.round(Math.max(rate * seconds, least))), at.burst);
  return value;
}

/** The rate of a budget, bytes a second; 0: no limit. */
export function decodeBudgetRate(value: Buffer): number {
  return Number(value.readBigUInt64LE(LAYOUT.budget.fields.rate));
}

/** Packets that a bucket has refused. */
export function decodeRefused(value: Buffer): number {
  return Number(value.readBigUInt64LE(LAYOUT.bucket.fields.refused));
}

/** What `encodePlace` writes. */
export interface PlaceValue {
  /** ifindex of the helper device. */
  helper: number;
  /** Inode of the network namespace. */
  netns: number;
  begun: number;
  /** ifindexes of WireGuard devices, at most MAX_TUNNELS. */
  tunnels: readonly number[];
}

/** The only row of the map `place`. */
export function encodePlace({ helper, netns, begun, tunnels }: PlaceValue): Buffer {
  const at = LAYOUT.place.fields;
  const value = Buffer.alloc(LAYOUT.place.size);
  value.writeUInt32LE(begun >>> 0, at.begun);
  value.writeUInt32LE(helper, at.helper);
  value.writeUInt32LE(netns, at.netns);
  for (const [index, tunnel] of tunnels.slice(0, MAX_TUNNELS).entries()) {
    value.writeUInt32LE(tunnel, at.tunnels + 4 * index);
  }
  return value;
}

/** Of a row of the map `node_place`: how often devices have become those of destinations. */
export function decodeBegun(value: Buffer): number {
  return value.readUInt32LE(LAYOUT.place.fields.begun);
}

/** @param netns inode of the network namespace */
export function encodeHold(queue: number, released: boolean, netns: number): Buffer {
  const at = LAYOUT.hold.fields;
  const value = Buffer.alloc(LAYOUT.hold.size);
  value.writeUInt32LE(queue, at.queue);
  value.writeUInt32LE(released ? 1 : 0, at.released);
  value.writeUInt32LE(netns, at.netns);
  return value;
}

export function decodeHoldCounts(value: Buffer): Record<'handed' | 'read' | 'relayed' | 'unconfirmed', number> {
  const at = LAYOUT.hold_counts.fields;
  const field = (offset: number) => Number(value.readBigUInt64LE(offset));
  return {
    handed: field(at.handed),
    read: field(at.read),
    relayed: field(at.relayed),
    unconfirmed: field(at.unconfirmed),
  };
}

/** The value of the map `copy_vlans`: a bit for each VLAN ID. */
export function encodeVlanSet(ids: readonly number[]): Buffer {
  const bits = Buffer.alloc(VLAN_SET_SIZE);
  for (const id of ids) {
    bits[id >> 3]! |= 1 << (id & 7);
  }
  return bits;
}

/**
 * Sums the values of all CPUs, in fields of 64 bits. Counters stay below 2^53 for decades of line
 * rate. Two halves of 32 bits are read, because a BigInt would be an object for each field.
 */
export function sumPerCpu(values: Buffer, size: number): number[] {
  const fields = size / 8;
  const sums = new Array<number>(fields).fill(0);
  const halves = new DataView(values.buffer, values.byteOffset, values.length);
  for (let start = 0; start + size <= values.length; start += size) {
    for (let i = 0; i < fields; i++) {
      const at = start + i * 8;
      sums[i]! += halves.getUint32(at, true) + halves.getUint32(at + 4, true) * 2 ** 32;
    }
  }
  return sums;
}

function countAt(sums: readonly number[], index: number): Count {
  return { packets: sums[2 * index]!, bytes: sums[2 * index + 1]! };
}

/** The counts of an enum's entries that are not 0, by name. */
function byName<T extends string>(
  sums: readonly number[],
  first: number,
  names: readonly T[],
): Partial<Record<T, Count>> {
  const counts: Partial<Record<T, Count>> = {};
  names.forEach((name, i) => {
    const count = countAt(sums, first + i);
    if (count.packets > 0) {
      counts[name] = count;
    }
  });
  return counts;
}

export function decodeCaptureCounters(sums: readonly number[]): CaptureCounts {
  return {
    matched: countAt(sums, 0),
    sampledOut: countAt(sums, 1),
    copied: countAt(sums, 2),
    truncated: countAt(sums, 3),
    dropped: byName(sums, 4, DROP_REASONS),
    skipped: byName(sums, 4 + DROP_REASONS.length, SKIP_REASONS),
  };
}

/** Where the counters of a capture say what became of what matched: sampled out, copied, dropped. */
const FATES = [1, 2, ...DROP_REASONS.map((_, i) => 4 + i)];

/** Whether the counters of a capture say what became of each packet that matched, in packets and bytes. */
export function captureAddsUp(sums: readonly number[]): boolean {
  return [0, 1].every((unit) => FATES.reduce((left, fate) => left - sums[2 * fate + unit]!, sums[unit]!) === 0);
}

export function decodeDeliveryCounters(sums: readonly number[]): { sent: Count; feedback?: Count } {
  const feedback = countAt(sums, 1);
  return { sent: countAt(sums, 0), ...(feedback.packets > 0 && { feedback }) };
}

export function decodeTerminationCounters(sums: readonly number[]) {
  return {
    received: countAt(sums, 0),
    delivered: countAt(sums, 1),
    relayed: countAt(sums, 2),
    dropped: byName(sums, 3, TERMINATION_DROP_REASONS),
  };
}

export function decodeProbeCounts(sums: readonly number[]): ProbeCounts {
  const {
    received,
    delivered,
    dropped: refused,
  } = decodeTerminationCounters(sums.slice(2 * (4 + DROP_REASONS.length)));
  return {
    made: countAt(sums, 0),
    copied: countAt(sums, 1),
    truncated: countAt(sums, 2),
    sent: countAt(sums, 3),
    dropped: byName(sums, 4, DROP_REASONS),
    received,
    delivered,
    refused,
  };
}
