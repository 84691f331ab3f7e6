/** What looks see of packets, and hear of their drops. */
import type { CopyFate, DropCause, LookPlace } from '@mirrorplane/contract';
import type { Hook } from './hook.ts';

/** A packet that a look has seen at one place. */
export interface LookPacket {
  /** id of the look. */
  look: string;
  /** Microseconds since 1970, by the clock of this node. */
  at: number;
  /**
   * The same for the same packet at other places, 16 hexadecimal digits; left out: it is too short
   * to be told from others.
   */
  packet?: string;
  place: LookPlace;
  ifindex: number;
  hook: Hook;
  fate: CopyFate;
  /** Bytes of the whole frame, tags included. */
  length: number;
  /** How many it is on the wire: of a super-packet its segments. */
  packets: number;
  /** Bytes of payload of a segment of a super-packet; 0: it is none. */
  gsoSize: number;
  /** The outermost tag; left out: it has none. */
  vlan?: { protocol: number; tci: number };
  /** The first bytes of the frame as on the wire, tags included. */
  bytes: Buffer;
}

/** Counts of a look. seen = written + overRate + ringFull. */
export interface LookCounts {
  /** What it asks for. */
  seen: number;
  written: number;
  /** Left out: it was over its rate. */
  overRate: number;
  /** Left out: nobody had read what was written before. */
  ringFull: number;
  /** Drops of its packets that the kernel told: those that it reads, and `dropsLost`. */
  dropsHeard: number;
  /** Drops left out: over their rate, or nobody had read what was written before. */
  dropsLost: number;
}

/** A drop of an original that the kernel told while a look was on. */
export interface LookDrop {
  /** id of the look. */
  look: string;
  /** Microseconds since 1970, by the clock of this node. */
  at: number;
  /**
   * - `packet`: the look has seen this very packet on this node.
   * - `flow`: it has seen a super-packet of the same flow, and this is a segment of it, or a later
   *   packet. TCP is joined by its sequence numbers in `bytes`.
   */
  join: 'packet' | 'flow';
  /** As `packet` of a LookPacket. Left out: the bytes that make it could not be read. */
  packet?: string;
  cause: DropCause;
  /** The kernel's name, for example NETFILTER_DROP. Empty: it gave none. */
  reason: string;
  /** Function of the kernel that dropped it. Empty: not known. */
  function: string;
  /** Of the device that the packet had then. */
  ifindex: number;
  /** Bytes of the whole frame, tags included. */
  length: number;
  /** How many it would have been on the wire: of a super-packet its segments. */
  packets: number;
  /** Bytes of payload of a segment of a super-packet; 0: it is none. */
  gsoSize: number;
  /** The outermost tag; left out: it has none. */
  vlan?: { protocol: number; tci: number };
  /** The first bytes of the frame as on the wire, at most 128 and tags. Empty: not readable. */
  bytes: Buffer;
}

/** A place where a look sees nothing. */
export interface LookGap {
  look: string;
  ifindex: number;
  hook: Hook;
  message: string;
}

/** What looks have seen and heard since the reading before. */
export interface LookReading {
  packets: LookPacket[];
  drops: LookDrop[];
  /** By look, since it began. */
  counts: ReadonlyMap<string, LookCounts>;
}
