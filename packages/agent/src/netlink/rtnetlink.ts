/**
 * The rtnetlink messages that the agent needs. The `netlink` package handles sockets, sequence
 * numbers and multipart answers. Attributes are parsed here. The package's own parser refuses a
 * whole message if a newer kernel sends an attribute of another size.
 */
import { dropsOf, openSocket, type Socket } from './netlink-socket.ts';

/** Message types, include/uapi/linux/rtnetlink.h. */
export const RTM = {
  NEWLINK: 16,
  DELLINK: 17,
  GETLINK: 18,
  SETLINK: 19,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  NEWROUTE: 24,
  DELROUTE: 25,
  GETROUTE: 26,
  NEWNEIGH: 28,
  DELNEIGH: 29,
  GETNEIGH: 30,
  GETRULE: 34,
  NEWQDISC: 36,
  DELQDISC: 37,
  GETQDISC: 38,
  NEWTFILTER: 44,
  DELTFILTER: 45,
  GETTFILTER: 46,
  GETSTATS: 94,
  NEWCHAIN: 100,
  DELCHAIN: 101,
  GETCHAIN: 102,
} as const;

/** Multicast groups, enum rtnetlink_groups. */
export const GROUP = { LINK: 1, NEIGH: 3, TC: 4, IPV4_IFADDR: 5, IPV4_ROUTE: 7, IPV6_IFADDR: 9 } as const;

/** Without this flag, the kernel reports a new queue only to monitors. */
export const NLM_F_ECHO = 0x8;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const AF_INET = 2;
/** Bytes that may wait in a socket: some thousand changes of devices at once. */
const RECEIVE_BUFFER = 4 << 20;

/** An rtnetlink message: its type, and its fixed header with attributes. */
export interface RtMessage {
  type: number;
  data: Buffer;
}

/** A request that the kernel has refused. `code` is the name of the errno, for example `ENODEV`. */
export class NetlinkError extends Error {
  readonly code: string;
  constructor(code: string, what: string) {
    super(`${what}: ${code}`);
    this.code = code;
  }
}

const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
/** Reads an unsigned 32-bit number in host order. */
export const getU32 = (data: Buffer, at: number): number => (LITTLE ? data.readUInt32LE(at) : data.readUInt32BE(at));
/** Reads an unsigned 16-bit number in host order. */
export const getU16 = (data: Buffer, at: number): number => (LITTLE ? data.readUInt16LE(at) : data.readUInt16BE(at));
/** A buffer of one 32-bit number in host order. */
export function u32(value: number): Buffer {
  const data = Buffer.alloc(4);
  if (LITTLE) {
    data.writeUInt32LE(value >>> 0);
  } else {
    data.writeUInt32BE(value >>> 0);
  }
  return data;
}
/** A buffer of one 16-bit number in host order. */
export function u16(value: number): Buffer {
  const data = Buffer.alloc(2);
  if (LITTLE) {
    data.writeUInt16LE(value);
  } else {
    data.writeUInt16BE(value);
  }
  return data;
}

/**
 * Attributes from `offset` on, by type. The last of repeated attributes counts. An incomplete end
 * is ignored.
 */
export function attributes(data: Buffer, offset: number): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  let at = offset;
  while (at + 4 <= data.length) {
    const length = getU16(data, at);
    if (length < 4 || at + length > data.length) {
      break;
    }
    found.set(getU16(data, at + 2) & 0x3fff, data.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return found;
}

/** The payloads of all attributes of one type. */
export function repeated(data: Buffer | undefined, type: number): Buffer[] {
  const found: Buffer[] = [];
  for (let at = 0; data !== undefined && at + 4 <= data.length; ) {
    const length = getU16(data, at);
    if (length < 4 || at + length > data.length) {
      break;
    }
    if ((getU16(data, at + 2) & 0x3fff) === type) {
      found.push(data.subarray(at + 4, at + length));
    }
    at += (length + 3) & ~3;
  }
  return found;
}

/** One attribute, padded. */
export function attribute(type: number, payload: Buffer): Buffer {
  const length = 4 + payload.length;
  return Buffer.concat([u16(length), u16(type), payload, Buffer.alloc(-length & 3)]);
}

/** An IPv4 address in dotted form as its four bytes. */
export const ipv4Bytes = (address: string): Buffer => Buffer.from(address.split('.').map(Number));
/** Four bytes as an IPv4 address. */
export const ipv4Text = (data: Buffer): string => [...data.subarray(0, 4)].join('.');
/** A link-layer address as text. Empty without bytes. */
export const macText = (data: Buffer | undefined): string =>
  data === undefined ? '' : [...data].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
/** A string attribute without its closing NUL. */
export const text = (data: Buffer | undefined): string =>
  data === undefined ? '' : data.toString().replace(/\0.*$/s, '');

/** Listens to multicast groups. */
export class RtMonitor {
  readonly #groups: readonly number[];
  readonly #onMessage: (message: RtMessage) => void;
  readonly #onLost: () => void;
  readonly #receiveBuffer: number;
  #socket: Socket | undefined;
  #drops = 0;
  #closed = false;

  /**
   * @param options.lost called after the socket was opened again: the caller must read everything
   * again
   * @param options.receiveBuffer bytes for waiting notifications. Default 4 MiB
   */
  constructor(options: {
    groups: readonly number[];
    message: (message: RtMessage) => void;
    lost: () => void;
    receiveBuffer?: number;
  }) {
    this.#groups = options.groups;
    this.#onMessage = options.message;
    this.#onLost = options.lost;
    this.#receiveBuffer = options.receiveBuffer ?? RECEIVE_BUFFER;
  }

  /** Begins to listen. @throws Error if no netlink socket can be opened */
  open(): void {
    const socket = openSocket(this.#receiveBuffer);
    for (const group of this.#groups) {
      socket.addMembership(group);
    }
    socket.on('message', (messages) => {
      for (const message of messages) {
        this.#deliver(message);
      }
    });
    socket.on('error', () => setImmediate(() => this.#replace(socket)));
    socket.on('invalid', () => this.#onLost());
    socket.on('truncatedMessage', () => this.#onLost());
    this.#socket = socket;
    this.#drops = 0;
  }

  /**
   * True if notifications were lost since the last call. The caller must then read everything
   * again.
   */
  overrun(): boolean {
    if (this.#socket === undefined) {
      return false;
    }
    const drops = dropsOf(this.#socket);
    const grown = drops !== this.#drops;
    this.#drops = drops;
    return grown;
  }

  close(): void {
    this.#closed = true;
    this.#socket?.close();
    this.#socket = undefined;
  }

  /** Catches exceptions: one that leaves a native callback would end the process. */
  #deliver(message: RtMessage): void {
    try {
      this.#onMessage(message);
    } catch {
      this.#onLost();
    }
  }

  #replace(socket: Socket): void {
    if (this.#closed || this.#socket !== socket) {
      return;
    }
    socket.close();
    this.open();
    this.#onLost();
  }
}
