/**
 * Next hops on the underlay: the route to every ERSPAN address, and the link-layer address behind
 * it. The kernel is asked to keep those entries resolved automatically (`managed`, Linux 5.16), so
 * that copies never wait for ARP.
 */
import { EventEmitter } from 'node:events';
import { Coalesced } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import {
  AF_INET,
  attribute,
  attributes,
  getU16,
  getU32,
  ipv4Bytes,
  ipv4Text,
  macText,
  NetlinkError,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  RTM,
  u32,
} from '../netlink/rtnetlink.ts';
import type { NeighbourRecord, NeighbourRef } from './neighbour-record.ts';

/** The way to an address. */
export type NextHop = { state: 'resolved' } | { state: 'unresolved'; via: string } | { state: 'noRoute'; why: string };

/** The end of the underlay from which next hops are looked up. */
export interface UnderlayPort {
  device: string;
  ifindex: number;
  address: string;
}

const NDMSG = 12;
const RTMSG = 12;
const NDA = { DST: 1, LLADDR: 2, FLAGS_EXT: 15 } as const;
const RTA = { DST: 1, OIF: 4, GATEWAY: 5, SRC: 2 } as const;
const RTM_F_FIB_MATCH = 0x2000;
const NUD_STALE = 0x04;
/**
 * States in which the entry has a usable link-layer address: all but NONE, INCOMPLETE and FAILED.
 */
const NUD_VALID = 0x02 | NUD_STALE | 0x08 | 0x10 | 0x40 | 0x80;
const NUD_PERMANENT = 0x80;
const NUD_NOARP = 0x40;
const NTF_USE = 0x01;
const NTF_EXT_LEARNED = 0x10;
const NTF_EXT_MANAGED = 0x01;
/**
 * Milliseconds between two rounds. A round looks everything up again, and resolves missing
 * addresses.
 */
const ROUND_MS = 5000;
/** Milliseconds without a route after which no copies of a sender are believed. */
const NO_WAY_MS = 4000;

interface Entry {
  state: number;
  flags: number;
  mac: string;
  managed: boolean;
}

/**
 * Keeps the next hops to a changing set of addresses. Emits `change` when the result of `current()`
 * has changed.
 */
export class NextHops extends EventEmitter<{ change: [] }> {
  readonly #client: RtClient;
  readonly #log: Logger;
  readonly #record: NeighbourRecord;
  #port: UnderlayPort | undefined;
  #addresses: readonly string[] = [];
  #senders: readonly string[] = [];
  #current = new Map<string, NextHop>();
  #noWayBack: ReadonlySet<string> = new Set();
  /** Since when no route leads to a sender, on the monotonic clock, milliseconds. */
  #lostSince = new Map<string, number>();
  #via = new Set<string>();
  readonly #rounds = new Coalesced(() => this.#tryRound());
  #closed = false;
  #manageable = true;
  readonly #timer: NodeJS.Timeout;

  /** @param record remembers which entries are ours, across restarts */
  constructor(options: { client: RtClient; record: NeighbourRecord; log: Logger }) {
    super();
    this.#client = options.client;
    this.#record = options.record;
    this.#log = options.log;
    this.#timer = setInterval(() => void this.refresh(), ROUND_MS);
    this.#timer.unref();
  }

  /** The current next hops, by ERSPAN address. */
  current(): ReadonlyMap<string, NextHop> {
    return this.#current;
  }

  /**
   * Addresses of senders that no route by the device of the underlay has led to for `NO_WAY_MS`.
   * This is the feasible reverse path of RFC 3704, 2.3: routes by other devices do no harm.
   */
  noWayBack(): ReadonlySet<string> {
    return this.#noWayBack;
  }

