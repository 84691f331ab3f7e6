/**
 * The segmenter of a node: a macvlan over the helper device. The kernel divides super-packets that
 * are sent into it, and computes checksums where needed. The segments pass the egress of the helper
 * device within the same call.
 */
import { existsSync, writeFileSync } from 'node:fs';
import { HELPER_ALIAS, SEGMENTER } from '../../netlink/helper-pair.ts';
import { addSegmentingMacvlan, changeLink, dumpLinks, type Link, readLink } from '../../netlink/link.ts';
import { RtClient } from '../../netlink/rt-client.ts';
import { NetlinkError } from '../../netlink/rtnetlink.ts';

/** Keeps the segmenter over a helper device. It is removed together with the helper device. */
export class Segmenter {
  readonly #client = new RtClient();
  #ifindex = 0;
  /** ifindex of a helper device where the segmenter cannot be made. */
  #refusedOver = 0;

  /**
   * Makes the segmenter if it is absent, and sets it up if someone has brought it down.
   * @param helper ifindex of the helper device; 0: there is none
   * @returns its ifindex; 0: the kernel has no macvlan, or a foreign device has the name
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
      // ENODEV: it was removed during the check. The next look makes it again.
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

  /** A segmenter of an earlier agent. No other software makes a macvlan over the helper device. */
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
