/** Reads the forwarding tables of the node's bridges: MAC addresses and their ports. */
import { EventEmitter } from 'node:events';
import { Coalesced } from '@mirrorplane/base';
import type { Logger } from '../log.ts';
import type { RtSync } from '../netlink/rt-sync.ts';
import { attributes, getU16, getU32, macText, RTM, type RtMessage } from '../netlink/rtnetlink.ts';

/** A MAC address behind a port of a bridge. */
export interface ForwardingEntry {
  /** ifindex of the bridge. */
  bridge: number;
  /** ifindex of the port. */
  port: number;
  mac: string;
}

const AF_BRIDGE = 7;
const NDMSG = 12;
const NDA = { LLADDR: 2, MASTER: 9 } as const;
/** Entries of the bridge's own addresses. Frames for them go to the host, and not out of a port. */
const NUD_PERMANENT = 0x80;
/** The shortest time between two reads, milliseconds. */
const READ_INTERVAL_MS = 10;
/**
 * The pause is also at least so many times as long as the CPU time of a read. A bridge that learns a
 * lot must not keep the agent busy. Waiting does not count: while devices come and go, the kernel keeps
 * readers waiting for tens of milliseconds, and just then the tables change.
 */
const READ_SHARE = 10;
/**
 * The most entries of a port that are kept. A guest that floods its bridge with addresses must not
 * fill the memory.
 */
const MAX_ENTRIES = 1025; // one more than arrivals.ts takes: so it sees that there are more

/**
 * Reads one RTM_NEWNEIGH of family AF_BRIDGE. Undefined for other messages and for the bridge's own
 * addresses.
 */
export function parseForwarding({ type, data }: RtMessage): ForwardingEntry | undefined {
  if (type !== RTM.NEWNEIGH || data.length < NDMSG || data[0] !== AF_BRIDGE) {
    return undefined;
  }
  const attrs = attributes(data, NDMSG);
  const bridge = attrs.get(NDA.MASTER);
  const mac = attrs.get(NDA.LLADDR);
  if (bridge === undefined || mac?.length !== 6 || getU16(data, 8) & NUD_PERMANENT) {
    return undefined;
  }
  return { bridge: getU32(bridge, 0), port: getU32(data, 4), mac: macText(mac) };
}

/** Keeps copies of the kernel's tables. After an event, the tables are read completely. */
export class ForwardingTables extends EventEmitter<{ change: [] }> {
  readonly #client: Pick<RtSync, 'dump'>;
  readonly #log: Logger;
  #entries: readonly ForwardingEntry[] = [];
  #text = '';
  readonly #reading = new Coalesced(() => this.#read(), {
    pauseMs: () => Math.max(READ_INTERVAL_MS, READ_SHARE * this.#tookMs),
  });
  /** Milliseconds of CPU time of the last read. */
  #tookMs = 0;
  #closed = false;

  /** @param parts `client` is for this alone, so that no read waits for others */
  constructor(parts: { client: Pick<RtSync, 'dump'>; log: Logger }) {
    super();
    this.#client = parts.client;
    this.#log = parts.log;
  }

  current(): readonly ForwardingEntry[] {
    return this.#entries;
  }

  /** Reads the tables, now or soon. Emits `change` if they differ. Resolves when they are read. */
  refresh(): Promise<void> {
    return this.#reading.request();
  }

  async #read(): Promise<void> {
    const before = process.threadCpuUsage();
    try {
      const header = Buffer.alloc(NDMSG);
      header[0] = AF_BRIDGE;
      const messages = this.#client.dump(RTM.GETNEIGH, header);
      const entries = firstOfEachPort(messages.flatMap((message) => parseForwarding(message) ?? []));
      const text = entries.map(({ bridge, port, mac }) => `${bridge} ${port} ${mac}`).join();
      const { user, system } = process.threadCpuUsage(before);
      this.#tookMs = (user + system) / 1000;
      if (text === this.#text || this.#closed) {
        return;
      }
      this.#text = text;
      this.#entries = entries;
      this.emit('change');
    } catch (error) {
      if (!this.#closed) {
        this.#log.warn({ err: error }, 'forwarding tables could not be read');
      }
    }
  }

  close(): void {
    this.#closed = true;
    void this.#reading.close();
    this.removeAllListeners();
  }
}

/** The first MAX_ENTRIES of each port. */
function firstOfEachPort(entries: readonly ForwardingEntry[]): ForwardingEntry[] {
  const taken = new Map<number, number>();
  return entries.filter(({ port }) => {
    const count = (taken.get(port) ?? 0) + 1;
    taken.set(port, count);
    return count <= MAX_ENTRIES;
  });
}
