/** The helper veth pair of a node: copies that have to be changed pass the egress of `mirror0`. */
import { execFile } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { HELPER_ALIAS as ALIAS, isHelper } from '../../discovery/devices.ts';
import { dumpLinks, type Link, readLink } from '../../discovery/links.ts';
import { RtClient } from '../../discovery/rtnetlink.ts';
import type { Repair } from '../datapath.ts';

const run = promisify(execFile);

export const HELPER = 'mirror0';
const PEER = 'mirror1';
/** Their names until they are complete. Whoever is killed while making them leaves these, and the next one removes them. */
const PART = { helper: 'mirror0-part', peer: 'mirror1-part' } as const;

/** The pair as `ensure` left it. */
export interface HelperState {
  /** Of `mirror0`. */
  ifindex: number;
  /** What had to be put right; absent where the pair was as we left it, or is new. */
  repair?: Repair;
}

/** Keeps the pair as it has to be: both ends here, up, under their names. */
export class HelperDevice {
  readonly #client = new RtClient();
  /** ifindexes of the two ends; 0 until they have been found or made. */
  #ends: [helper: number, peer: number] = [0, 0];

  /**
   * Makes the pair where it is not there, and mends it where somebody has changed it.
   * @throws Error where a device of somebody else has the name
   */
  async ensure(): Promise<HelperState> {
    const known = this.#ends[0] !== 0;
    const pair = (await this.#known()) ?? (await this.#find());
    if (pair !== undefined) {
      this.#ends = [pair[0].ifindex, pair[1].ifindex];
      const count = await mend(pair);
      return { ifindex: pair[0].ifindex, ...(count > 0 && { repair: { kind: 'helperChanged', count } }) };
    }
    await this.#make();
    return { ifindex: this.#ends[0], ...(known && { repair: { kind: 'helperGone', count: 1 } }) };
  }

  /** Removes the pair, if it is ours, under whatever name. */
  async remove(): Promise<void> {
    await this.#removePart(await this.#all());
    for (const { ifindex } of await this.#ours()) {
      // The other end goes with the first.
      const link = await readLink(this.#client, ifindex);
      if (link !== undefined) await ip(['link', 'del', link.name]);
    }
    this.#ends = [0, 0];
  }

  close(): void {
    this.#client.close();
  }

  /** The pair that was there last, if both ends are here still: one that went to another network namespace is not. */
  async #known(): Promise<[Link, Link] | undefined> {
    if (this.#ends[0] === 0) return undefined;
    const helper = await readLink(this.#client, this.#ends[0]);
    const peer = helper && (await readLink(this.#client, this.#ends[1]));
    if (helper === undefined || peer === undefined) return undefined;
    // The numbers may have been given to others; a veth knows the number of its other end.
    return helper.peer === peer.ifindex && peer.peer === helper.ifindex ? [helper, peer] : undefined;
  }

  async #all(): Promise<Link[]> {
    return [...(await dumpLinks(this.#client)).values()];
  }

  async #ours(): Promise<Link[]> {
    return (await this.#all()).filter((link) => link.alias === ALIAS && isHelper(link));
  }

  async #removePart(links: readonly Link[]): Promise<void> {
    const part = links.find((link) => link.name === PART.helper && isHelper(link));
    if (part !== undefined) await ip(['link', 'del', part.name]);
  }

  /** A pair that an earlier agent made. Its ends are alike, so names do not matter much; a lone end is of no use. */
  async #find(): Promise<[Link, Link] | undefined> {
    await this.#removePart(await this.#all());
    const ours = await this.#ours();
    const helper = ours.find(({ name }) => name === HELPER) ?? ours.find(({ name }) => name !== PEER);
    const peer = ours.find(({ ifindex }) => ifindex === helper?.peer);
    if (helper !== undefined && peer !== undefined) return [helper, peer];
    await this.remove();
    return undefined;
  }

  async #make(): Promise<void> {
    const links = await this.#all();
    for (const name of [HELPER, PEER]) {
      if (!links.some((link) => link.name === name)) continue;
      throw new Error(`a device ${name} exists that Mirrorplane did not make; rename or delete it`);
    }
    // No ARP and no IPv6: the pair carries copies alone, and the host must not talk into it.
    await ip(['link', 'add', PART.helper, 'arp', 'off', 'type', 'veth', 'peer', 'name', PART.peer]);
    for (const device of Object.values(PART)) {
      const sysctl = `/proc/sys/net/ipv6/conf/${device}/disable_ipv6`;
      if (existsSync(sysctl)) writeFileSync(sysctl, '1'); // absent on a kernel without IPv6
      await ip(['link', 'set', device, 'arp', 'off', 'alias', ALIAS]);
    }
    await ip(['link', 'set', PART.peer, 'name', PEER]);
    await ip(['link', 'set', PART.helper, 'name', HELPER]);
    for (const device of [PEER, HELPER]) await ip(['link', 'set', device, 'up']);
    const made = await this.#all();
    const [helper, peer] = [HELPER, PEER].map((name) => made.find((link) => link.name === name));
    if (helper === undefined || peer === undefined) throw new Error(`${HELPER} was deleted while it was made`);
    this.#ends = [helper.ifindex, peer.ifindex];
  }
}

/** Returns how many of the two ends were not as they have to be. */
async function mend([helper, peer]: [Link, Link]): Promise<number> {
  let mended = 0;
  for (const [link, name] of [
    [peer, PEER],
    [helper, HELPER],
  ] as const) {
    if (link.up && link.name === name && link.alias === ALIAS) continue;
    mended++;
    if (link.alias !== ALIAS) await ip(['link', 'set', link.name, 'alias', ALIAS]);
    if (!link.up) await ip(['link', 'set', link.name, 'up']);
    // Kernels before 6.2 rename no device that is up. The name is for people: all that works goes by number.
    if (link.name !== name) await ip(['link', 'set', link.name, 'name', name]).catch(() => mended--);
  }
  return mended;
}

async function ip(args: readonly string[]): Promise<void> {
  await run('ip', args);
}