  /**
   * Sets the needed addresses and the end of the underlay. Resolves when they have been looked up
   * once.
   * @param senders addresses of which only the route matters
   */
  want(port: UnderlayPort | undefined, addresses: readonly string[], senders: readonly string[] = []): Promise<void> {
    const [wanted, heard] = [addresses, senders].map((list) => [...new Set(list)].sort()) as [string[], string[]];
    const before = [this.#port, this.#addresses, this.#senders];
    if (JSON.stringify([port, wanted, heard]) === JSON.stringify(before)) {
      return Promise.resolve();
    }
    this.#port = port;
    this.#addresses = wanted;
    this.#senders = heard;
    return this.refresh();
  }

  /** Call this with every event of the neighbour table. Most events are about other addresses. */
  touched(ifindex: number, address: string): void {
    if (ifindex === this.#port?.ifindex && this.#via.has(address)) {
      void this.refresh();
    }
  }

  /** Looks everything up again. All calls during a round are served by one more round. */
  refresh(): Promise<void> {
    return this.#rounds.request();
  }

  /** Stops. Entries stay, because the data plane still needs them. */
  close(): void {
    this.#closed = true;
    void this.#rounds.close();
    clearInterval(this.#timer);
    this.removeAllListeners();
  }

  async #tryRound(): Promise<void> {
    try {
      await this.#round();
    } catch (error) {
      if (!this.#closed) {
        this.#log.warn({ err: error }, 'next hops could not be read');
      }
    }
  }

  async #round(): Promise<void> {
    const port = this.#port;
    const next = new Map<string, NextHop>();
    const via = new Set<string>();
    for (const address of port === undefined ? [] : this.#addresses) {
      const hop = await this.#lookUp(port!, address);
      next.set(address, hop.next);
      if (hop.via !== undefined) {
        via.add(hop.via);
      }
    }
    this.#via = via;
    await this.#release(port, via);
    if (this.#closed || port !== this.#port) {
      return;
    }
    const lost = port === undefined ? new Set<string>() : await this.#lostSenders(port, next);
    if (this.#closed || port !== this.#port) {
      return;
    }
    const known = JSON.stringify([[...this.#current], [...this.#noWayBack]]);
    if (JSON.stringify([[...next], [...lost]]) === known) {
      return;
    }
    this.#current = next;
    this.#noWayBack = lost;
    this.emit('change');
  }

  /** A route that is being replaced is away for a moment, so it counts as lost only after a while. */
  async #lostSenders(port: UnderlayPort, hops: ReadonlyMap<string, NextHop>): Promise<Set<string>> {
    const since = new Map<string, number>();
    for (const address of this.#senders) {
      const isLost = hops.has(address)
        ? hops.get(address)!.state === 'noRoute'
        : 'why' in (await this.#route(port, address));
      if (isLost) {
        since.set(address, this.#lostSince.get(address) ?? performance.now());
      }
    }
    this.#lostSince = since;
    const over = [...since].filter(([, at]) => performance.now() - at >= NO_WAY_MS);
    return new Set(over.map(([address]) => address));
  }

  async #lookUp(port: UnderlayPort, address: string): Promise<{ next: NextHop; via?: string }> {
    const route = await this.#route(port, address);
    if ('why' in route) {
      return { next: { state: 'noRoute', why: route.why } };
    }
    const { via } = route;
    let entry = await readEntry(this.#client, port.ifindex, via);
    if (this.#shouldAsk(entry)) {
      await this.#ask(port, via, entry);
      entry = await readEntry(this.#client, port.ifindex, via);
    }
    if (entry === undefined || (entry.state & NUD_VALID) === 0 || entry.mac === '') {
      return { next: { state: 'unresolved', via }, via };
    }
    return { next: { state: 'resolved' }, via };
  }

  /** Whether to request an entry. Entries of an operator or a routing daemon are left to them. */
  #shouldAsk(entry: Entry | undefined): boolean {
    if (entry === undefined) {
      return true;
    }
    if ((entry.state & (NUD_PERMANENT | NUD_NOARP)) !== 0 || (entry.flags & NTF_EXT_LEARNED) !== 0) {
      return false;
    }
    return !entry.managed;
  }

  async #ask(port: UnderlayPort, via: string, entry: Entry | undefined): Promise<void> {
    const ref = { ifindex: port.ifindex, address: via };
    if (this.#manageable) {
      // Recorded first, because an unrecorded entry would stay for ever.
      await this.#record.add(ref);
      await setNeighbour(this.#client, port.ifindex, via, { managed: true, replace: entry !== undefined });
      if ((await readEntry(this.#client, port.ifindex, via))?.managed) {
        return;
      }
      this.#manageable = false;
      await this.#record.remove(ref);
      this.#log.info('the kernel has no managed neighbours; the agent asks for them repeatedly');
    }
    await setNeighbour(this.#client, port.ifindex, via, { managed: false, replace: false });
  }

  async #release(port: UnderlayPort | undefined, via: ReadonlySet<string>): Promise<void> {
    for (const ref of this.#record.all()) {
      if (ref.ifindex === port?.ifindex && via.has(ref.address)) {
        continue;
      }
      await release(this.#client, this.#record, ref);
    }
  }

  async #route(port: UnderlayPort, address: string): Promise<{ via: string } | { why: string }> {
    const attrs = [
      attribute(RTA.DST, ipv4Bytes(address)),
      attribute(RTA.SRC, ipv4Bytes(port.address)),
      attribute(RTA.OIF, u32(port.ifindex)),
    ];
    const header = Buffer.from([AF_INET, 32, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    try {
      // With an output device, the kernel treats any address without a route as a neighbour. A
      // query for the matching route shows the difference.
      const matching = Buffer.concat([header.subarray(0, 8), u32(RTM_F_FIB_MATCH)]);
      await this.#client.request(RTM.GETROUTE, Buffer.concat([matching, ...attrs]));
      const [answer] = await this.#client.request(RTM.GETROUTE, Buffer.concat([header, ...attrs]));
      const gateway = answer === undefined ? undefined : attributes(answer.data, RTMSG).get(RTA.GATEWAY);
      return { via: gateway === undefined ? address : ipv4Text(gateway) };
    } catch (error) {
      if (!(error instanceof NetlinkError)) {
        throw error;
      }
      return { why: `no route to ${address} by ${port.device} (${error.code})` };
    }
  }
}

/** Removes every entry that the record remembers. */
export async function releaseAll(client: RtClient, record: NeighbourRecord): Promise<void> {
  for (const ref of record.all()) {
    await release(client, record, ref);
  }
}

async function release(client: RtClient, record: NeighbourRecord, ref: NeighbourRef): Promise<void> {
  // If the device was removed, the entry was removed with it. If the flag is gone, other software
  // has taken the entry over.
  if ((await readEntry(client, ref.ifindex, ref.address))?.managed) {
    try {
      await client.request(RTM.DELNEIGH, neighbourMessage(ref.ifindex, ref.address, 0));
    } catch (error) {
      if (!(error instanceof NetlinkError && error.code === 'ENOENT')) {
        throw error;
      }
    }
  }
  await record.remove(ref);
}

function neighbourMessage(ifindex: number, address: string, flags: number, extended?: number): Buffer {
  const header = Buffer.concat([Buffer.from([AF_INET, 0, 0, 0]), u32(ifindex), Buffer.from([0, 0, flags, 0])]);
  const parts = [header, attribute(NDA.DST, ipv4Bytes(address))];
  if (extended !== undefined) {
    parts.push(attribute(NDA.FLAGS_EXT, u32(extended)));
  }
  return Buffer.concat(parts);
}

async function readEntry(client: RtClient, ifindex: number, address: string): Promise<Entry | undefined> {
  try {
    const [message] = await client.request(RTM.GETNEIGH, neighbourMessage(ifindex, address, 0));
    if (message === undefined) {
      return undefined;
    }
    const attrs = attributes(message.data, NDMSG);
    const extended = attrs.get(NDA.FLAGS_EXT);
    return {
      state: getU16(message.data, 8),
      flags: message.data[10]!,
      mac: macText(attrs.get(NDA.LLADDR)),
      managed: extended !== undefined && (getU32(extended, 0) & NTF_EXT_MANAGED) !== 0,
    };
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === 'ENOENT' || error.code === 'ENODEV')) {
      return undefined;
    }
    throw error;
  }
}

async function setNeighbour(
  client: RtClient,
  ifindex: number,
  address: string,
  how: { managed: boolean; replace: boolean },
): Promise<void> {
  const message = how.managed
    ? neighbourMessage(ifindex, address, 0, NTF_EXT_MANAGED)
    : neighbourMessage(ifindex, address, NTF_USE);
  try {
    await client.request(RTM.NEWNEIGH, message, NLM_F_CREATE | (how.replace ? NLM_F_REPLACE : 0));
  } catch (error) {
    // A device that is down or being removed accepts no entries. The next round finds its new
    // state.
    if (!(error instanceof NetlinkError)) {
      throw error;
    }
  }
}
