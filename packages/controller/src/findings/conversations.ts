/** Packets of a look, sorted into conversations between two interfaces. Pure. */
import type { LookedPacket, LookPlace } from '@mirrorplane/contract';
import { fingerprintOf } from './fingerprint.ts';
import { type Ends, type Headers, headersOf, type Protocol } from './headers.ts';

/** From the first interface to the second, or back. */
export const WAYS = ['there', 'back'] as const;
export type Way = (typeof WAYS)[number];

/** A packet at one place. */
export interface Sighting extends Omit<LookedPacket, 'original' | 'copy'> {
  headers: Headers;
  /** The same at every place. */
  fingerprint: string;
  /**
   * Seen while every place was looked at, and long enough before the end to have been seen at the
   * places behind it too. Only such packets can be missing there.
   */
  counted: boolean;
}

/** What was seen of one way of a conversation, each place by the clock of its node. */
export type Places = Record<LookPlace, Sighting[]>;

/** One end of a conversation. Port 0: the protocol has none. */
export interface End {
  address: string;
  port: number;
}

/** All packets with the same two ends. */
export interface Conversation extends Record<Way, Places> {
  protocol: Protocol;
  from: End;
  to: End;
  /** Errors of ICMP about packets of it, by the way of these packets. */
  errors: Record<Way, Sighting[]>;
}

/** The two interfaces, and the MAC addresses that are known of them. */
export interface Pair {
  from: { id: string; macs: ReadonlySet<string> };
  to: { id: string; macs: ReadonlySet<string> };
}

/** An error is said of so many pings at most: with many, each more would cost all errors again. */
const MOST_PINGS = 64;

/** Sorts packets as they come. */
export class Conversations {
  readonly #pair: Pair;
  readonly #all = new Map<string, Conversation>();
  /** Errors that came before anything else of their conversation. */
  readonly #errors: { sighting: Sighting; about: Ends; way: Way }[] = [];
  #unread = 0;

  constructor(pair: Pair) {
    this.#pair = pair;
  }

  /** @param counted see `Sighting` */
  add(packet: LookedPacket & { bytes: Uint8Array }, counted: boolean): void {
    const { bytes, original: _, copy: __, ...rest } = packet;
    const headers = headersOf(bytes, packet.length, packet.gsoSize > 0);
    const way = this.#wayOf(packet);
    if (headers === undefined || way === undefined) {
      this.#unread += headers === undefined ? 1 : 0;
      return;
    }
    const sighting: Sighting = { ...rest, headers, fingerprint: fingerprintOf(bytes), counted };
    const about = headers.icmp?.about;
    if (about !== undefined) {
      this.#errors.push({ sighting, about, way: way === 'there' ? 'back' : 'there' });
    } else if (isUnicast(headers.targetMac) || headers.protocol === 'arp') {
      this.#of(headers, way)[way][packet.place].push(sighting);
    }
  }

