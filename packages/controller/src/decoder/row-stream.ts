/** The rows of a look for one reader, as server-sent events. */
import type { PacketRows } from '@mirrorplane/contract';
import { type PacedOptions, PacedStream } from '../events/paced-stream.ts';
import type { KeptPacket } from '../looks/kept-packet.ts';
import type { LiveLook } from '../looks/live-look.ts';
import { NOT_ANY_MORE } from '../looks/pcapng-stream.ts';
import type { Decoders } from './decoders.ts';
import { RowSource } from './row-source.ts';

/** Milliseconds between two messages at the least, and rows of one at most. */
const PAUSE_MS = 200;
const MAX_ROWS = 500;
/** Milliseconds between two renewals of the lease. */
const RENEW_MS = 10_000;

const LOOK_EVENTS = ['changed', 'ended', 'complete'] as const;

export interface RowStreamOptions extends PacedOptions {
  look: LiveLook;
  /** Name of the user who reads. */
  holder: string;
  decoders: Decoders;
  /** Packets up to this number are known to the reader. */
  after: number;
  /** A display filter that was checked. Empty: all packets. */
  filter: string;
  /** Lets the look live on. */
  renew: () => void;
  /** Whether the reader may still see the packets. Default: always. */
  isAllowed?: () => boolean;
}

/**
 * It sends what the ring of the look has, at the speed of its reader. What leaves the ring before the
 * reader has room for it is counted as skipped. While it is read, the look lives.
 */
export class RowStream extends PacedStream {
  readonly #look: LiveLook;
  readonly #source: RowSource;
  readonly #renew: NodeJS.Timeout;
  readonly #filtered: boolean;
  readonly #isAllowed: () => boolean;
  /** Numbers that passed the display filter. Without one, all do. */
  readonly #shown = new Set<number>();
  /** Numbers of packets whose fate has changed since they were sent. */
  readonly #owed = new Set<number>();
  #last: number;
  #fatesVersion = 0;
  #hidden = 0;
  #skipped = 0;
  #toldLook = '';
  #toldDecoder = '';
  #isWorking = false;
  #timer: NodeJS.Timeout | undefined;

  constructor({ look, holder, decoders, after, filter, renew, isAllowed = () => true, ...options }: RowStreamOptions) {
    super(options);
    this.#look = look;
    this.#source = new RowSource(decoders, filter, holder);
    this.#filtered = filter !== '';
    // A number that the look has not reached is one of another look.
    this.#last = after > look.ring.newest ? 0 : after;
    this.#fatesVersion = this.#last === 0 ? look.ring.changedSince(0).version : 0;
    this.#isAllowed = isAllowed;
    this.#renew = setInterval(() => (isAllowed() ? renew() : this.#refuse()), RENEW_MS).unref();
    renew();
    for (const event of LOOK_EVENTS) {
      look.on(event, this.#changed);
    }
    this.begin(this.#last);
  }

  protected override pump(): void {
    if (!this.#isWorking && this.#timer === undefined) {
      this.#isWorking = true;
      void this.#work().catch((error: Error) => this.destroy(error));
    }
  }

  protected override beat(): void {
    this.send('event: heartbeat\ndata: {}\n\n');
  }

  protected override stopped(): void {
    clearInterval(this.#renew);
    clearTimeout(this.#timer);
    for (const event of LOOK_EVENTS) {
      this.#look.off(event, this.#changed);
    }
    this.#source.close();
  }

  readonly #changed = (): void => {
    if (this.ready) {
      this.pump();
    }
  };

  /** One message, if there is something to say. */
  async #work(): Promise<void> {
    const packets = this.#look.ring.since(this.#last, MAX_ROWS);
    const columns = await this.#source.columnsOf(packets);
    this.#isWorking = false;
    if (this.destroyed || this.readableEnded) {
      return;
    }
    if (!this.#isAllowed()) {
      this.#refuse();
      return;
    }
    const known = this.#last;
    const rows = packets.flatMap((packet) => {
      const found = columns.get(packet.number);
      return found === undefined ? [] : [{ packet: withoutBytes(packet), columns: found }];
    });
    this.#count(packets, rows);
    const message: PacketRows = {
      rows,
      originals: this.#originals(known),
      last: this.#last,
      hidden: this.#hidden,
      skipped: this.#skipped,
      decoder: this.#source.state,
      ...this.#lookIfChanged(),
    };
    if (packets.length > 0 || message.originals.length > 0 || message.look || this.#decoderChanged(message)) {
      this.send(`event: rows\nid: ${this.#last}\ndata: ${JSON.stringify(message)}\n\n`);
      this.#timer = setTimeout(() => this.#rested(), PAUSE_MS).unref();
    } else if (this.#look.complete) {
      this.send('event: end\ndata: {}\n\n');
      this.end();
    }
  }

  #refuse(): void {
    this.push(`event: end\ndata: ${JSON.stringify({ endedBy: 'access', message: NOT_ANY_MORE })}\n\n`);
    this.end();
  }

  #rested(): void {
    this.#timer = undefined;
    this.#changed();
  }

  #count(packets: readonly KeptPacket[], rows: PacketRows['rows']): void {
    const [first] = packets;
    if (first === undefined) {
      return;
    }
    this.#skipped += first.number - this.#last - 1;
    this.#hidden += packets.length - rows.length;
    this.#last = packets.at(-1)!.number;
    if (this.#filtered) {
      for (const { packet } of rows) {
        this.#shown.add(packet.number);
      }
    }
  }

  /** Fates of packets up to a number, which the reader has, that are others than before. */
  #originals(known: number): PacketRows['originals'] {
    const { ring } = this.#look;
    const { version, numbers } = ring.changedSince(this.#fatesVersion);
    this.#fatesVersion = version;
    for (const number of numbers) {
      if (number <= known && (!this.#filtered || this.#shown.has(number))) {
        this.#owed.add(number);
      }
    }
    const originals: PacketRows['originals'] = [];
    for (const number of this.#owed) {
      if (originals.length === MAX_ROWS) {
        break;
      }
      this.#owed.delete(number);
      const packet = ring.get(number);
      if (packet !== undefined) {
        originals.push({ number, original: packet.original });
      }
    }
    this.#forget(ring.oldest);
    return originals;
  }

  #forget(oldest: number): void {
    for (const number of this.#shown) {
      if (number >= oldest) {
        break;
      }
      this.#shown.delete(number);
    }
  }

  #lookIfChanged(): Pick<PacketRows, 'look'> {
    const look = this.#look.describe();
    const text = JSON.stringify(look);
    const isNew = text !== this.#toldLook;
    this.#toldLook = text;
    return isNew ? { look } : {};
  }

  #decoderChanged({ decoder }: PacketRows): boolean {
    const text = JSON.stringify(decoder);
    const isNew = text !== this.#toldDecoder;
    this.#toldDecoder = text;
    return isNew;
  }
}

function withoutBytes({ bytes: _, ...packet }: KeptPacket): PacketRows['rows'][number]['packet'] {
  return packet;
}
