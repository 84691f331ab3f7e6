/**
 * The time that ends of tokens, sessions and policies are judged by. It is that of the host, but never
 * goes back, also over a restart: what has ended stays ended.
 */
import { readFileSync } from 'node:fs';
import { replaceFile } from '@mirrorplane/base';
import type { Logger } from '@mirrorplane/daemon';

/** Milliseconds between two writes. */
const SAVE_MS = 60_000;
/** Milliseconds between two looks at the clock. */
const LOOK_MS = 5000;
/** By so many milliseconds the time of the host may be behind at a start without a warning. */
const TOLERATED_MS = 5 * 60_000;

export interface LatestTimeOptions {
  /** Keeps the latest time, ISO 8601. */
  file: string;
  /** Time of the host, milliseconds since 1970. */
  clock: () => number;
  /** Milliseconds of a clock that does not jump. */
  steady: () => number;
  log: Logger;
  /** Keeps it for other controllers. */
  copy?: ((content: string) => Promise<void>) | undefined;
}

export class LatestTime {
  readonly #options: LatestTimeOptions;
  readonly #timer: NodeJS.Timeout;
  /** The latest time, and the steady time when it was so. */
  #latest: { at: number; steady: number };
  #saved: number;
  /** The write that is under way. */
  #saving: Promise<void> | undefined;

  /** Reads what an earlier run has seen. */
  constructor(options: LatestTimeOptions) {
    const { file, clock, steady, log } = options;
    this.#options = options;
    this.#saved = readTime(options);
    const now = clock();
    this.#latest = { at: Math.max(now, this.#saved), steady: steady() };
    if (this.#saved - now > TOLERATED_MS) {
      const [host, seen] = [new Date(now).toISOString(), new Date(this.#saved).toISOString()];
      log.warn(
        { host, seen, file },
        'the time of the host is before the latest that was seen: tokens, sessions and policies end by the latest. If that was wrong, stop all controllers, and say "mirrorplane store reset-time", which removes it here and in etcd',
      );
    }
    this.#timer = setInterval(() => this.#look(), LOOK_MS).unref();
  }

  /** Milliseconds since 1970, by the latest of the times that were seen. */
  readonly now = (): number => {
    const { clock, steady } = this.#options;
    const host = clock();
    const at = steady();
    const passed = this.#latest.at + at - this.#latest.steady;
    if (host >= passed) {
      this.#latest = { at: host, steady: at };
    }
    return Math.max(host, passed);
  };

  /** Keeps the time for the next start. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#saving;
    await this.#save();
  }

  #look(): void {
    // One at a time: etcd may take seconds, and all write the same file.
    if (this.#saving === undefined && this.now() - this.#saved >= SAVE_MS) {
      this.#saving = this.#save().finally(() => {
        this.#saving = undefined;
      });
    }
  }

  async #save(): Promise<void> {
    const now = this.now();
    if (now <= this.#saved) {
      return;
    }
    try {
      const content = `${new Date(now).toISOString()}\n`;
      await this.#options.copy?.(content);
      await replaceFile(this.#options.file, content);
      this.#saved = now;
    } catch (error) {
      this.#options.log.warn({ err: error }, 'latest time not saved');
    }
  }
}

/** 0: none was kept. */
function readTime({ file, log }: LatestTimeOptions): number {
  try {
    const at = Date.parse(readFileSync(file, 'utf8').trim());
    if (!Number.isNaN(at)) {
      return at;
    }
    log.warn({ file }, 'latest time not read: it is no time');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      log.warn({ err: error }, 'latest time not read');
    }
  }
  return 0;
}