  /** Conversations between the two interfaces, and what else was seen of them. */
  sorted(): { conversations: Conversation[]; unanswered: string[]; sentElsewhere: number; unread: number } {
    const pings = Map.groupBy(
      [...this.#all.values()].filter(({ protocol }) => protocol === 'icmp'),
      addressesOf,
    );
    for (const { sighting, about, way } of this.#errors.splice(0)) {
      for (const conversation of this.#about(about, way, pings)) {
        conversation.errors[way].push(sighting);
      }
    }
    const all = [...this.#all.values()];
    const talks = all.filter(({ protocol }) => protocol !== 'arp').filter((one) => this.#isBetween(one));
    const known = {
      from: new Set(talks.map(({ from }) => from.address)),
      to: new Set(talks.map(({ to }) => to.address)),
    };
    const asked = all.filter(({ protocol }) => protocol === 'arp');
    const questions = asked.filter((one) => this.#isBetween(one) || isOfKnown(one, known));
    const conversations = [...talks, ...questions];
    const between = new Set(conversations);
    const unanswered = asked.filter((one) => !between.has(one)).filter(isUnanswered);
    return {
      conversations,
      unanswered: unanswered.map(({ to }) => to.address),
      sentElsewhere: countSent(all.filter((one) => !between.has(one))),
      unread: this.#unread,
    };
  }

  #wayOf({ interface: id, place }: LookedPacket): Way | undefined {
    if (id === this.#pair.from.id) {
      return place === 'sent' ? 'there' : 'back';
    }
    if (id === this.#pair.to.id) {
      return place === 'sent' ? 'back' : 'there';
    }
    return undefined;
  }

  #of(headers: Headers, way: Way): Conversation {
    const { protocol, from, to, key } = placed(headers, way);
    const known = this.#all.get(key);
    if (known !== undefined) {
      return known;
    }
    const made: Conversation = {
      protocol,
      from,
      to,
      there: noPlaces(),
      back: noPlaces(),
      errors: { there: [], back: [] },
    };
    this.#all.set(key, made);
    return made;
  }

  /** Of a ping, an error says no number that would tell it from others. */
  #about(about: Ends, way: Way, pings: ReadonlyMap<string, Conversation[]>): Conversation[] {
    const { protocol, from, to, key } = placed(about, way);
    if (protocol !== 'icmp') {
      return [this.#all.get(key) ?? []].flat();
    }
    return pings.get(addressesOf({ from, to }))?.slice(0, MOST_PINGS) ?? [];
  }

  /**
   * True where packets of it go from one interface to the other: their MAC address says so, they
   * were seen at both, or both take part in it.
   */
  #isBetween({ there, back }: Conversation): boolean {
    const { from, to } = this.#pair;
    return (
      there.sent.some(({ headers }) => to.macs.has(headers.targetMac)) ||
      back.sent.some(({ headers }) => from.macs.has(headers.targetMac)) ||
      isSeenAtBoth(there) ||
      isSeenAtBoth(back) ||
      (there.sent.length > 0 && back.sent.length > 0)
    );
  }
}

function noPlaces(): Places {
  return { sent: [], arrived: [], delivered: [] };
}

/** Unicast packets that were seen where they were sent and where they were for. */
function isSeenAtBoth({ sent, arrived, delivered }: Places): boolean {
  const goesToOne = ({ headers }: Sighting) => isUnicast(headers.targetMac);
  return sent.some(goesToOne) && (arrived.some(goesToOne) || delivered.some(goesToOne));
}

/** The lowest bit of the first byte says that a frame is for many. */
function isUnicast(mac: string): boolean {
  return (Number.parseInt(mac.slice(0, 2), 16) & 1) === 0;
}

function isOfKnown({ from, to }: Conversation, known: { from: Set<string>; to: Set<string> }): boolean {
  return known.from.has(from.address) && known.to.has(to.address);
}

/** The first interface asked for an address, and got no answer. */
function isUnanswered({ there, back }: Conversation): boolean {
  const answers = [...back.arrived, ...back.delivered].some(({ headers }) => headers.asks === false);
  return there.sent.some(({ headers }) => headers.asks === true) && !answers;
}

/** The ends of a packet that goes a way, as its conversation has them. */
function placed(ends: Ends, way: Way): { protocol: Protocol; from: End; to: End; key: string } {
  const { protocol } = ends;
  const source = { address: ends.source, port: ends.sourcePort };
  const target = { address: ends.target, port: ends.targetPort };
  const [from, to] = way === 'there' ? [source, target] : [target, source];
  return { protocol, from, to, key: [protocol, from.address, from.port, to.address, to.port].join(' ') };
}

function addressesOf({ from, to }: Pick<Conversation, 'from' | 'to'>): string {
  return `${from.address} ${to.address}`;
}

function countSent(conversations: readonly Conversation[]): number {
  return conversations.reduce((sum, { there }) => sum + wireCount(there.sent), 0);
}

/** Packets as on the wire: of a super-packet its segments. */
export function wireCount(sightings: readonly { packets: number }[]): number {
  return sightings.reduce((sum, { packets }) => sum + packets, 0);
}
