/** Follows the devices of the agent's network namespace. */
import { EventEmitter } from 'node:events';
import { setImmediate as nextTick } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import { dumpLinks, IFINFOMSG, type Link, readLink } from '../netlink/link.ts';
import { attributes, GROUP, getU32, ipv4Text, RTM, RtClient, type RtMessage, RtMonitor } from '../netlink/rtnetlink.ts';

/** An event of the neighbour table, for one device and address. */
export interface NeighbourEvent {
  ifindex: number;
  /** IPv4 address. */
  address: string;
}

interface LinkSourceEvents {
  /** A device was added, removed or changed. */
  change: [];
  /** IP addresses or IPv4 routes have changed. */
  network: [];
  /** A bridge has learned or forgotten an address. */
  forwarding: [];
  /** A neighbour entry changed. */
  neighbour: [NeighbourEvent];
}

/** The devices of a node, with events for their changes. */
export interface LinkSource {
  /** Reads everything once and begins to listen. @throws Error if netlink cannot be used */
  open(): Promise<void>;
  /** All devices, in order of ifindex. */
  links(): readonly Link[];
  /**
   * Listens to an event. `network` and `neighbour` also come, without details, after events were
   * lost.
   */
  on<K extends keyof LinkSourceEvents>(event: K, listener: (...args: LinkSourceEvents[K]) => void): unknown;
  close(): void;
}

const AF_BRIDGE = 7;
const NDMSG = 12;
const NDA_DST = 1;
/** From this many changed devices on, one dump is cheaper than a request for each. */
const DUMP_FROM = 24;
/** Milliseconds between full reads without an event, for safety. */
const FULL_READ_INTERVAL_MS = 10_000;

/**
 * The real implementation, with netlink. An event only says which device to read from the kernel.
 */
