/** The helper veth pair of a node: copies that have to be changed pass the egress of `mirror0`. */
import { randomInt } from 'node:crypto';
import { existsSync, writeFileSync } from 'node:fs';
import { HELPER, HELPER_ALIAS, HELPER_PART, HELPER_PEER, isHelper } from '../../netlink/helper-pair.ts';
import {
  addVethPair,
  changeLink,
  deleteLink,
  dumpLinks,
  type Link,
  type LinkChange,
  readLink,
} from '../../netlink/link.ts';
import { RtClient } from '../../netlink/rt-client.ts';
import { NetlinkError } from '../../netlink/rtnetlink.ts';
import type { Repair } from '../datapath.ts';
import { answerRoutes } from './route-questions.ts';
import { Segmenter } from './segmenter.ts';

/**
 * The ifindexes of both ends are drawn at random from this number on. A BPF program that finds a
 * device with this ifindex is still in this network namespace (packages/bpf/src/place.h). The
 * kernel itself counts from 1.
 */
const FIRST_NUMBER = 2 ** 30;
const LAST_NUMBER = 2 ** 31 - 1;
/** Attempts. The probability that an ifindex is taken is the number of devices in a billion. */
const DRAWS = 4;

/** The pair after `ensure`. */
export interface HelperState {
  /** ifindex of `mirror0`. */
  ifindex: number;
  /** ifindex of `mirror1`. */
  peer: number;
  /**
   * ifindex of the segmenter over `mirror0`. 0: it cannot be made, and super-packets that need it
   * are dropped.
   */
  segmenter: number;
  /** The repair. Absent if the pair was unchanged or is new. */
  repair?: Repair;
}

type Pair = readonly [helper: Link, peer: Link];

/** Keeps the pair in order: both ends in this namespace, up, with their names. */
export class HelperDevice {
  readonly #client = new RtClient();
  readonly #segmenter = new Segmenter();
  /** ifindexes of the two ends. 0 until they have been found or made. */
  #ends: readonly [helper: number, peer: number] = [0, 0];

