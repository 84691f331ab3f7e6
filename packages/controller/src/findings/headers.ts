/** The headers of a frame, as far as a finding compares packets by them. Every read is bounded. */

/** What a frame carries. `other`: nothing that is compared by its contents. */
export type Protocol = 'tcp' | 'udp' | 'icmp' | 'arp' | 'other';

/** TCP, RFC 9293. */
export interface TcpHeader {
  sequence: number;
  acknowledged: number;
  syn: boolean;
  ack: boolean;
  fin: boolean;
  rst: boolean;
  window: number;
  /** Bytes of data, of all segments of a super-packet together. */
  data: number;
}

/** ICMP, RFC 792, and ICMPv6, RFC 4443, in the same words. */
export interface IcmpHeader {
  kind: 'echoRequest' | 'echoReply' | 'unreachable' | 'tooBig' | 'neighbourRequest' | 'neighbourReply' | 'other';
  /** The packet that an error is about: as much of it as is quoted. */
  about?: Ends;
}

/** From whom to whom. Ports are 0 where the protocol has none. */
export interface Ends {
  protocol: Protocol;
  source: string;
  target: string;
  sourcePort: number;
  targetPort: number;
}

export interface Headers extends Ends {
  sourceMac: string;
  targetMac: string;
  tcp?: TcpHeader;
  icmp?: IcmpHeader;
  /** ARP asks; else it answers. */
  asks?: boolean;
}

const ADDRESSES = 12;
const VLAN_TYPES: ReadonlySet<number> = new Set([0x8100, 0x88a8]);
const TYPE = { ipv4: 0x0800, arp: 0x0806, ipv6: 0x86dd };
const NUMBER = { icmp: 1, tcp: 6, udp: 17, icmp6: 58 };
/** IPv6 extension headers that say how long they are, in 8 bytes (RFC 8200). */
const EXTENSIONS: ReadonlySet<number> = new Set([0, 43, 60]);
const FRAGMENT = 44;
const MOST_EXTENSIONS = 8;

/**
 * Reads the headers of a frame.
 * @param bytes the first bytes of it
 * @param length bytes of the whole frame
 * @param isSuper several segments in one: its IP header may not know its length
 * @returns undefined: it is too short for what it says it is
 */
export function headersOf(bytes: Uint8Array, length: number, isSuper: boolean): Headers | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = ADDRESSES;
  try {
    while (VLAN_TYPES.has(view.getUint16(at)) && at < ADDRESSES + 8) {
      at += 4;
    }
    const type = view.getUint16(at);
    const macs = { targetMac: macAt(bytes, 0), sourceMac: macAt(bytes, 6) };
    return { ...macs, ...new Reader(view, length, isSuper).network(type, at + 2) };
  } catch (error) {
    if (error instanceof RangeError) {
      return undefined;
    }
    throw error;
  }
}

type Without<T, K extends keyof T> = Omit<T, K>;
type Behind = Without<Headers, 'sourceMac' | 'targetMac'>;

const NO_PORTS = { sourcePort: 0, targetPort: 0 };

/**
 * Reads from an offset on. A read behind the end of the bytes throws RangeError, as DataView does.
 */
class Reader {
  readonly #view: DataView;
  readonly #length: number;
  readonly #isSuper: boolean;

  constructor(view: DataView, length: number, isSuper: boolean) {
    this.#view = view;
    this.#length = length;
    this.#isSuper = isSuper;
  }

  network(type: number, at: number): Behind {
    switch (type) {
      case TYPE.ipv4:
        return this.#ipv4(at, this.#length);
      case TYPE.ipv6:
        return this.#ipv6(at, this.#length);
      case TYPE.arp:
        return this.#arp(at);
      default:
        return { protocol: 'other', source: '', target: '', ...NO_PORTS };
    }
  }

