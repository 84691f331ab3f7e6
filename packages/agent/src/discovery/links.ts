/** Follows the devices of the agent's network namespace. */
import { EventEmitter } from 'node:events';
import { isDeepStrictEqual } from 'node:util';
import { Coalesced } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import { dumpLinks, IFINFOMSG, type Link, parseLink, parsePort, readLink } from '../netlink/link.ts';
import { RtClient } from '../netlink/rt-client.ts';
import { attributes, GROUP, getU16, getU32, ipv4Text, RTM, type RtMessage, RtMonitor } from '../netlink/rtnetlink.ts';

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
  /** Everything was read again, for safety. Addresses and routes are to be, too. */
  regular: [];
  /** IPv4 addresses have changed. Comes before `network`. */
  addresses: [];
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

const AF_INET = 2;
const AF_BRIDGE = 7;
const NDMSG = 12;
/** An entry of the bridge itself: the address of one of its ports. */
const NUD_PERMANENT = 0x80;
const NDA_DST = 1;
/** From this many changed devices on, one dump is cheaper than a request for each. */
const DUMP_FROM = 24;
/**
 * Milliseconds after the first event of a device at which it is read. Until then the event itself
 * says what the device is. A read waits for the lock of the process that is still making the device.
 */
const CONFIRM_MS = 100;
/** Milliseconds between full reads without an event, for safety. */
const FULL_READ_INTERVAL_MS = 10_000;

/** Such an entry comes with each port. Nothing is forwarded by it. */
function isOwnAddress(data: Buffer): boolean {
  return data.length >= NDMSG && (getU16(data, 8) & NUD_PERMANENT) !== 0;
}

function isIpv4Address(type: number, data: Buffer): boolean {
  return (type === RTM.NEWADDR || type === RTM.DELADDR) && data[0] === AF_INET;
}

/**
 * The real implementation, with netlink. An event has all of a device, and counts at once. The device
 * is read a little later, because an event may lack what the kernel tells only when it is asked.
 */
export class NetlinkLinkSource extends EventEmitter<LinkSourceEvents> implements LinkSource {
  readonly #log: Logger;
  readonly #client = new RtClient();
  readonly #monitor: RtMonitor;
  #links = new Map<number, Link>();
  /** `#links` in order. Undefined: not asked for since they changed. */
  #sorted: readonly Link[] | undefined;
  /** Devices with events since they were read, by ifindex. */
  #touched = new Set<number>();
  /** Events have changed `#links`, which was not told yet. */
  #changed = false;
  #confirm: NodeJS.Timeout | undefined;
  /** The next run reads the touched devices. */
  #confirmDue = false;
  /** `Link.seenAt` of every device, by ifindex. */
  readonly #seenAt = new Map<number, number | undefined>();
  #readAll = false;
  #gone = false;
  #networkTouched = false;
  #addressesTouched = false;
  #regularDue = false;
  readonly #reads = new Coalesced(() => this.#read());
  #telling: NodeJS.Immediate | undefined;
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
    this.#timer = setInterval(() => this.#readRegularly(), FULL_READ_INTERVAL_MS);
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
    clearTimeout(this.#confirm);
    clearImmediate(this.#telling);
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
        const port = parsePort(message);
        const link = port && this.#links.get(port.ifindex);
        if (port && link) {
          this.#take(port.ifindex, { ...link, forwarding: port.forwarding });
        }
        this.#touch(getU32(data, 4));
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
      const link = parseLink(message);
      this.#take(ifindex, link && this.#dated(link));
      this.#touch(ifindex);
      return;
    } else if (type === RTM.NEWNEIGH || type === RTM.DELNEIGH) {
      if (data[0] === AF_BRIDGE && !isOwnAddress(data)) {
        this.emit('forwarding');
      }
      const destination = data.length < NDMSG ? undefined : attributes(data, NDMSG).get(NDA_DST);
      if (destination?.length === 4) {
        this.emit('neighbour', { ifindex: getU32(data, 4), address: ipv4Text(destination) });
      }
      return;
    } else {
      this.#networkTouched = true;
      this.#addressesTouched ||= isIpv4Address(type, data);
    }
    this.#tellSoon();
  }

  #lost(): void {
    this.#log.warn('netlink events were lost, reading everything again');
    // It is no longer known which devices were created again with an old ifindex.
    this.#gone = true;
    this.#touchAll();
  }

  /** Sets what a device is now. Undefined: it is gone. */
  #take(ifindex: number, link: Link | undefined): void {
    if (isDeepStrictEqual(this.#links.get(ifindex), link)) {
      return;
    }
    this.#changed = true;
    this.#sorted = undefined;
    if (link === undefined) {
      this.#links.delete(ifindex);
    } else {
      this.#links.set(ifindex, link);
    }
  }

  /** Tells what an event has changed, and has the device read. */
  #touch(ifindex: number): void {
    this.#touched.add(ifindex);
    this.#confirm ??= setTimeout(() => {
      this.#confirm = undefined;
      this.#confirmDue = true;
      void this.#reads.request();
    }, CONFIRM_MS).unref();
    this.#tellSoon();
  }

  /** Events of one tick are told together. */
  #tellSoon(): void {
    this.#telling ??= setImmediate(() => {
      this.#telling = undefined;
      this.#tell(false);
    });
  }

  #touchAll(): void {
    this.#readAll = true;
    this.#networkTouched = true;
    this.#addressesTouched = true;
    void this.#reads.request();
  }

  #readRegularly(): void {
    this.#readAll = true;
    this.#regularDue = true;
    void this.#reads.request();
  }

  async #read(): Promise<void> {
    if (this.#closed) {
      return;
    }
    const touched = this.#confirmDue || this.#readAll ? this.#touched : new Set<number>();
    const all = this.#readAll || touched.size >= DUMP_FROM;
    if (this.#confirmDue || this.#readAll) {
      this.#touched = new Set();
    }
    this.#confirmDue = false;
    this.#readAll = false;
    try {
      if (all) {
        await this.#readEverything();
      } else {
        await this.#readSome(touched);
      }
      if (this.#closed) {
        return;
      }
      this.#tell(all);
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

  /** Emits what has changed since the last call. @param all everything was read */
  #tell(all: boolean): void {
    const changed = this.#changed;
    const gone = this.#gone;
    const network = this.#networkTouched;
    const addresses = this.#addressesTouched;
    this.#changed = false;
    this.#gone = false;
    this.#networkTouched = false;
    this.#addressesTouched = false;
    if (addresses) {
      this.emit('addresses');
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
    if (all && this.#regularDue) {
      this.#regularDue = false;
      this.emit('regular');
    }
  }

  /** What events have told meanwhile is newer than what was read. */
  async #readEverything(): Promise<void> {
    const links = await this.#dump(performance.now());
    for (const ifindex of new Set([...this.#links.keys(), ...links.keys()])) {
      if (!this.#touched.has(ifindex)) {
        this.#take(ifindex, links.get(ifindex));
      }
    }
  }

  async #readSome(touched: ReadonlySet<number>): Promise<void> {
    for (const ifindex of touched) {
      const link = await this.#one(ifindex);
      if (!this.#touched.has(ifindex)) {
        this.#take(ifindex, link);
      }
    }
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
    return links;
  }

  #dated(link: Link): Link {
    const seenAt = this.#seenAt.get(link.ifindex);
    return seenAt === undefined ? link : { ...link, seenAt };
  }
}
