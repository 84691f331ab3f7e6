/**
 * The segmenter of a node: a macvlan over the helper device for which the kernel makes the segments of super-packets, and
 * computes their checksums where it has to. What is sent into it passes the egress of the helper device within the same call.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { HELPER_ALIAS, SEGMENTER } from '../../netlink/helper-pair.ts';
import { addSegmentingMacvlan, changeLink, dumpLinks, type Link, readLink } from '../../netlink/link.ts';
import { NetlinkError, RtClient } from '../../netlink/rtnetlink.ts';

/** Keeps the segmenter over a helper device. It goes with the helper device. */
export class Segmenter {
  readonly #client = new RtClient();
  #ifindex = 0;
  /** Helper device over which it cannot be made. */
  #refusedOver = 0;

  /**
   * Makes it where it is not there, and sets it up where someone has brought it down.
   * @param helper ifindex of the helper device; 0: there is none
   * @returns its ifindex; 0: the kernel has no macvlan, or someone else has the name
   */
  async ensure(helper: number): Promise<number> {
    if (helper === 0 || helper === this.#refusedOver) {
      return 0;
    }
    try {
      const link = (await this.#known(helper)) ?? (await this.#find(helper)) ?? (await this.#make(helper));
      if (link.alias !== HELPER_ALIAS || !link.up) {
        const sysctl = `/proc/sys/net/ipv6/conf/${link.name}/disable_ipv6`;
        if (existsSync(sysctl)) {
          writeFileSync(sysctl, '1'); // absent on a kernel without IPv6
        }
        await changeLink(this.#client, link.ifindex, { alias: HELPER_ALIAS, up: true });
      }
      this.#ifindex = link.ifindex;
    } catch (error) {
      if (!(error instanceof NetlinkError)) {
        throw error;
      }
      this.#ifindex = 0;
      // Not where it went while it was looked at: the next look makes it again.
      if (error.code !== 'ENODEV') {
        this.#refusedOver = helper;
      }
    }
    return this.#ifindex;
  }

  close(): void {
    this.#client.close();
  }

  async #known(helper: number): Promise<Link | undefined> {
    const link = this.#ifindex === 0 ? undefined : await readLink(this.#client, this.#ifindex);
    return link && isOver(link, helper) ? link : undefined;
  }

  /** One that an earlier agent made: nobody else has a macvlan over the helper device. */
  async #find(helper: number): Promise<Link | undefined> {
    return [...(await dumpLinks(this.#client)).values()].find((link) => isOver(link, helper));
  }

  async #make(helper: number): Promise<Link> {
    await addSegmentingMacvlan(this.#client, SEGMENTER, helper);
    const made = await this.#find(helper);
    if (made === undefined) {
      throw new NetlinkError('ENODEV', `${SEGMENTER} was deleted during its creation`);
    }
    return made;
  }
}

function isOver({ linkType, peer }: Link, helper: number): boolean {
  return linkType === 'macvlan' && peer === helper;
}
