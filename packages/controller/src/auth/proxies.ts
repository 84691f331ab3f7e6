/** Which proxies are believed, and what a request says through them. Pure but for `BlockList`. */
import { BlockList, isIP } from 'node:net';

/** The headers in which proxies say for whom they speak: `X-Forwarded-*`, or `Forwarded` (RFC 7239). */
export const PROXY_HEADERS = ['x-forwarded', 'forwarded'] as const;
export type ProxyHeader = (typeof PROXY_HEADERS)[number];

/** The address of connections over a unix socket. */
export const UNIX = 'unix';

/** The headers that matter here, as Node.js has them: lines of one name are joined by a comma. */
export type ForwardedHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** The other end of a connection. */
export interface Peer {
  /** Undefined: over a unix socket. */
  remoteAddress?: string | undefined;
  /** Whether it speaks TLS with this process. */
  encrypted?: boolean;
}

/** Who sends a request, and how, as far as it can be believed. */
export interface Sender {
  /** An IP address, or `unix`. Behind trusted proxies: the nearest address that is none of them. */
  address: string;
  /** Whether the sender uses TLS: with this process, or with the proxy that it talks to. */
  byTls: boolean;
  /** Host and port that the sender has asked the proxy for. Undefined: no trusted proxy says it. */
  host?: string;
}

/** What one proxy says about the connection that it has accepted. */
interface Hop {
  address?: string | undefined;
  proto?: string | undefined;
  host?: string | undefined;
}

/** The proxies whose headers are believed. */
export class TrustedProxies {
  readonly #nets = new BlockList();
  readonly #header: ProxyHeader;
  #unix = false;

  /**
   * @param nets addresses, networks as `10.0.0.0/8`, or `unix` for all that comes by a unix socket
   * @param header the one header that they set; a client could choose the content of the other one
   * @throws Error for any other text
   */
  constructor(nets: readonly string[] = [], header: ProxyHeader = 'x-forwarded') {
    this.#header = header;
    for (const net of nets) {
      this.#add(net);
    }
  }

  /** The sender of a request. */
  senderOf(peer: Peer, headers: ForwardedHeaders): Sender {
    const sender: Sender = { address: plain(peer.remoteAddress ?? UNIX), byTls: peer.encrypted === true };
    if (!this.#trusts(sender.address)) {
      return sender;
    }
    const hops = this.#header === 'forwarded' ? hopsOfForwarded(headers) : hopsOfForwardedFor(headers);
    let said: Hop | undefined;
    // From the nearest proxy backwards. Beyond the first address that is no proxy of ours, anything
    // may have been written by the client.
    for (const hop of hops.reverse()) {
      said = hop;
      if (hop.address === undefined) {
        break;
      }
      sender.address = hop.address;
      if (!this.#trusts(hop.address)) {
        break;
      }
    }
    const byTls = said?.proto === undefined ? sender.byTls : said.proto === 'https';
    return { ...sender, byTls, ...(said?.host !== undefined && { host: said.host }) };
  }

  #trusts(address: string): boolean {
    const family = isIP(address);
    return family === 0 ? this.#unix && address === UNIX : this.#nets.check(address, family === 4 ? 'ipv4' : 'ipv6');
  }

  #add(text: string): void {
    if (text === UNIX) {
      this.#unix = true;
      return;
    }
    const [address = '', length, ...more] = text.split('/');
    const family = isIP(address);
    const most = family === 4 ? 32 : 128;
    const bits = length === undefined ? most : /^\d{1,3}$/.test(length) ? Number(length) : Number.NaN;
    if (family === 0 || more.length > 0 || !(bits >= 0 && bits <= most)) {
      throw new Error(`"${text}" is no address or network: write one as 10.0.0.5, 10.0.0.0/24, fd00::/64 or unix`);
    }
    this.#nets.addSubnet(address, bits, family === 4 ? 'ipv4' : 'ipv6');
  }
}

/** An IPv4 address without the prefix that it has on a socket for IPv6 too. */
function plain(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
}

/** `ADDR`, `ADDR:PORT`, `V6` or `[V6]:PORT` as an address. Undefined for anything else, such as `unknown`. */
function addressIn(text: string | undefined): string | undefined {
  const [, inBrackets, beforePort] = /^(?:\[([^\]]*)\]|([^:]*))(?::[\w.-]+)?$/.exec(text ?? '') ?? [];
  const address = inBrackets ?? beforePort ?? text ?? '';
  return isIP(address) === 0 ? undefined : plain(address.split('%')[0]!);
}

function hopsOfForwardedFor(headers: ForwardedHeaders): Hop[] {
  const [addresses, protos, hosts] = ['x-forwarded-for', 'x-forwarded-proto', 'x-forwarded-host'].map((name) =>
    listOf(headers[name]),
  ) as [string[], string[], string[]];
  // Some proxies add to a list, and some replace it. So a list of another length is that of the
  // nearest proxy alone.
  const at = (list: string[], index: number) => (list.length === addresses.length ? list[index] : list.at(-1));
  if (addresses.length === 0) {
    return [{ proto: protos.at(-1)?.toLowerCase(), host: hosts.at(-1) }];
  }
  return addresses.map((address, index) => ({
    address: addressIn(address),
    proto: at(protos, index)?.toLowerCase(),
    host: at(hosts, index),
  }));
}

/** The elements of `Forwarded` (RFC 7239, section 4). Node.js takes 16 KiB of headers at most. */
function hopsOfForwarded(headers: ForwardedHeaders): Hop[] {
  const hops: Hop[] = [{}];
  // No two parts can match the same spaces: so a header is read in a time that grows with its length.
  const pair = /\s*(?:([\w!#$%&'*+.^`|~-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]*))\s*)?([;,]|$)/y;
  const text = String(headers.forwarded ?? '');
  while (pair.lastIndex < text.length) {
    const [whole, name = '', quoted, word, end] = pair.exec(text) ?? [];
    if (whole === undefined) {
      // What cannot be read hides who was before: nothing of it is believed.
      return [];
    }
    const value = quoted?.replaceAll(/\\(.)/g, '$1') ?? word;
    const hop = hops.at(-1)!;
    switch (name.toLowerCase()) {
      case 'for':
        hop.address = addressIn(value);
        break;
      case 'proto':
        hop.proto = value?.toLowerCase();
        break;
      case 'host':
        hop.host = value;
        break;
    }
    if (end === ',') {
      hops.push({});
    }
  }
  return hops;
}

function listOf(header: string | string[] | undefined): string[] {
  const text = String(header ?? '').trim();
  return text === '' ? [] : text.split(',').map((item) => item.trim());
}