  /**
   * Makes the pair if it is absent, and repairs it if other software has changed it.
   * @throws Error if a foreign device has the name
   */
  async ensure(): Promise<HelperState> {
    const wasKnown = this.#ends[0] !== 0;
    const found = (await this.#known()) ?? (await this.#find());
    const pair = found ?? (await this.#make());
    this.#ends = [pair[0].ifindex, pair[1].ifindex];
    const count = found ? await this.#mend(found) : Number(wasKnown);
    const [ifindex, peer] = this.#ends;
    await answerRoutes(this.#client, pair[0].name);
    const segmenter = await this.#segmenter.ensure(ifindex);
    if (count === 0) {
      return { ifindex, peer, segmenter };
    }
    return { ifindex, peer, segmenter, repair: { kind: found ? 'helperChanged' : 'helperGone', count } };
  }

  /** ifindexes of what Mirrorplane has made here. Nothing is changed. */
  async present(): Promise<number[]> {
    return (await this.#ours()).map(({ ifindex }) => ifindex);
  }

  /** Removes the pair, also if it was renamed. Foreign devices are not removed. */
  async remove(): Promise<void> {
    for (const { ifindex } of await this.#ours()) {
      await this.#delete(ifindex);
    }
    this.#ends = [0, 0];
  }

  close(): void {
    this.#client.close();
    this.#segmenter.close();
  }

  /** The pair of the last call, if both ends are still in this network namespace. */
  async #known(): Promise<Pair | undefined> {
    if (this.#ends[0] === 0) {
      return undefined;
    }
    const helper = await readLink(this.#client, this.#ends[0]);
    const peer = helper && (await readLink(this.#client, this.#ends[1]));
    // Other devices may have these ifindexes now. A veth knows the ifindex of its other end.
    return peer && helper.peer === peer.ifindex && peer.peer === helper.ifindex ? [helper, peer] : undefined;
  }

  /**
   * A pair that an earlier agent made. The ends are equal, so their names do not matter. A single
   * end is of no use. An end with a small ifindex is of no use either, because the ifindex proves
   * nothing.
   */
  async #find(): Promise<Pair | undefined> {
    const ours = await this.#ours();
    const whole = ours.filter(
      ({ name, ifindex }) => name !== HELPER_PART.helper && name !== HELPER_PART.peer && ifindex >= FIRST_NUMBER,
    );
    const helper = whole.find(({ name }) => name === HELPER) ?? whole.find(({ name }) => name !== HELPER_PEER);
    const peer = whole.find(({ ifindex }) => ifindex === helper?.peer);
    if (helper !== undefined && peer !== undefined) {
      return [helper, peer];
    }
    await this.remove();
    return undefined;
  }

  async #all(): Promise<Link[]> {
    return [...(await dumpLinks(this.#client)).values()];
  }

  async #ours(): Promise<Link[]> {
    const names: readonly string[] = Object.values(HELPER_PART);
    return (await this.#all()).filter(
      (link) =>
        link.linkType === 'veth' && isHelper(link) && (link.alias === HELPER_ALIAS || names.includes(link.name)),
    );
  }

  async #make(): Promise<Pair> {
    const names = new Set((await this.#all()).map(({ name }) => name));
    for (const name of [HELPER, HELPER_PEER]) {
      if (!names.has(name)) {
        continue;
      }
      throw new Error(`a device ${name} exists that Mirrorplane did not make; rename or delete it`);
    }
    // No ARP and no IPv6: the pair carries only copies, and the host must not send into it.
    await this.#add();
    const made = await this.#all();
    const [helper, peer] = [HELPER_PART.helper, HELPER_PART.peer].map((name) =>
      made.find((link) => link.name === name),
    );
    if (helper === undefined || peer === undefined) {
      throw new Error(`${HELPER} was deleted during its creation`);
    }
    for (const { name, ifindex } of [helper, peer]) {
      const sysctl = `/proc/sys/net/ipv6/conf/${name}/disable_ipv6`;
      if (existsSync(sysctl)) {
        writeFileSync(sysctl, '1'); // absent on a kernel without IPv6
      }
      await changeLink(this.#client, ifindex, { alias: HELPER_ALIAS });
    }
    await changeLink(this.#client, peer.ifindex, { name: HELPER_PEER });
    await changeLink(this.#client, helper.ifindex, { name: HELPER });
    for (const { ifindex } of [peer, helper]) {
      await changeLink(this.#client, ifindex, { up: true });
    }
    return [helper, peer];
  }

  async #add(): Promise<void> {
    for (let draw = 1; ; draw++) {
      try {
        const number = () => randomInt(FIRST_NUMBER, LAST_NUMBER);
        return await addVethPair(this.#client, [HELPER_PART.helper, number()], [HELPER_PART.peer, number()]);
      } catch (error) {
        const taken = error instanceof NetlinkError && (error.code === 'EBUSY' || error.code === 'EEXIST');
        if (!taken || draw === DRAWS) {
          throw error;
        }
      }
    }
  }

  /** Repairs both ends. Returns how many of them needed a repair. */
  async #mend([helper, peer]: Pair): Promise<number> {
    let mended = 0;
    for (const [link, name] of [
      [peer, HELPER_PEER],
      [helper, HELPER],
    ] as const) {
      const change: LinkChange = {
        ...(link.alias !== HELPER_ALIAS && { alias: HELPER_ALIAS }),
        ...(!link.up && { up: true }),
      };
      if (Object.keys(change).length > 0) {
        await changeLink(this.#client, link.ifindex, change);
        mended++;
      }
      if (link.name !== name && (await this.#rename(link.ifindex, name))) {
        mended++;
      }
    }
    return mended;
  }

  /**
   * False if the kernel refuses. Before 6.2 a device that is up cannot be renamed, and the name may
   * be taken. The name is only for people. All functions use the ifindex.
   */
  async #rename(ifindex: number, name: string): Promise<boolean> {
    try {
      await changeLink(this.#client, ifindex, { name });
      return true;
    } catch (error) {
      if (error instanceof NetlinkError) {
        return false;
      }
      throw error;
    }
  }

  async #delete(ifindex: number): Promise<void> {
    try {
      await deleteLink(this.#client, ifindex);
    } catch (error) {
      // The second end is removed together with the first.
      if (!(error instanceof NetlinkError && error.code === 'ENODEV')) {
        throw error;
      }
    }
  }
}
