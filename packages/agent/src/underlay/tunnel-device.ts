/** One WireGuard device of Mirrorplane, for one key of this node. */
import { existsSync, writeFileSync } from 'node:fs';
import { changeLink, deleteLink, dumpLinks, type Link, readLink } from '../netlink/link.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import { NetlinkError } from '../netlink/rtnetlink.ts';
import { addWireguard, type Wireguard, type WireguardPeer } from '../netlink/wireguard.ts';
import type { NodeKey } from './keys.ts';

/** Alias of the devices, because other software may rename them. */
export const TUNNEL_ALIAS = 'mirrorplane:tunnel';

/** The name of the device of a slot, at most 15 characters. */
export function tunnelName(slot: number): string {
  return `mirrorwg${slot}`;
}

/** Its name until it has its alias. A killed agent may leave a device with this name. */
function partName(slot: number): string {
  return `${tunnelName(slot)}-part`;
}

function isOurs({ linkType, alias, name }: Link): boolean {
  return linkType === 'wireguard' && (alias === TUNNEL_ALIAS || /^mirrorwg[01]-part$/.test(name));
}

/** Removes all devices of Mirrorplane, also if they were renamed. */
export async function removeTunnels(client: RtClient, keep: ReadonlySet<number> = new Set()): Promise<void> {
  for (const link of (await dumpLinks(client)).values()) {
    if (isOurs(link) && !keep.has(link.ifindex)) {
      await deleteLink(client, link.ifindex).catch(ignoreGone);
    }
  }
}

function ignoreGone(error: unknown): void {
  if (!(error instanceof NetlinkError && error.code === 'ENODEV')) {
    throw error;
  }
}

/** Milliseconds for which a peer stays that no path needs: its last copies may still be encrypted. */
const REST_MS = 5000;

/** What a device should be. */
export interface TunnelWish {
  key: NodeKey;
  /** UDP port. */
  port: number;
  mtu: number;
  /** By public key, base64. */
  peers: ReadonlyMap<string, WireguardPeer>;
}

/** Keeps one device in order. */
export class TunnelDevice {
  readonly #client: RtClient;
  readonly #wireguard: Wireguard;
  readonly #slot: number;
  #ifindex = 0;
  #publicKey: string | undefined;
  #port = 0;
  /** Peers that the device has, by public key, as text. */
  #peers = new Map<string, string>();
  /** Since when no path has needed a peer. */
  #unneeded = new Map<string, number>();

  constructor(client: RtClient, wireguard: Wireguard, slot: number) {
    this.#client = client;
    this.#wireguard = wireguard;
    this.#slot = slot;
  }

  /** 0: there is none. */
  get ifindex(): number {
    return this.#ifindex;
  }

