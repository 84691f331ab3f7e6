/**
 * Sends copies of the lines of the audit log by syslog. Nobody waits for it: a bounded queue is
 * between, and what has no room in it is counted.
 */
import { hostname } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { connectSyslog, type SyslogConnection } from './connection.ts';
import { lossMessage, syslogMessage } from './message.ts';
import { type SyslogTarget, syslogText } from './target.ts';

/** Messages and bytes that wait at most. */
const MOST_WAITING = 10_000;
const MOST_BYTES = 8 << 20;
/** Milliseconds between two tries to reach the receiver: the first, and the longest. */
const RETRY_MS = 500;
const MOST_RETRY_MS = 30_000;
/** Milliseconds that waiting messages have when the controller is closed. */
const CLOSE_MS = 2000;

export interface SyslogOptions {
  target: SyslogTarget;
  /** File with certificates that may have signed that of the receiver. */
  authority?: string;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** Told when the receiver cannot be reached, and when it can again. */
  tell: (message: string) => void;
  /** Messages that wait at most. Default `MOST_WAITING` */
  mostWaiting?: number;
}

export class SyslogExport {
  readonly #options: SyslogOptions;
  readonly #sender = { host: hostname().slice(0, 255) || '-', pid: process.pid };
  readonly #stop = new AbortController();
  #waiting: string[] = [];
  #bytes = 0;
  #running: Promise<void> | undefined;
  #connection: SyslogConnection | undefined;
  #isDown = false;
  /** Lost since the last message that said so. */
  #lostNow = 0;
  /** Messages that were handed over, and that had no room. */
  readonly counts = { sent: 0, lost: 0 };

  constructor(options: SyslogOptions) {
    this.#options = options;
  }

  /** Takes lines. Never waits and never throws. */
  add(lines: readonly string[]): void {
    for (const line of lines) {
      if (this.#waiting.length >= (this.#options.mostWaiting ?? MOST_WAITING) || this.#bytes > MOST_BYTES) {
        this.counts.lost++;
        this.#lostNow++;
      } else {
        this.#waiting.push(line);
        this.#bytes += line.length;
      }
    }
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  /** Sends what waits, for at most two seconds. */
  async close(): Promise<void> {
    const running = this.#running;
    await Promise.race([running, delay(CLOSE_MS, undefined, { ref: false })]);
    this.#stop.abort();
    await this.#running;
    this.#connection?.close();
  }

  async #run(): Promise<void> {
    let pause = RETRY_MS;
    while (this.#waiting.length > 0 && !this.#stop.signal.aborted) {
      try {
        this.#connection ??= await connectSyslog(this.#options.target, this.#options.authority);
        await this.#sendFirst(this.#connection);
        pause = RETRY_MS;
      } catch (error) {
        this.#connection?.close();
        this.#connection = undefined;
        this.#tell(true, `does not take them (${(error as Error).message}); it is tried again`);
        await delay(pause, undefined, { signal: this.#stop.signal, ref: false }).catch(() => undefined);
        pause = Math.min(2 * pause, MOST_RETRY_MS);
      }
    }
  }

  async #sendFirst(connection: SyslogConnection): Promise<void> {
    const lost = this.#lostNow;
    if (lost > 0) {
      await connection.send(lossMessage(lost, new Date(this.#options.clock()).toISOString(), this.#sender));
      this.#lostNow -= lost;
    }
    const line = this.#waiting[0]!;
    await connection.send(syslogMessage(line, this.#sender));
    this.#waiting.shift();
    this.#bytes -= line.length;
    this.counts.sent++;
    this.#tell(false, `takes them again; ${this.counts.lost} were lost since the start`);
  }

  #tell(isDown: boolean, what: string): void {
    if (isDown !== this.#isDown) {
      this.#isDown = isDown;
      this.#options.tell(`copies of the audit log: ${syslogText(this.#options.target)} ${what}`);
    }
  }
}
