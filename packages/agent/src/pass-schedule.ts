/** When the agent makes a pass, and which passes look for what others did. */
import { Coalesced } from '@mirrorplane/base';
import { isHelper } from './netlink/helper-pair.ts';
import type { Link } from './netlink/link.ts';

/** Milliseconds between two passes that nothing asked for: they repair what others broke. */
const REPAIR_INTERVAL_MS = 500;
/** Milliseconds after the first report of a device in which it is likely to get what its capture needs. */
const ARRIVAL_MS = 100;
/** Milliseconds before a data path that failed is tried again: doubles from the first to the second. */
const RETRY_MS: [number, number] = [200, 10_000];

/** One pass at a time. However many ask while one is under way, one more follows. */
export class PassSchedule {
  readonly #passes: Coalesced;
  /** The next pass looks for what others did, too. */
  #lookDue = true;
  /** The last look was put off. */
  #putOff = false;
  /** The helper devices, as the last pass saw them. */
  #helpers = '';
  /** When the pass under way began, on the monotonic clock. */
  #began: number | undefined;
  #retryAfter = RETRY_MS[0];
  #retry: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param pass handles its own errors */
  constructor(pass: () => Promise<void>) {
    this.#passes = new Coalesced(async () => {
      this.#began = performance.now();
      try {
        await pass();
      } finally {
        this.#began = undefined;
      }
    });
  }

  /** Begins to ask for passes that repair. */
  start(): void {
    this.#timer = setInterval(() => this.#requestLook(), REPAIR_INTERVAL_MS);
  }

  /** Asks for a pass. */
  request(): void {
    void this.#passes.request();
  }

  /** Asks for a pass that looks, later, and later still each time until `succeeded`. */
  retryLater(): void {
    if (this.#closed) {
      return;
    }
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#requestLook(), this.#retryAfter);
    this.#retryAfter = Math.min(this.#retryAfter * 2, RETRY_MS[1]);
  }

  /** All of a pass was carried out. */
  succeeded(): void {
    this.#retryAfter = RETRY_MS[0];
  }

  /**
   * Whether the pass under way looks for what others did. Not the one that a device has asked for, nor one while a device
   * is being made: looking waits for the lock of the process that creates the device, and nothing is captured meanwhile.
   */
  takeLook(links: readonly Link[]): boolean {
    const helpers = JSON.stringify(links.filter(isHelper));
    const now = performance.now();
    const arriving = links.some(({ seenAt }) => seenAt !== undefined && now - seenAt < ARRIVAL_MS);
    // Put off to the next turn of the timer, and not twice: devices may come all the time.
    if (this.#lookDue) {
      this.#putOff = arriving && !this.#putOff;
    }
    const look = (this.#lookDue && !this.#putOff) || helpers !== this.#helpers;
    this.#lookDue = false;
    this.#helpers = helpers;
    return look;
  }

  /** Milliseconds that the pass under way has taken until now; 0 where none is. */
  passingFor(): number {
    return this.#began === undefined ? 0 : performance.now() - this.#began;
  }

  /** Resolves when no pass is under way or due. */
  settled(): Promise<void> {
    return this.#passes.settled();
  }

  /** No further pass begins. Resolves when the one under way has ended. */
  close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#timer);
    return this.#passes.close();
  }

  #requestLook(): void {
    this.#lookDue = true;
    this.request();
  }
}
