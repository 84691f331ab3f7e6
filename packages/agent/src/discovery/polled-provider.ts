/**
 * The common part of providers that read a listing. They read after a new device, after a hint, and
 * at an interval. Their systems have no complete and reliable events. A new device is the best sign
 * of a change.
 */
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import type { NodeProblem } from '@mirrorplane/contract';
import { type Logger, reason } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import { type Claim, type DeviceIndex, deviceIndex, type IdentityProvider, type Knowledge, tie } from './provider.ts';

/** The result of one reading. */
export interface Listing {
  claims: readonly Claim[];
  problems: readonly NodeProblem[];
}

/** The source of a provider. */
export interface PolledSource {
  /** As in `DeviceIdentity.provider`. */
  name: string;
  /**
   * Reads the listing. Undefined: the system is not on this node.
   * @param links the devices of the node when the reading began
   * @throws Error if it cannot be read now
   */
  read(links: readonly Link[]): Promise<Listing | undefined>;
  /** Whether a guest of this system may be behind such a device. */
  concerns(link: Link): boolean;
  /**
   * Begins to call `hint` when something may have changed. Called after each successful reading, so
   * that it can follow new parts.
   */
  follow?(hint: () => void): void;
  /** Ends the effect of `follow`. */
  unfollow?(): void;
  log: Logger;
  /** Milliseconds between readings without another trigger. Default 10 s. */
  interval?: number;
}

const INTERVAL_MS = 10_000;
/**
 * Milliseconds after a new device at which the listing is read. A system may list a device some
 * time after its creation.
 */
const AFTER_DEVICE_MS = [0, 30, 150, 600, 2500];
/**
 * Milliseconds after a hint at which the listing is read. Hints come in bursts, and changes may be
 * incomplete at first.
 */
const AFTER_HINT_MS = [20, 500];

/** The provider. It never fails: while the system cannot be read, its last report counts. */
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
