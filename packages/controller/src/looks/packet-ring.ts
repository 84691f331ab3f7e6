/** The newest packets and drops of a look, with what became of each packet. Bounded, no clock. */
import { type HeardDrop, LOOK_KEEPING, type LookedPacket, type OriginalFate } from '@mirrorplane/contract';
import type { KeptDrop, KeptPacket, SeenPacket } from './kept-packet.ts';
import { NewestById } from './newest-by-id.ts';
import { originalsOf, UNKNOWN } from './originals.ts';

/** What the ring is given beside a packet itself. */
export type PacketFrom = Pick<LookedPacket, 'node' | 'interfaceName' | 'lostBefore'>;

/** Packets whose `original` has changed since a version. */
export interface OriginalChanges {
  /** Ask with this one the next time. */
  version: number;
  /** Numbers of packets that the ring still has, in ascending order. */
  numbers: number[];
}

/** Bounds. Default those of LOOK_KEEPING; tests lower them. */
export type RingLimits = Partial<Record<'packets' | 'bytes' | 'drops', number>>;

/** Bytes that a packet costs beside its own. They count too, so that empty packets are bounded. */
const PACKET_OVERHEAD = 256;
/** Sightings with the same id that are joined, the newest. Others keep what was found for them. */
const JOINED_MOST = 64;

/** Keeps packets by number, from 1 on without gaps. Those that leave are the oldest. */
export class PacketRing {
  readonly #limits: Required<RingLimits>;
  /** The packet with number n is at n - #first. The front is freed in blocks. */
  #packets: (KeptPacket | undefined)[] = [];
  #first = 1;
  #oldest = 1;
  #bytes = 0;
  #drops: { kept: KeptDrop; heard: HeardDrop }[] = [];
  #newestDrop = 0;
  readonly #packetsById = new NewestById<KeptPacket>(JOINED_MOST);
  readonly #dropsById = new NewestById<HeardDrop>(JOINED_MOST);
  #touched = new Set<string>();
  #changes: { version: number; number: number }[] = [];
  #version = 0;
  /** Changes up to this version are not known one by one any more. */
  #forgotten = 0;

  constructor({
    packets = LOOK_KEEPING.packets,
    bytes = LOOK_KEEPING.bytes,
    drops = LOOK_KEEPING.drops,
  }: RingLimits = {}) {
    this.#limits = { packets, bytes, drops };
  }

  /** Number of the oldest packet that is kept. If there is none, of the next one. */
  get oldest(): number {
    return this.#oldest;
  }

  /** Number of the newest packet. 0: there was none. */
  get newest(): number {
    return this.#first + this.#packets.length - 1;
  }

  /** Drops that are kept, in the order in which they came. */
  get drops(): readonly KeptDrop[] {
    return this.#drops.slice(-this.#limits.drops).map(({ kept }) => kept);
  }

  /** Number of the newest drop, from 1 on without gaps. 0: there was none. */
  get newestDrop(): number {
    return this.#newestDrop;
  }

  /** Number of the oldest drop that `dropsSince` gives. If there is none, of the next one. */
  get oldestDrop(): number {
    return this.#newestDrop - this.#drops.length + 1;
  }

  /** Drops after a number, the oldest first. */
  dropsSince(after: number): KeptDrop[] {
    return this.#drops.slice(Math.max(0, after + 1 - this.oldestDrop)).map(({ kept }) => kept);
  }

  /** Adds a packet. Call `join` after the last one of a batch. @returns its number */
  add(seen: SeenPacket, from: PacketFrom): number {
    const number = this.newest + 1;
    const packet: KeptPacket = { ...seen, ...from, number, original: firstFate(seen) };
    this.#packets.push(packet);
    this.#bytes += costOf(packet);
    if (packet.packet !== undefined) {
      this.#packetsById.add(packet.packet, packet);
      this.#touched.add(packet.packet);
    }
    const { packets, bytes } = this.#limits;
    while (this.newest - this.#oldest + 1 > packets || this.#bytes > bytes) {
      this.#dropOldest();
    }
    return number;
  }