export class NetlinkLinkSource extends EventEmitter<LinkSourceEvents> implements LinkSource {
  readonly #log: Logger;
  readonly #client = new RtClient();
  readonly #monitor: RtMonitor;
  #links = new Map<number, Link>();
  /** `#links` in order. Undefined: not asked for since they changed. */
  #sorted: readonly Link[] | undefined;
  #touched = new Set<number>();
  /** `Link.seenAt` of every device, by ifindex. */
  readonly #seenAt = new Map<number, number | undefined>();
  #readAll = false;
  #gone = false;
  #networkTouched = false;
  readonly #reads = new Coalesced(async () => {
    // Events of one tick are handled together.
    await nextTick();
    await this.#read();
  });
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param options.receiveBuffer bytes for waiting events, default 4 MiB (the kernel may grant
   * less)
   */
  constructor(options: { log: Logger; receiveBuffer?: number }) {
    super();
    this.#log = options.log;
    this.#monitor = new RtMonitor({
      groups: [GROUP.LINK, GROUP.IPV4_IFADDR, GROUP.IPV6_IFADDR, GROUP.IPV4_ROUTE, GROUP.NEIGH],
      message: (message) => this.#event(message),
      lost: () => this.#lost(),
      ...(options.receiveBuffer !== undefined && { receiveBuffer: options.receiveBuffer }),
    });
  }

  async open(): Promise<void> {
    this.#monitor.open();
    this.#links = await this.#dump(undefined);
    this.#timer = setInterval(() => this.#touchAll(), FULL_READ_INTERVAL_MS);
    this.#timer.unref();
  }

  links(): readonly Link[] {
    this.#sorted ??= [...this.#links.values()].sort((a, b) => a.ifindex - b.ifindex);
    return this.#sorted;
  }

  close(): void {
    this.#closed = true;
    void this.#reads.close();
    clearInterval(this.#timer);
    this.#monitor.close();
    this.#client.close();
    this.removeAllListeners();
  }

  #event(message: RtMessage): void {
    const { type, data } = message;
    if (type === RTM.NEWLINK || type === RTM.DELLINK) {
      if (data.length < IFINFOMSG) {
        return;
      }
      if (data[0] === AF_BRIDGE) {
        // Only this message reports that a port begins or stops to forward.
        this.#touched.add(getU32(data, 4));
        void this.#reads.request();
        return;
      }
      if (data[0] !== 0) {
        return;
      }
      const ifindex = getU32(data, 4);
      // A device that is created again with the same ifindex looks unchanged, but its BPF programs
      // are gone.
      if (type === RTM.DELLINK) {
        this.#gone = true;
        this.#seenAt.delete(ifindex);
      } else if (!this.#seenAt.has(ifindex)) {
        this.#seenAt.set(ifindex, performance.now());
      }
      this.#touched.add(ifindex);
    } else if (type === RTM.NEWNEIGH || type === RTM.DELNEIGH) {
      if (data[0] === AF_BRIDGE) {
        this.emit('forwarding');
      }
      const destination = data.length < NDMSG ? undefined : attributes(data, NDMSG).get(NDA_DST);
      if (destination?.length === 4) {
        this.emit('neighbour', { ifindex: getU32(data, 4), address: ipv4Text(destination) });
      }
      return;
    } else {
      this.#networkTouched = true;
    }
    void this.#reads.request();
  }

  #lost(): void {
    this.#log.warn('netlink events were lost, reading everything again');
    // It is no longer known which devices were created again with an old ifindex.
    this.#gone = true;
    this.#touchAll();
  }

  #touchAll(): void {
    this.#readAll = true;
    this.#networkTouched = true;
    void this.#reads.request();
  }

  async #read(): Promise<void> {
    if (this.#closed) {
      return;
    }
    const touched = this.#touched;
    const all = this.#readAll || touched.size >= DUMP_FROM;
    const gone = this.#gone;
    const network = this.#networkTouched;
    this.#touched = new Set();
    this.#readAll = false;
    this.#gone = false;
    this.#networkTouched = false;
    try {
      const changed = all ? await this.#readEverything() : await this.#readSome(touched);
      if (this.#closed) {
        return;
      }
      if (changed || gone) {
        this.emit('change');
      }
      if (network) {
        this.emit('network');
      }
      if (all || changed) {
        this.emit('forwarding');
      }
      if (this.#monitor.overrun()) {
        this.#lost();
      }
    } catch (error) {
      if (this.#closed) {
        return;
      }
      this.#log.warn({ err: error }, 'devices could not be read, trying again');
      setTimeout(() => this.#touchAll(), 100).unref();
    }
  }

  async #readEverything(): Promise<boolean> {
    const before = this.#links;
    this.#links = await this.#dump(performance.now());
    return (
      before.size !== this.#links.size ||
      [...this.#links].some(([key, link]) => !isDeepStrictEqual(before.get(key), link))
    );
  }

  async #readSome(touched: ReadonlySet<number>): Promise<boolean> {
    let changed = false;
    for (const ifindex of touched) {
      const link = await this.#one(ifindex);
      if (isDeepStrictEqual(this.#links.get(ifindex), link)) {
        continue;
      }
      changed = true;
      this.#sorted = undefined;
      if (link === undefined) {
        this.#links.delete(ifindex);
      } else {
        this.#links.set(ifindex, link);
      }
    }
    return changed;
  }

  async #one(ifindex: number): Promise<Link | undefined> {
    const link = await readLink(this.#client, ifindex);
    return link && this.#dated(link);
  }

  /** @param seenAt `Link.seenAt` for devices without an event */
  async #dump(seenAt: number | undefined): Promise<Map<number, Link>> {
    const links = await dumpLinks(this.#client);
    for (const ifindex of this.#seenAt.keys()) {
      if (!links.has(ifindex)) {
        this.#seenAt.delete(ifindex);
      }
    }
    for (const [ifindex, link] of links) {
      if (!this.#seenAt.has(ifindex)) {
        this.#seenAt.set(ifindex, seenAt);
      }
      links.set(ifindex, this.#dated(link));
    }
    this.#sorted = undefined;
    return links;
  }

  #dated(link: Link): Link {
    const seenAt = this.#seenAt.get(link.ifindex);
    return seenAt === undefined ? link : { ...link, seenAt };
  }
}
