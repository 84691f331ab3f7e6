/** Columns of packets for one reader, whether its decoder lives or not. */
import type { DecoderState, PacketColumns } from '@mirrorplane/contract';
import type { KeptPacket } from '../looks/kept-packet.ts';
import { DECODER_OK, type Decoders } from './decoders.ts';
import { plainColumns } from './plain-columns.ts';
import type { RowDecoder } from './row-decoder.ts';

/** Batches in a row that end a decoder, before it is left alone for a while. */
const MAX_FAILURES = 3;
/** Milliseconds until a decoder that could not be started is tried again. */
const RETRY_MS = 15_000;

/** Starts a decoder, and another one where it has ended. Meanwhile columns are simple. */
export class RowSource {
  readonly #decoders: Decoders;
  readonly #filter: string;
  readonly #holder: string;
  #decoder: RowDecoder | undefined;
  #state: DecoderState = DECODER_OK;
  #retryAt = 0;
  #failures = 0;
  #isClosed = false;

  /** @param holder name of the user who reads */
  constructor(decoders: Decoders, filter: string, holder: string) {
    this.#holder = holder;
    this.#decoders = decoders;
    this.#filter = filter;
  }

  /** Of the last batch. */
  get state(): DecoderState {
    return this.#state;
  }

  /**
   * Columns of packets, by number. A packet that the display filter hides has none. While nothing
   * can be filtered, all packets have some. Starts the decoder, also for no packets.
   */
  async columnsOf(packets: readonly KeptPacket[]): Promise<ReadonlyMap<number, PacketColumns>> {
    const decoder = await this.#open();
    if (decoder === undefined) {
      return simpleColumns(packets);
    }
    try {
      const columns = await decoder.decode(packets);
      if (packets.length > 0) {
        this.#failures = 0;
        this.#state = DECODER_OK;
      }
      return columns;
    } catch (error) {
      this.#failed(error as Error);
      return simpleColumns(packets);
    }
  }

  /** Ends the decoder. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#decoder?.close();
    this.#decoder = undefined;
  }

  async #open(): Promise<RowDecoder | undefined> {
    if (this.#decoder !== undefined || performance.now() < this.#retryAt) {
      return this.#decoder;
    }
    const opened = await this.#decoders.rows(this.#filter, this.#holder);
    if ('absent' in opened) {
      this.#leaveAlone(opened.absent);
    } else if (this.#isClosed) {
      opened.value.close();
    } else {
      this.#decoder = opened.value;
      this.#state = this.#state.state === 'restarted' ? this.#state : DECODER_OK;
    }
    return this.#decoder;
  }

  #failed({ message }: Error): void {
    this.#decoder?.close();
    this.#decoder = undefined;
    if (++this.#failures >= MAX_FAILURES) {
      this.#failures = 0;
      const why = `${message}, ${MAX_FAILURES} times in a row: download the packets, and open them in Wireshark`;
      this.#leaveAlone({ state: 'absent', why: 'failing', message: why });
    } else {
      this.#state = { state: 'restarted', message };
    }
  }

  #leaveAlone(state: DecoderState): void {
    this.#state = state;
    this.#retryAt = performance.now() + RETRY_MS;
  }
}

function simpleColumns(packets: readonly KeptPacket[]): Map<number, PacketColumns> {
  return new Map(packets.map(({ number, bytes }) => [number, plainColumns(bytes)]));
}
