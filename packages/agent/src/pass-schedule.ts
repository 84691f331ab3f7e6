/** Decides when the agent makes a pass, and which passes look for interference. */
import { Coalesced } from '@mirrorplane/base';
import { isHelper } from './netlink/helper-pair.ts';
import type { Link } from './netlink/link.ts';

/**
 * Default milliseconds between checks whether anything was changed by others. Two of them ask all hooks,
 * and what others detach is to be in its place again within a second.
 */
const CHECK_INTERVAL_MS = 400;
/** Milliseconds after which a pass looks for interference in any case. */
const LOOK_INTERVAL_MS = 10_000;
/**
 * Milliseconds after the first report of a device in which it probably gets the things that its
 * capture needs.
 */
const ARRIVAL_MS = 100;
/** Milliseconds that a pass for a device of nobody waits: what follows says whose it is. */
const STRANGER_MS = 20;
/**
 * Milliseconds before a failed change of the data path is repeated. Doubles from the first to the
 * second value.
 */
const RETRY_MS: [number, number] = [200, 10_000];

/** Runs one pass at a time. All requests during a pass are served by one more pass. */
export class PassSchedule {
  readonly #passes: Coalesced;
  /** The next pass also looks for interference. */
  #lookDue = true;
  /** When a pass last looked, on the monotonic clock. */
  #lookedAt = Number.NEGATIVE_INFINITY;
  /** The last look was postponed. */
  #putOff = false;
  /** When the newest device was first reported, on the monotonic clock. */
  #arrivedAt = Number.NEGATIVE_INFINITY;
  /** The helper devices in the last pass. */
  #helpers = '';
  /** Start of the current pass, on the monotonic clock. */
  #began: number | undefined;
  #retryAfter = RETRY_MS[0];
  #retry: NodeJS.Timeout | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  /** @param pass must handle its own errors */
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

  /**
   * Starts the regular checks. A pass that looks follows where one finds something, and now and then
   * in any case.
   * @param isQuiet whether nothing has changed since the last pass, as far as is seen cheaply
   * @param intervalMs milliseconds between checks
   */
  start(isQuiet: () => boolean, intervalMs = CHECK_INTERVAL_MS): void {
    this.#timer = setInterval(() => this.#check(isQuiet), intervalMs);
  }

  /** Requests a pass. */
  request(): void {
    void this.#passes.hurry();
  }

  /** Requests a pass that can wait a little for the next reason for one. */
  requestSoon(): void {
    void this.#passes.requestWithin(STRANGER_MS);
  }

  /**
   * Requests a later pass that looks for interference. The delay grows with each call until
   * `succeeded`.
   */
  retryLater(): void {
    if (this.#closed) {
      return;
    }
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#requestLook(), this.#retryAfter);
    this.#retryAfter = Math.min(this.#retryAfter * 2, RETRY_MS[1]);
  }

  /** A pass has succeeded completely. */
  succeeded(): void {
    this.#retryAfter = RETRY_MS[0];
  }

  /**
   * Whether the current pass looks for interference. A pass for a new device does not, nor does a
   * pass while a device is being made. A look waits for the lock of the process that creates the
   * device, and captures nothing meanwhile.
   */
  takeLook(links: readonly Link[]): boolean {
    const helpers = JSON.stringify(links.filter(isHelper));
    const now = performance.now();
    this.#arrivedAt = Math.max(...links.map(({ seenAt }) => seenAt ?? Number.NEGATIVE_INFINITY));
    // The look is postponed to the next turn of the timer, but only once, because devices may come
    // all the time.
    if (this.#lookDue) {
      this.#putOff = this.#isArriving(now) && !this.#putOff;
    }
    const look = (this.#lookDue && !this.#putOff) || helpers !== this.#helpers;
    this.#lookDue = false;
    this.#helpers = helpers;
    this.#lookedAt = look ? now : this.#lookedAt;
    return look;
  }

  /** Milliseconds since the current pass began. 0 without a pass. */
  passingFor(): number {
    return this.#began === undefined ? 0 : performance.now() - this.#began;
  }

  /** Resolves when no pass is running or due. */
  settled(): Promise<void> {
    return this.#passes.settled();
  }

  /** No further pass begins. Resolves when the current pass has ended. */
  close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#timer);
    return this.#passes.close();
  }

  /** The check waits for the lock of the process that creates a device, as a look does. */
  #check(isQuiet: () => boolean): void {
    const now = performance.now();
    if (this.#passes.busy || this.#putOff || now - this.#lookedAt >= LOOK_INTERVAL_MS) {
      this.#requestLook();
    } else if (this.#isArriving(now)) {
      this.#putOff = true;
    } else if (!isQuiet()) {
      this.#requestLook();
    }
  }

  #isArriving(now: number): boolean {
    return now - this.#arrivedAt < ARRIVAL_MS;
  }

  #requestLook(): void {
    this.#lookDue = true;
    this.request();
  }
}
