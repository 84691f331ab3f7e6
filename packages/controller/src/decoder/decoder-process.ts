/** Talks to a decoder in lines, with bounds on time and size. */
import { DecoderAbsent, DecoderEnded } from './decoder-errors.ts';
import type { Running, Sandbox } from './sandbox.ts';

/** Characters that may wait to be read, and so the longest line too. */
const MAX_WAITING = 16 << 20;

/** One decoder with one job. It is ended by `close`, and whenever it breaks a bound. */
export class DecoderProcess {
  readonly #running: Running;
  readonly #lines: string[] = [];
  #partial = '';
  #waiting = 0;
  #ended: Error | undefined;
  #wake: (() => void) | undefined;

  private constructor(running: Running) {
    this.#running = running;
    running.stdout.setEncoding('utf8');
    running.stdout.on('data', (text: string) => this.#take(text));
    for (const event of ['end', 'close'] as const) {
      running.stdout.on(event, () => this.#end(new DecoderEnded('the decoder has ended')));
    }
    running.stdout.on('error', (error) => this.#end(error));
    // What could not be written is missed when its answer is.
    running.stdin.on('error', () => undefined);
  }

  /**
   * Starts a decoder and gives it a job of `decode.sh`.
   * @param limitMs until it is ready
   * @throws DecoderAbsent, DecoderEnded
   */
  static async start(sandbox: Sandbox, job: string | Uint8Array, limitMs: number): Promise<DecoderProcess> {
    const decoder = new DecoderProcess(sandbox());
    try {
      decoder.write(job);
      await decoder.#greeted(limitMs);
      return decoder;
    } catch (error) {
      decoder.close();
      throw error;
    }
  }

  /** Sends bytes. They wait in memory until the decoder reads them. */
  write(bytes: string | Uint8Array): void {
    if (this.#ended === undefined) {
      this.#running.stdin.write(bytes);
    }
  }

  /**
   * The next line, without its end.
   * @param limitMs milliseconds to wait at most; then the decoder is ended
   * @throws DecoderEnded
   */
  async line(limitMs: number): Promise<string> {
    if (this.#lines.length === 0 && this.#ended === undefined) {
      const timer = setTimeout(() => {
        this.#end(new DecoderEnded(`the decoder did not answer within ${limitMs / 1000} s`));
      }, limitMs);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      clearTimeout(timer);
    }
    const line = this.#lines.shift();
    if (line === undefined) {
      throw this.#ended ?? new DecoderEnded('the decoder is closed');
    }
    this.#waiting -= line.length;
    return line;
  }

  /** Ends it. Idempotent. */
  close(): void {
    this.#end(new DecoderEnded('the decoder is closed'));
  }

  async #greeted(limitMs: number): Promise<void> {
    const greeting = await this.line(limitMs).catch((error: NodeJS.ErrnoException) => {
      throw new DecoderAbsent(error.code === 'ENOENT' ? 'bubblewrap' : 'sandbox');
    });
    if (greeting !== 'ready') {
      throw new DecoderAbsent(greeting === 'absent sharkd' ? 'sharkd' : 'tshark');
    }
  }

  #take(text: string): void {
    const parts = (this.#partial + text).split('\n');
    this.#partial = parts.pop()!;
    this.#lines.push(...parts);
    this.#waiting += parts.reduce((sum, { length }) => sum + length, 0);
    if (this.#waiting + this.#partial.length > MAX_WAITING) {
      this.#end(new DecoderEnded('the decoder says too much'));
    } else if (parts.length > 0) {
      this.#wake?.();
    }
  }

  #end(reason: Error): void {
    if (this.#ended === undefined) {
      this.#ended = reason;
      this.#running.stdout.destroy();
      this.#running.kill();
    }
    this.#wake?.();
  }
}
