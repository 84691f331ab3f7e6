/** All decoders of a controller: how many run, and what is said where none can. */
import type { DecoderState, PacketTreeNode } from '@mirrorplane/contract';
import type { KeptPacket } from '../looks/kept-packet.ts';
import { DecoderAbsent, DecoderEnded } from './decoder-errors.ts';
import { RowDecoder } from './row-decoder.ts';
import { findSandbox, type Sandbox } from './sandbox.ts';
import { fieldsOf, filterProblem } from './sharkd.ts';

/** Decoders that run at a time. */
export const MAX_DECODERS = 8;
/** Display filters whose check is remembered. */
const CHECKED_MOST = 200;

export const DECODER_OK: DecoderState = { state: 'ok' };

/** Either what a decoder has given, or why there is none. */
export type Decoded<T> = { value: T } | { absent: DecoderState };

/** Starts decoders in a sandbox, a bounded number of them. It is a part of the controller. */
export class Decoders {
  readonly #sandbox: Sandbox;
  /** What has been found of display filters: why one is none, or undefined. */
  readonly #checked = new Map<string, string | undefined>();
  #running = 0;

  constructor(sandbox: Sandbox = findSandbox()) {
    this.#sandbox = sandbox;
  }

  /** A decoder for rows. Its `close` makes room for another one. */
  async rows(filter: string): Promise<Decoded<RowDecoder>> {
    if (this.#running >= MAX_DECODERS) {
      return BUSY;
    }
    this.#running++;
    try {
      return { value: await RowDecoder.start(this.#sandbox, filter, () => this.#running--) };
    } catch (error) {
      this.#running--;
      return { absent: absenceOf(error) };
    }
  }

  /** The fields of the last of these packets, which are all of one place. */
  fields(packets: readonly KeptPacket[]): Promise<Decoded<PacketTreeNode[]>> {
    return this.#once(() => fieldsOf(this.#sandbox, packets));
  }

  /** Why a display filter is none; undefined: it is one. */
  async filterProblem(filter: string): Promise<Decoded<string | undefined>> {
    if (this.#checked.has(filter)) {
      return { value: this.#checked.get(filter) };
    }
    const found = await this.#once(() => filterProblem(this.#sandbox, filter));
    if ('value' in found) {
      this.#remember(filter, found.value);
    }
    return found;
  }

  async #once<T>(work: () => Promise<T>): Promise<Decoded<T>> {
    if (this.#running >= MAX_DECODERS) {
      return BUSY;
    }
    this.#running++;
    try {
      return { value: await work() };
    } catch (error) {
      return { absent: absenceOf(error) };
    } finally {
      this.#running--;
    }
  }

  #remember(filter: string, problem: string | undefined): void {
    const [oldest] = this.#checked.keys();
    if (this.#checked.size >= CHECKED_MOST && oldest !== undefined) {
      this.#checked.delete(oldest);
    }
    this.#checked.set(filter, problem);
  }
}

const BUSY = {
  absent: {
    state: 'absent',
    why: 'busy',
    message: `${MAX_DECODERS} decoders run already: close another list of packets, or try again later`,
  },
} as const;

/** @throws what is no fault of a decoder */
function absenceOf(error: unknown): DecoderState {
  if (error instanceof DecoderAbsent) {
    return { state: 'absent', why: 'notInstalled', message: error.message };
  }
  if (error instanceof DecoderEnded) {
    return {
      state: 'absent',
      why: 'failing',
      message: `${error.message}: download the packets, and open them in Wireshark`,
    };
  }
  throw error;
}
