/**
 * What providers have in common that read a listing whenever it may have changed: a new device, a hint, the clock. The
 * listings have no events that say all, or none that can be relied on; a device that comes is the best sign.
 */
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import type { NodeProblem } from '@mirrorplane/contract';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { type Claim, type DeviceIndex, deviceIndex, type IdentityProvider, type Knowledge, tie } from './provider.ts';

/** What one reading gave. */
export interface Listing {
  claims: readonly Claim[];
  problems: readonly NodeProblem[];
}

/** How a provider reads. */
export interface PolledSource {
  /** As in `DeviceIdentity.provider`. */
  name: string;
  /**
   * Reads what there is. Undefined: the system is not on this node.
   * @param links the devices of the node when the reading began
   * @throws Error where it cannot be read now
   */
  read(links: readonly Link[]): Promise<Listing | undefined>;
  /** Whether a guest of this system may be behind such a device. */
  concerns(link: Link): boolean;
  /**
   * Calls `hint` when something may have changed; gives what ends that. Called after each reading that gave something,
   * so that it can follow what came since.
   */
  follow?(hint: () => void): void;
  /** Ends what `follow` has begun. */
  unfollow?(): void;
  log: Logger;
  /** Milliseconds between readings without a reason. Default 10 s. */
  interval?: number;
}

const INTERVAL_MS = 10_000;
/** Milliseconds after a device came at which it is looked for: a system may list it some time after it made it. */
const AFTER_DEVICE_MS = [0, 30, 150, 600, 2500];
/** Milliseconds after a hint at which is read: hints come in bursts, and what they are about may not be whole yet. */
const AFTER_HINT_MS = [20, 500];

/** The real thing. It never fails: while the system cannot be read, what it said last holds. */
export class PolledProvider extends EventEmitter<{ change: [] }> implements IdentityProvider {
  readonly name: string;
  readonly #source: PolledSource;
  readonly #timers = new Set<NodeJS.Timeout>();
  #links: readonly Link[] = [];
  #known: DeviceIndex = new Map();
  #tied: ReadonlyMap<number, Claim> = new Map();
  #knowledge: Knowledge | undefined;
  readonly #reading = new Coalesced(() => this.#readOnce());
  #hinted = false;
  #complaint = '';
  #opened = false;
  #closed = false;

  constructor(source: PolledSource) {
    super();
    this.name = source.name;
    this.#source = source;
  }

  knowledge(): Knowledge | undefined {
    return this.#knowledge;
  }

  look(links: readonly Link[]): void {
    const before = this.#known;
    this.#links = links;
    this.#known = deviceIndex(links);
    const fresh = links.some((link) => before.get(link.name) !== link.ifindex && this.#source.concerns(link));
    if (fresh && this.#opened) {
      for (const after of AFTER_DEVICE_MS) {
        this.#later(after, () => this.#read());
      }
    }
  }

  open(): void {
    this.#opened = true;
    this.#read();
    this.#tick();
  }

  close(): void {
    this.#closed = true;
    void this.#reading.close();
    for (const timer of this.#timers) {
      clearTimeout(timer);
    }
    this.#source.unfollow?.();
    this.removeAllListeners();
  }

  #tick(): void {
    this.#later(this.#source.interval ?? INTERVAL_MS, () => {
      this.#read();
      this.#tick();
    });
  }

  #later(after: number, what: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      if (!this.#closed) {
        what();
      }
    }, after);
    timer.unref();
    this.#timers.add(timer);
  }

  #hint(): void {
    if (this.#hinted || this.#closed) {
      return;
    }
    this.#hinted = true;
    for (const after of AFTER_HINT_MS) {
      this.#later(after, () => {
        this.#hinted = false;
        this.#read();
      });
    }
  }

  #read(): void {
    void this.#reading.request();
  }

  async #readOnce(): Promise<void> {
    const there = this.#known;
    try {
      const listing = await this.#source.read(this.#links);
      if (this.#closed || listing === undefined) {
        return;
      }
      if (this.#complaint !== '') {
        this.#source.log.info(`${this.name} is read again`);
      }
      this.#complaint = '';
      this.#source.follow?.(() => this.#hint());
      this.#tied = tie(listing.claims, there, this.#tied);
      this.#publish({ claims: this.#tied, problems: listing.problems });
    } catch (error) {
      if (this.#closed) {
        return;
      }
      if (this.#complaint === '') {
        this.#source.log.warn({ err: error }, `${this.name} cannot be read; its last known state holds`);
      }
      this.#complaint = reason(error);
    }
  }

  #publish(knowledge: Knowledge): void {
    if (isDeepStrictEqual(knowledge, this.#knowledge)) {
      return;
    }
    this.#knowledge = knowledge;
    this.emit('change');
  }
}
