/** All decoders of a controller: how many run, and what is said where none can. */
import type { DecoderState, PacketTreeNode } from '@mirrorplane/contract';
import { HeldPlaces } from '../auth/fair-share.ts';
import type { KeptPacket } from '../looks/kept-packet.ts';
import { DecoderAbsent, DecoderEnded } from './decoder-errors.ts';
import { RowDecoder } from './row-decoder.ts';
import { findSandbox, type Sandbox } from './sandbox.ts';
import { fieldsOf, filterProblem } from './sharkd.ts';

/** Decoders that run at a time, and of one user. */
export const MAX_DECODERS = 8;
export const MAX_DECODERS_EACH = 4;
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
  readonly #places = new HeldPlaces({ each: MAX_DECODERS_EACH, total: MAX_DECODERS });

  constructor(sandbox: Sandbox = findSandbox()) {
    this.#sandbox = sandbox;
  }

  /**
   * A decoder for rows. Its `close` makes room for another one.
   * @param holder name of the user who reads
   */
  async rows(filter: string, holder: string): Promise<Decoded<RowDecoder>> {
    const full = this.#places.whyNot(holder);
    if (full) {
      return BUSY[full];
    }
    const giveBack = this.#places.take(holder);
    try {
      return { value: await RowDecoder.start(this.#sandbox, filter, giveBack) };
    } catch (error) {
      giveBack();
      return { absent: absenceOf(error) };
    }
  }

  /** The fields of the last of these packets, which are all of one place. */
  fields(packets: readonly KeptPacket[], holder: string): Promise<Decoded<PacketTreeNode[]>> {
    return this.#once(holder, () => fieldsOf(this.#sandbox, packets));
  }

  /** Why a display filter is none; undefined: it is one. */
  async filterProblem(filter: string, holder: string): Promise<Decoded<string | undefined>> {
    if (this.#checked.has(filter)) {
      return { value: this.#checked.get(filter) };
    }
    const found = await this.#once(holder, () => filterProblem(this.#sandbox, filter));
    if ('value' in found) {
      this.#remember(filter, found.value);
    }
    return found;
  }

  async #once<T>(holder: string, work: () => Promise<T>): Promise<Decoded<T>> {
    const full = this.#places.whyNot(holder);
    if (full) {
      return BUSY[full];
    }
    const giveBack = this.#places.take(holder);
    try {
      return { value: await work() };
    } catch (error) {
      return { absent: absenceOf(error) };
    } finally {
      giveBack();
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
  each: busy(`${MAX_DECODERS_EACH} decoders of yours run already: close another list of packets of yours`),
  total: busy(`${MAX_DECODERS} decoders run already: close another list of packets, or try again later`),
};

function busy(message: string): { absent: DecoderState } {
  return { absent: { state: 'absent', why: 'busy', message } };
}

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