  /**
   * Makes the device if it is absent, and adds and changes peers. Other peers stay: their copies may
   * be on their way.
   * @returns ifindex
   * @throws NetlinkError `EADDRINUSE` if another program has the port
   * @throws Error if a foreign device has the name
   */
  async ensure({ key, port, mtu, peers }: TunnelWish): Promise<number> {
    const link = (await this.#known()) ?? (await this.#find()) ?? (await this.#make(mtu));
    if (link.ifindex !== this.#ifindex) {
      this.#read(link.ifindex);
    }
    if (link.mtu !== mtu) {
      await changeLink(this.#client, link.ifindex, { mtu });
    }
    const isSet = this.#publicKey === key.publicKey && this.#port === port;
    const changed = [...peers].filter(([name, peer]) => this.#peers.get(name) !== textOf(peer));
    if (!isSet || changed.length > 0) {
      const own = isSet ? {} : { privateKey: key.privateKey, port };
      this.#wireguard.set(link.ifindex, { ...own, peers: changed.map(([, peer]) => peer) });
      this.#publicKey = key.publicKey;
      this.#port = port;
      for (const [name, peer] of changed) {
        this.#peers.set(name, textOf(peer));
      }
    }
    if (!link.up) {
      // The port is bound now.
      await changeLink(this.#client, link.ifindex, { up: true });
    }
    return link.ifindex;
  }

  /**
   * Removes peers that no path has needed for a while, and without peers the device.
   * @param now milliseconds since 1970
   */
  async retain(peers: ReadonlyMap<string, unknown>, now: number): Promise<void> {
    if (this.#ifindex === 0) {
      return;
    }
    const unneeded = [...this.#peers.keys()].filter((name) => !peers.has(name));
    this.#unneeded = new Map(unneeded.map((name) => [name, this.#unneeded.get(name) ?? now]));
    const gone = unneeded.filter((name) => now - this.#unneeded.get(name)! >= REST_MS);
    if (gone.length === this.#peers.size) {
      await this.remove();
      return;
    }
    if (gone.length === 0) {
      return;
    }
    this.#wireguard.set(this.#ifindex, { peers: [], removed: gone.map((name) => Buffer.from(name, 'base64')) });
    for (const name of gone) {
      this.#peers.delete(name);
      this.#unneeded.delete(name);
    }
  }

  /** Removes the device, if there is one. */
  async remove(): Promise<void> {
    if (this.#ifindex !== 0) {
      await deleteLink(this.#client, this.#ifindex).catch(ignoreGone);
    }
    this.#forget();
  }

  #forget(): void {
    this.#ifindex = 0;
    this.#publicKey = undefined;
    this.#port = 0;
    this.#peers = new Map();
    this.#unneeded = new Map();
  }

  /** The device of the last call, if it is still there. */
  async #known(): Promise<Link | undefined> {
    if (this.#ifindex === 0) {
      return undefined;
    }
    const link = await readLink(this.#client, this.#ifindex);
    if (link && isOurs(link)) {
      return link;
    }
    this.#forget();
    return undefined;
  }

  /** The device of an earlier agent. What it left half-made is removed. */
  async #find(): Promise<Link | undefined> {
    const links = [...(await dumpLinks(this.#client)).values()];
    const part = links.find((link) => link.name === partName(this.#slot) && isOurs(link));
    if (part) {
      await deleteLink(this.#client, part.ifindex).catch(ignoreGone);
    }
    const named = links.find(({ name }) => name === tunnelName(this.#slot));
    if (named && !isOurs(named)) {
      throw new Error(`a device ${named.name} exists that Mirrorplane did not make; rename or delete it`);
    }
    return named;
  }

  async #make(mtu: number): Promise<Link> {
    await addWireguard(this.#client, partName(this.#slot), mtu);
    const made = [...(await dumpLinks(this.#client)).values()].find(({ name }) => name === partName(this.#slot));
    if (made === undefined) {
      throw new Error(`${tunnelName(this.#slot)} was deleted during its creation`);
    }
    shut(made.name);
    await changeLink(this.#client, made.ifindex, { alias: TUNNEL_ALIAS });
    await changeLink(this.#client, made.ifindex, { name: tunnelName(this.#slot) });
    return { ...made, name: tunnelName(this.#slot), alias: TUNNEL_ALIAS };
  }

  /** Reads what an earlier agent has set. */
  #read(ifindex: number): void {
    const { publicKey, port, peers } = this.#wireguard.get(ifindex);
    this.#ifindex = ifindex;
    this.#publicKey = publicKey?.toString('base64');
    this.#port = port;
    // The text of these peers is not known, so those that are needed are set again.
    this.#peers = new Map(peers.map((key) => [key.toString('base64'), '']));
  }
}

function textOf({ endpoint, address }: WireguardPeer): string {
  return `${endpoint.address}:${endpoint.port} ${address}`;
}

/**
 * The host takes nothing from the device. Only the BPF program reads it: packets of peers have
 * source addresses that no route leads back to (RFC 3704, section 2.2).
 */
function shut(name: string): void {
  for (const [path, value] of [
    [`ipv4/conf/${name}/rp_filter`, '1'],
    [`ipv6/conf/${name}/disable_ipv6`, '1'],
  ] as const) {
    const file = `/proc/sys/net/${path}`;
    if (existsSync(file)) {
      writeFileSync(file, value);
    }
  }
}
