/**
 * rtnetlink for callers that wait. The kernel carries out a request while it is being sent, so waiting
 * for the answer by the event loop would only add turns: it took more CPU time than the requests.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { Serial } from '@mirrorplane/base';
import { RtSync } from './rt-sync.ts';
import { NetlinkError, type RtMessage } from './rtnetlink.ts';

/** Milliseconds of requests after which others have a turn: thousands may wait for each other. */
const TURN_MS = 2;

/**
 * Sends requests to the kernel one after the other. After a failure, the next request opens a new
 * socket.
 */
export class RtClient {
  readonly #socket = new RtSync();
  readonly #queue = new Serial();
  /** Milliseconds of requests since others had a turn. */
  #worked = 0;

  /** Sends one message and returns the answers. @throws NetlinkError if the kernel refuses */
  request(type: number, payload: Buffer, flags = 0): Promise<RtMessage[]> {
    return this.#ask(() => this.#socket.requests([{ type, payload, flags }])[0]!);
  }

  /** All objects of a kind. A dump is repeated after an interruption by a change. */
  dump(type: number, payload: Buffer): Promise<RtMessage[]> {
    return this.#ask(() => this.#socket.tryDump(type, payload));
  }

  /**
   * Opens the socket now, in the current network namespace of this thread. Otherwise the first
   * request opens it.
   */
  open(): void {
    this.#socket.open();
  }

  close(): void {
    this.#socket.close();
  }

  #ask(ask: () => RtMessage[] | NetlinkError): Promise<RtMessage[]> {
    return this.#queue.run(async () => {
      if (this.#worked >= TURN_MS) {
        await turn();
        this.#worked = 0;
      }
      const began = performance.now();
      const answer = answerOf(ask);
      this.#worked += performance.now() - began;
      if (answer instanceof NetlinkError) {
        throw answer;
      }
      return answer;
    });
  }
}

/** @throws Error if the socket fails: that is no answer of the kernel */
function answerOf(ask: () => RtMessage[] | NetlinkError): RtMessage[] | NetlinkError {
  try {
    return ask();
  } catch (error) {
    throw new Error(`rtnetlink: ${(error as Error).message}`, { cause: error });
  }
}