  /** Adds a drop. Call `join` after the last one of a batch. */
  addDrop(drop: KeptDrop): void {
    const { length: _, gsoSize: __, bytes: ___, ...heard } = drop;
    this.#drops.push({ kept: drop, heard });
    this.#newestDrop++;
    if (drop.packet !== undefined) {
      this.#dropsById.add(drop.packet, heard);
      this.#touched.add(drop.packet);
    }
    if (this.#drops.length > this.#limits.drops * 2) {
      for (const { heard } of this.#drops.slice(0, -this.#limits.drops)) {
        if (heard.packet !== undefined) {
          this.#dropsById.remove(heard.packet, heard);
        }
      }
      this.#drops = this.#drops.slice(-this.#limits.drops);
    }
  }

  /** Finds what became of the packets whose ids have come since the last call. */
  join(): void {
    this.#version++;
    for (const id of this.#touched) {
      const packets = this.#packetsById.of(id);
      const drops = this.#dropsById.of(id);
      // What is alone keeps its first fate, and most packets are.
      if (packets.length + drops.length < 2) {
        continue;
      }
      const originals = originalsOf(packets, drops);
      for (const packet of packets) {
        this.#set(packet, originals.get(packet.number)!);
      }
    }
    this.#touched = new Set();
    const most = this.#limits.packets;
    if (this.#changes.length > most * 2) {
      const old = this.#changes.length - most;
      this.#forgotten = this.#changes[old - 1]!.version;
      this.#changes = this.#changes.slice(old);
    }
  }

  /** Packets after a number, the oldest first, at most so many. */
  since(after: number, most: number): KeptPacket[] {
    const from = Math.max(after + 1, this.#oldest) - this.#first;
    return this.#packets.slice(from, from + most) as KeptPacket[];
  }

  /** The packet with a number. Undefined: it is not kept, or has not come yet. */
  get(number: number): KeptPacket | undefined {
    return this.#packets[number - this.#first];
  }

  /**
   * Which packets have another `original` than at a version, and a version to go on with. Packets
   * that have come since then are among them if it has changed after they came. Where too many have
   * changed, all are named.
   * @param version 0: from the beginning
   */
  changedSince(version: number): OriginalChanges {
    if (version < this.#forgotten) {
      return { version: this.#version, numbers: this.since(0, this.#limits.packets).map(({ number }) => number) };
    }
    const numbers = new Set<number>();
    for (let at = this.#changes.length - 1; at >= 0 && this.#changes[at]!.version > version; at--) {
      if (this.#changes[at]!.number >= this.#oldest) {
        numbers.add(this.#changes[at]!.number);
      }
    }
    return { version: this.#version, numbers: [...numbers].sort((a, b) => a - b) };
  }

  #set(packet: KeptPacket, original: OriginalFate): void {
    if (packet.original.state !== original.state || packet.original.drop !== original.drop) {
      packet.original = original;
      this.#changes.push({ version: this.#version, number: packet.number });
    }
  }

  #dropOldest(): void {
    const index = this.#oldest - this.#first;
    const packet = this.#packets[index]!;
    this.#packets[index] = undefined;
    this.#bytes -= costOf(packet);
    this.#oldest++;
    if (packet.packet !== undefined) {
      this.#packetsById.remove(packet.packet, packet);
    }
    if (index >= this.#limits.packets) {
      this.#packets = this.#packets.slice(index + 1);
      this.#first = this.#oldest;
    }
  }
}

/** What is known without other sightings. */
const firstFate = ({ place }: SeenPacket): OriginalFate => (place === 'delivered' ? { state: 'delivered' } : UNKNOWN);

const costOf = ({ bytes }: KeptPacket) => bytes.length + PACKET_OVERHEAD;