  /** @param frameEnd where the frame ends, from its beginning */
  #ipv4(at: number, frameEnd: number): Behind {
    const headerLength = (this.#view.getUint8(at) & 0x0f) * 4;
    const total = this.#view.getUint16(at + 2);
    const isLater = (this.#view.getUint16(at + 6) & 0x1fff) !== 0;
    const ends = { source: this.#ipv4Text(at + 12), target: this.#ipv4Text(at + 16) };
    // A short frame is filled up to 60 bytes, so its header knows better where it ends.
    const end = this.#isSuper || total === 0 ? frameEnd : Math.min(at + total, frameEnd);
    const number = isLater ? -1 : this.#view.getUint8(at + 9);
    return this.#transport(number, at + headerLength, end, ends);
  }

  #ipv6(at: number, frameEnd: number): Behind {
    const payload = this.#view.getUint16(at + 4);
    const ends = { source: this.#ipv6Text(at + 8), target: this.#ipv6Text(at + 24) };
    const end = this.#isSuper || payload === 0 ? frameEnd : Math.min(at + 40 + payload, frameEnd);
    let next = this.#view.getUint8(at + 6);
    let behind = at + 40;
    for (let i = 0; i < MOST_EXTENSIONS && (EXTENSIONS.has(next) || next === FRAGMENT); i++) {
      if (next === FRAGMENT && this.#view.getUint16(behind + 2) & 0xfff8) {
        return this.#transport(-1, behind, end, ends);
      }
      const length = next === FRAGMENT ? 8 : (this.#view.getUint8(behind + 1) + 1) * 8;
      next = this.#view.getUint8(behind);
      behind += length;
    }
    return this.#transport(next, behind, end, ends);
  }

  #transport(number: number, at: number, end: number, ends: { source: string; target: string }): Behind {
    switch (number) {
      case NUMBER.tcp:
        return { protocol: 'tcp', ...ends, ...this.#ports(at), tcp: this.#tcp(at, end) };
      case NUMBER.udp:
        return { protocol: 'udp', ...ends, ...this.#ports(at) };
      case NUMBER.icmp:
      case NUMBER.icmp6:
        return this.#icmp(number, at, end, ends);
      default:
        return { protocol: 'other', ...ends, ...NO_PORTS };
    }
  }

  #ports(at: number): { sourcePort: number; targetPort: number } {
    return { sourcePort: this.#view.getUint16(at), targetPort: this.#view.getUint16(at + 2) };
  }

  #tcp(at: number, end: number): TcpHeader {
    const flags = this.#view.getUint8(at + 13);
    return {
      sequence: this.#view.getUint32(at + 4),
      acknowledged: this.#view.getUint32(at + 8),
      fin: (flags & 0x01) !== 0,
      syn: (flags & 0x02) !== 0,
      rst: (flags & 0x04) !== 0,
      ack: (flags & 0x10) !== 0,
      window: this.#view.getUint16(at + 14),
      data: Math.max(end - at - (this.#view.getUint8(at + 12) >> 4) * 4, 0),
    };
  }

  #icmp(number: number, at: number, end: number, ends: { source: string; target: string }): Behind {
    const type = this.#view.getUint8(at);
    const kind = (number === NUMBER.icmp6 ? kindOfIcmp6 : kindOfIcmp)(type, this.#view.getUint8(at + 1));
    const isError = kind === 'unreachable' || kind === 'tooBig';
    const about = isError ? this.#quoted(number, at + 8, end) : undefined;
    // Echoes of one ping have one number: it tells pings apart, as ports do.
    const echo = kind === 'echoRequest' || kind === 'echoReply' ? this.#view.getUint16(at + 4) : 0;
    return {
      protocol: 'icmp',
      ...ends,
      sourcePort: echo,
      targetPort: echo,
      icmp: { kind, ...(about && { about }) },
    };
  }

  /** What an error is about. It quotes 8 bytes behind the IP header at the least. */
  #quoted(number: number, at: number, end: number): Ends | undefined {
    try {
      const isIpv6 = number === NUMBER.icmp6;
      const protocol = this.#view.getUint8(at + (isIpv6 ? 6 : 9));
      const behind = at + (isIpv6 ? 40 : (this.#view.getUint8(at) & 0x0f) * 4);
      const source = isIpv6 ? this.#ipv6Text(at + 8) : this.#ipv4Text(at + 12);
      const target = isIpv6 ? this.#ipv6Text(at + 24) : this.#ipv4Text(at + 16);
      if (protocol === NUMBER.tcp || protocol === NUMBER.udp) {
        return { protocol: protocol === NUMBER.tcp ? 'tcp' : 'udp', source, target, ...this.#ports(behind) };
      }
      return protocol === number && behind < end
        ? { protocol: 'icmp', source, target, ...NO_PORTS }
        : { protocol: 'other', source, target, ...NO_PORTS };
    } catch (error) {
      if (error instanceof RangeError) {
        return undefined;
      }
      throw error;
    }
  }

  #arp(at: number): Behind {
    const isIpv4 = this.#view.getUint16(at + 2) === TYPE.ipv4 && this.#view.getUint8(at + 5) === 4;
    if (!isIpv4) {
      return { protocol: 'other', source: '', target: '', ...NO_PORTS };
    }
    return {
      protocol: 'arp',
      source: this.#ipv4Text(at + 14),
      target: this.#ipv4Text(at + 24),
      ...NO_PORTS,
      asks: this.#view.getUint16(at + 6) === 1,
    };
  }

  #ipv4Text(at: number): string {
    const number = this.#view.getUint32(at);
    return `${number >>> 24}.${(number >>> 16) & 255}.${(number >>> 8) & 255}.${number & 255}`;
  }

  /** As RFC 5952 writes it: the longest run of zeros is left out. */
  #ipv6Text(at: number): string {
    const groups = Array.from({ length: 8 }, (_, i) => this.#view.getUint16(at + 2 * i).toString(16));
    const runs = [...groups.join(':').matchAll(/(?<![0-9a-f])0(?::0)+(?![0-9a-f])/g)];
    const longest = runs.reduce<RegExpExecArray | undefined>(
      (best, run) => (best === undefined || run[0].length > best[0].length ? run : best),
      undefined,
    );
    const text = groups.join(':');
    if (longest === undefined) {
      return text;
    }
    const before = text.slice(0, longest.index).replace(/:$/, '');
    const behind = text.slice(longest.index + longest[0].length).replace(/^:/, '');
    return `${before}::${behind}`;
  }
}

function kindOfIcmp(type: number, code: number): IcmpHeader['kind'] {
  switch (type) {
    case 0:
      return 'echoReply';
    case 8:
      return 'echoRequest';
    case 3:
      return code === 4 ? 'tooBig' : 'unreachable';
    default:
      return 'other';
  }
}

function kindOfIcmp6(type: number): IcmpHeader['kind'] {
  const kinds: Record<number, IcmpHeader['kind']> = {
    1: 'unreachable',
    2: 'tooBig',
    128: 'echoRequest',
    129: 'echoReply',
    135: 'neighbourRequest',
    136: 'neighbourReply',
  };
  return kinds[type] ?? 'other';
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function macAt(bytes: Uint8Array, at: number): string {
  if (bytes.length < at + 6) {
    throw new RangeError('the frame ends within its addresses');
  }
  return Array.from(bytes.subarray(at, at + 6), (byte) => HEX[byte]!).join(':');
}
