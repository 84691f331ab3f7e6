/** What a finding has taken of its look: its packets, sorted, and the drops that were heard. */
import type { PacketRing } from '../looks/packet-ring.ts';
import { Conversations, type Pair } from './conversations.ts';
import type { ToldDrop } from './drops.ts';

/** Packets, and drops, after which it has looked long enough: some 150 MB of packets. */
export const MOST_PACKETS = 120_000;
/** How many may come until it has settled after that. */
const MOST_AFTER = 30_000;

/** Takes what is new, in the order in which it came. Bounded. */
export class Taken {
  readonly conversations: Conversations;
  readonly drops: ToldDrop[] = [];
  /** Packets that have come. */
  seen = 0;
  /** There was more than is compared, or than was kept until it was taken. */
  tooMany = false;
  /** Packets up to this one came too early to count. */
  #first = Number.POSITIVE_INFINITY;
  /** The last packet that counts. */
  #last = Number.POSITIVE_INFINITY;
  /** Number of the newest packet, and of the newest drop, that was taken. */
  #packet = 0;
  #drop = 0;

  constructor(pair: Pair) {
    this.conversations = new Conversations(pair);
  }

  /** It has looked long enough. */
  get isFull(): boolean {
    return this.seen > MOST_PACKETS || this.drops.length > MOST_PACKETS;
  }

  /** Packets count from now on. */
  begin(ring: PacketRing): void {
    this.take(ring);
    this.#first = ring.newest;
  }

  /** Packets that come from now on do not count. */
  end(ring: PacketRing): void {
    this.take(ring);
    this.#last = ring.newest;
  }

  /** Takes what has come since the last time. */
  take(ring: PacketRing): void {
    this.tooMany ||= ring.oldest > this.#packet + 1 || ring.oldestDrop > this.#drop + 1;
    for (const packet of ring.since(this.#packet, Number.POSITIVE_INFINITY)) {
      this.#packet = packet.number;
      this.seen++;
      if (this.seen > MOST_PACKETS + MOST_AFTER) {
        this.tooMany = true;
      } else {
        this.conversations.add(packet, packet.number > this.#first && packet.number <= this.#last);
      }
    }
    const room = MOST_PACKETS + MOST_AFTER - this.drops.length;
    const drops = ring.dropsSince(this.#drop);
    this.#drop = ring.newestDrop;
    this.tooMany ||= drops.length > room;
    for (const drop of drops.slice(0, room)) {
      this.drops.push(drop);
    }
  }
}
