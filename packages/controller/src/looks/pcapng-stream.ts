/** The packets of a look as a pcapng stream: what is kept, and what comes while it is read. */
import type { LookPlace, OriginalFate } from '@mirrorplane/contract';
import { PacedStream } from '../events/paced-stream.ts';
import type { KeptPacket } from './kept-packet.ts';
import type { LiveLook } from './live-look.ts';
import { plus } from './node-share.ts';
import { PcapngWriter } from './pcapng.ts';

export interface PcapngStreamOptions {
  look: LiveLook;
  /** False: it ends with what is kept now. */
  follow: boolean;
  /** Which packets it has. */
  wanted: (packet: KeptPacket) => boolean;
  /** The packets are read: the look may live on. Called at the begin, and then every ten seconds. */
  read: () => void;
  /** Whether the reader may still see the packets. Default: always. */
  isAllowed?: () => boolean;
  comment: string;
}

/** Packets that one filter wants. */
export interface PacketFilter {
  interface?: string | undefined;
  place?: LookPlace | undefined;
  copy?: string | undefined;
  original?: OriginalFate['state'] | undefined;
}

/** Milliseconds between two `read`: a lease is three times as long. */
const READ_MS = 10_000;
/**
 * Milliseconds for which a packet is held back: its later sightings and its drop come meanwhile, so
 * that the file has what became of it.
 */
const SETTLE_MS = 500;
/** Why a stream ends whose reader has lost the right to it. */
export const NOT_ANY_MORE = 'the packets end here: you may not see all interfaces of this look any more';
/** Packets that are written at a time. */
const AT_A_TIME = 100;

/** A reader that is slow misses packets, and the next one says how many. */
export class PcapngStream extends PacedStream {
  readonly #look: LiveLook;
  readonly #wanted: (packet: KeptPacket) => boolean;
  readonly #read: () => void;
  readonly #isAllowed: () => boolean;
  readonly #writer = new PcapngWriter();
  /** Newest numbers, and when they were. */
  #arrivals: { newest: number; at: number }[] = [];
  /** Packets up to this number are written, or are not wanted. */
  #done = 0;
  /** What packets have told that were not wanted, and packets that the ring had no more. */
  #missed = 0;
  /** Undefined: it follows. */
  readonly #last: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #next: NodeJS.Immediate | undefined;
  readonly #changed = () => this.#arrived();

  constructor({ look, follow, wanted, read, isAllowed = () => true, comment }: PcapngStreamOptions) {
    super({ heartbeatMs: READ_MS });
    this.#look = look;
    this.#wanted = wanted;
    this.#read = read;
    this.#isAllowed = isAllowed;
    this.#last = follow ? undefined : look.ring.newest;
    // Who sends it hears of an error, too.
    this.on('error', () => undefined);
    look.on('changed', this.#changed);
    look.on('complete', this.#changed);
    // First: a look that has ended without packets is a file of this alone.
    this.push(this.#writer.start(comment));
    this.#arrived();
    read();
  }

  /** What goes wrong ends this stream, and nothing else: it may be called by a timer. */
  protected override pump(): void {
    try {
      this.#pump();
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  /** A section of its own tells why nothing follows. */
  #refuse(): void {
    if (!this.readableEnded && !this.destroyed) {
      this.push(this.#writer.start(NOT_ANY_MORE));
      this.end();
    }
  }

  #pump(): void {
    if (!this.#isAllowed()) {
      this.#refuse();
      return;
    }
    if (this.ready && this.#done < this.#until()) {
      this.#write();
      if (this.ready && this.#done < this.#until()) {
        this.#later();
        return;
      }
    }
    const isOver = this.#last !== undefined || this.#look.complete;
    if (this.#done >= (this.#last ?? this.#look.ring.newest) && isOver) {
      this.end();
    } else if (this.#arrivals.length > 0) {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.pump();
      }, SETTLE_MS / 2).unref();
    }
  }

  /** Goes on when what waits meanwhile, as a program, has had its turn. */
  #later(): void {
    this.#next ??= setImmediate(() => {
      this.#next = undefined;
      this.pump();
    });
  }

  protected override beat(): void {
    if (this.#isAllowed()) {
      this.#read();
    } else {
      this.#refuse();
    }
  }

  protected override stopped(): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#next);
    this.#look.off('changed', this.#changed);
    this.#look.off('complete', this.#changed);
  }

  #arrived(): void {
    const { newest } = this.#look.ring;
    if (newest > (this.#arrivals.at(-1)?.newest ?? 0)) {
      this.#arrivals.push({ newest, at: performance.now() });
    }
    this.pump();
  }

  /** The newest packet that may be written now. */
  #until(): number {
    if (this.#last !== undefined || this.#look.complete) {
      return this.#last ?? this.#look.ring.newest;
    }
    const settled = this.#arrivals.findLastIndex(({ at }) => performance.now() - at >= SETTLE_MS);
    const until = this.#arrivals[settled]?.newest ?? 0;
    if (settled > 0) {
      this.#arrivals = this.#arrivals.slice(settled);
    }
    return Math.max(this.#done, until);
  }

  #write(): void {
    const { ring } = this.#look;
    const until = this.#until();
    const packets = ring.since(this.#done, Math.min(AT_A_TIME, until - this.#done));
    const first = packets[0]?.number ?? until + 1;
    this.#missed = plus(this.#missed, first - 1 - this.#done);
    const blocks: Buffer[] = [];
    for (const packet of packets) {
      this.#missed = plus(this.#missed, packet.lostBefore);
      if (this.#wanted(packet)) {
        blocks.push(this.#writer.packet({ ...packet, lostBefore: this.#missed }));
        this.#missed = 0;
      }
    }
    this.#done = packets.at(-1)?.number ?? until;
    if (blocks.length > 0) {
      this.send(Buffer.concat(blocks));
    }
  }
}

/** Whether a packet is what a filter wants. */
export function matches(filter: PacketFilter): (packet: KeptPacket) => boolean {
  return (packet) =>
    (filter.interface === undefined || packet.interface === filter.interface) &&
    (filter.place === undefined || packet.place === filter.place) &&
    (filter.copy === undefined || packet.copy === filter.copy) &&
    (filter.original === undefined || packet.original.state === filter.original);
}
