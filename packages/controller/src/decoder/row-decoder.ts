/** Rows of a list: tshark, fed with packets as they come. */
import { randomBytes } from 'node:crypto';
import type { PacketColumns } from '@mirrorplane/contract';
import type { KeptPacket } from '../looks/kept-packet.ts';
import { PcapngWriter } from '../looks/pcapng.ts';
import { shownText } from './columns.ts';
import { DecoderEnded } from './decoder-errors.ts';
import { DecoderProcess } from './decoder-process.ts';
import type { Sandbox } from './sandbox.ts';

/** Milliseconds that a decoder may take for a batch, and to begin. */
const LIMIT_MS = 20_000;
/** Lines of the decoder that belong to no packet, before it is ended. */
const MAX_STRAY_LINES = 10_000;

/**
 * Decodes batches, one after the other. A packet without content marks the end of each batch, and
 * passes each display filter, so it is known which packets do not.
 */
export class RowDecoder {
  readonly #decoder: DecoderProcess;
  readonly #writer: PcapngWriter;
  /**
   * Begins each line that the decoder writes, because packets could have line ends in them. They
   * cannot know it.
   */
  readonly #secret = randomBytes(8).toString('hex');
  readonly #closed: () => void;
  #frames = 0;
  #isOpen = true;

  private constructor(decoder: DecoderProcess, closed: () => void) {
    this.#decoder = decoder;
    this.#closed = closed;
    this.#writer = new PcapngWriter({ interfaceDescription: this.#secret });
    decoder.write(this.#writer.start(''));
  }

  /**
   * @param filter a display filter that was checked. Empty: every packet has a row
   * @param closed called once, when it is closed
   * @throws DecoderAbsent, DecoderEnded
   */
  static async start(sandbox: Sandbox, filter: string, closed: () => void): Promise<RowDecoder> {
    const passed = filter === '' ? '' : `(${filter}) or frame.interface_id == 0`;
    return new RowDecoder(await DecoderProcess.start(sandbox, `rows\n${passed}\n`, LIMIT_MS), closed);
  }

  /**
   * Columns of packets, by number. Those that the display filter hides are not among them.
   * @throws DecoderEnded
   */
  async decode(packets: readonly KeptPacket[]): Promise<Map<number, PacketColumns>> {
    if (packets.length === 0) {
      return new Map();
    }
    const first = this.#frames + 1;
    // The mark goes first too: the interface with number 0 is its own.
    const marked = this.#frames === 0 ? [MARK, ...packets, MARK] : [...packets, MARK];
    this.#decoder.write(Buffer.concat(marked.map((packet) => this.#writer.packet(packet))));
    this.#frames += marked.length;
    const columns = new Map<number, PacketColumns>();
    for (let strays = 0; strays < MAX_STRAY_LINES; ) {
      const [secret, frame, , source = '', destination = '', protocol = '', ...info] = (
        await this.#decoder.line(LIMIT_MS)
      ).split('\t');
      const number = Number(frame);
      if (secret !== this.#secret) {
        strays++;
      } else if (number === this.#frames) {
        return columns;
      } else {
        const packet = marked[number - first];
        if (packet !== undefined && packet !== MARK) {
          columns.set(packet.number, {
            source: shownText(source),
            destination: shownText(destination),
            protocol: shownText(protocol),
            info: shownText(info.join(' ')),
          });
        }
      }
    }
    throw new DecoderEnded('the decoder says what nobody asked for');
  }

  /** Ends it. Idempotent. */
  close(): void {
    this.#decoder.close();
    if (this.#isOpen) {
      this.#isOpen = false;
      this.#closed();
    }
  }
}

/** Marks the end of a batch. */
const MARK: KeptPacket = {
  number: 0,
  at: 0,
  node: '',
  interface: '',
  interfaceName: 'mark',
  device: '',
  place: 'sent',
  direction: 'inbound',
  length: 1,
  captured: 1,
  packets: 1,
  gsoSize: 0,
  copy: 'noCapture',
  original: { state: 'unknown' },
  lostBefore: 0,
  bytes: Buffer.alloc(1),
};
