/**
 * Reads and changes filters of traffic control: the qdisc that has filters, and its cls_bpf
 * filters.
 */

import { type RtRequest, RtSync } from './rt-sync.ts';
import {
  attribute,
  attributes,
  getU32,
  NetlinkError,
  NLM_F_CREATE,
  NLM_F_ECHO,
  NLM_F_EXCL,
  NLM_F_REPLACE,
  RTM,
  text,
  u32,
} from './rtnetlink.ts';

/** include/uapi/linux/rtnetlink.h, pkt_sched.h, pkt_cls.h. */
const TCA = { KIND: 1, OPTIONS: 2, CHAIN: 11 } as const;
const TCA_BPF = { FD: 6, NAME: 7, FLAGS: 8, FLAGS_GEN: 9, ID: 11 } as const;
const TCA_BPF_FLAG_ACT_DIRECT = 1;
/** Filters must not be offloaded to a NIC. */
const TCA_CLS_FLAGS_SKIP_HW = 1;
/** Parent of the qdiscs `ingress` and `clsact`. A device has at most one of them. */
export const TC_H_CLSACT = 0xfffffff1;
const CLSACT_HANDLE = 0xffff0000;
/** The two sides of clsact, and the only side of a qdisc `ingress`. */
const PARENT = { ingress: 0xfffffff2, egress: 0xfffffff3, sole: CLSACT_HANDLE } as const;
/** Side of a filter. */
export type Side = keyof typeof PARENT;

const TCMSG = 20;
/** ETH_P_ALL as it is on the wire. */
const ALL_PROTOCOLS = 0x0300;

/** A filter of the kernel. */
export interface Filter {
  /** Classifier, for example `bpf` or `u32`. */
  kind: string;
  /** 1 to 65535. The lowest runs first. */
  preference: number;
  /** It runs for frames of every protocol. */
  allProtocols: boolean;
  handle: number;
  /** Chain. A packet begins in chain 0; a filter can send it to another chain. */
  chain: number;
  /** Name of a bpf filter, else empty. */
  name: string;
  /** Kernel id of the program of a bpf filter, else 0. */
  program: number;
}

/** Identifies a filter of a device. */
type At = Pick<Filter, 'preference' | 'handle'>;

/** A filter to make. `program` is a file descriptor. */
type FilterDraft = At & { name: string; program: number };

/** An existing filter and its new program. */
export interface Replacement {
  ifindex: number;
  side: Side;
  filter: FilterDraft;
}

/**
 * Number of filters that are replaced in one call. The answers must fit into the socket until it
 * returns.
 */
const TOGETHER = 64;

const NOTHING = Buffer.alloc(0);

/** Reads and changes qdiscs and filters of the network namespace. */
export class TcFilters {
  readonly #netlink = new RtSync();

  /**
   * The kind of the qdisc that has the filters of a device. Undefined without a qdisc or a device.
   */
  carrier(ifindex: number): string | undefined {
    try {
      const [message] = this.#netlink.request(RTM.GETQDISC, header(ifindex, 0, TC_H_CLSACT), NLM_F_ECHO);
      return message && text(attributes(message.data, TCMSG).get(TCA.KIND));
    } catch (error) {
      if (isGone(error)) {
        return undefined;
      }
      throw error;
    }
  }

  /** ifindexes of all devices with such a qdisc. */
  carriers(): number[] {
    return this.#netlink
      .dump(RTM.GETQDISC, header(0, 0, 0))
      .filter(({ data }) => data.length >= TCMSG && getU32(data, 12) === TC_H_CLSACT)
      .map(({ data }) => getU32(data, 4));
  }

  /**
   * All filters of a side, in the order in which they run. A qdisc `ingress` returns its filters
   * for either side.
   */
  list(ifindex: number, side: Side): Filter[] {
    try {
      const messages = this.#netlink.dump(RTM.GETTFILTER, header(ifindex, 0, PARENT[side]));
      return messages.flatMap(({ data }) => (data.length < TCMSG ? [] : parseFilter(data)));
    } catch (error) {
      if (isGone(error)) {
        return [];
      }
      throw error;
    }
  }

  /** Numbers of the chains of a side: 0, and those that someone has added. */
  chains(ifindex: number, side: Side): number[] {
    const chains = this.#netlink.dump(RTM.GETCHAIN, header(ifindex, 0, PARENT[side]));
    return chains.map(({ data }) => chainOf(attributes(data, TCMSG)));
  }

  /** Attaches a program. @throws NetlinkError if the kernel refuses; nothing is left behind then */
  add(ifindex: number, side: Side, filter: FilterDraft): void {
    const { type, payload, flags } = filterRequest(ifindex, side, filter, NLM_F_CREATE | NLM_F_EXCL);
    this.#netlink.request(type, payload, flags);
  }

  /**
   * Makes clsact with an empty chain of this number at ingress. No packet passes the chain, and it
   * is removed with the qdisc. Both are made in one call, so that one never exists without the
   * other. @throws NetlinkError if there is already such a qdisc
   */
  makeCarrier(ifindex: number, chain: number): void {
    const [made, marked] = this.#netlink.requests([
      {
        type: RTM.NEWQDISC,
        payload: Buffer.concat([
          header(ifindex, CLSACT_HANDLE, TC_H_CLSACT),
          attribute(TCA.KIND, Buffer.from('clsact\0')),
        ]),
        flags: NLM_F_CREATE | NLM_F_EXCL,
      },
      { type: RTM.NEWCHAIN, payload: chainHeader(ifindex, chain), flags: NLM_F_CREATE | NLM_F_EXCL },
    ]);
    if (made instanceof NetlinkError) {
      // Other software has made a clsact in the meantime, and our chain is in it.
      if (!(marked instanceof NetlinkError)) {
        this.removeChain(ifindex, chain);
      }
      throw made;
    }
    if (!(marked instanceof NetlinkError)) {
      return;
    }
    // Our clsact was removed in between. One that exists now is not ours.
    if (!isGone(marked)) {
      this.removeCarrier(ifindex);
    }
    throw marked;
  }

  /** Removes a chain of ingress, if it exists. */
  removeChain(ifindex: number, chain: number): void {
    this.#delete(RTM.DELCHAIN, chainHeader(ifindex, chain));
  }

  /**
   * Replaces programs of existing filters. Each packet meets exactly one of the two programs.
   * @throws NetlinkError, the first one
   */
  replace(replacements: readonly Replacement[]): void {
    for (let at = 0; at < replacements.length; at += TOGETHER) {
      const requests = replacements
        .slice(at, at + TOGETHER)
        .map(({ ifindex, side, filter }) => filterRequest(ifindex, side, filter, NLM_F_CREATE | NLM_F_REPLACE));
      for (const answer of this.#netlink.requests(requests)) {
        if (answer instanceof NetlinkError && !isGone(answer)) {
          throw answer;
        }
      }
    }
  }

  /** Removes one of our filters, if it and its device exist. */
  remove(ifindex: number, side: Side, filter: At): void {
    this.#delete(RTM.DELTFILTER, filterHeader(ifindex, side, filter));
  }

  /** Removes the qdisc with all its filters, if it exists. */
  removeCarrier(ifindex: number): void {
    this.#delete(RTM.DELQDISC, header(ifindex, 0, TC_H_CLSACT));
  }

  close(): void {
    this.#netlink.close();
  }

  #delete(type: number, payload: Buffer): void {
    try {
      this.#netlink.request(type, payload);
    } catch (error) {
      if (!isGone(error)) {
        throw error;
      }
    }
  }
}

/** For a device without the qdisc, the kernel returns EINVAL. */
function isGone(error: unknown): boolean {
  return error instanceof NetlinkError && ['ENODEV', 'ENOENT', 'EINVAL'].includes(error.code);
}

/** struct tcmsg: family, ifindex, handle, parent, info. */
function header(ifindex: number, handle: number, parent: number, info = 0): Buffer {
  return Buffer.concat([Buffer.alloc(4), u32(ifindex), u32(handle), u32(parent), u32(info)]);
}

function filterHeader(ifindex: number, side: Side, { preference, handle }: At): Buffer {
  const info = ((preference << 16) | ALL_PROTOCOLS) >>> 0;
  return Buffer.concat([header(ifindex, handle, PARENT[side], info), attribute(TCA.KIND, Buffer.from('bpf\0'))]);
}

function filterRequest(ifindex: number, side: Side, filter: FilterDraft, flags: number): RtRequest {
  const options = Buffer.concat([
    attribute(TCA_BPF.FD, u32(filter.program)),
    attribute(TCA_BPF.NAME, Buffer.from(`${filter.name}\0`)),
    attribute(TCA_BPF.FLAGS, u32(TCA_BPF_FLAG_ACT_DIRECT)),
    attribute(TCA_BPF.FLAGS_GEN, u32(TCA_CLS_FLAGS_SKIP_HW)),
  ]);
  const payload = Buffer.concat([filterHeader(ifindex, side, filter), attribute(TCA.OPTIONS, options)]);
  return { type: RTM.NEWTFILTER, payload, flags };
}

function chainHeader(ifindex: number, chain: number): Buffer {
  return Buffer.concat([header(ifindex, 0, PARENT.ingress), attribute(TCA.CHAIN, u32(chain))]);
}

function chainOf(attrs: ReadonlyMap<number, Buffer>): number {
  const chain = attrs.get(TCA.CHAIN);
  return chain === undefined ? 0 : getU32(chain, 0);
}

/**
 * Reads filters. An entry without a handle only announces the classifier of a preference, and is
 * ignored.
 */
function parseFilter(data: Buffer): Filter[] {
  const handle = getU32(data, 8);
  const attrs = attributes(data, TCMSG);
  const kind = text(attrs.get(TCA.KIND));
  const options = attributes(kind === 'bpf' ? (attrs.get(TCA.OPTIONS) ?? NOTHING) : NOTHING, 0);
  const program = options.get(TCA_BPF.ID);
  if (kind === 'bpf' && handle === 0) {
    return [];
  }
  const info = getU32(data, 16);
  return [
    {
      kind,
      preference: info >>> 16,
      allProtocols: (info & 0xffff) === ALL_PROTOCOLS,
      handle,
      chain: chainOf(attrs),
      name: text(options.get(TCA_BPF.NAME)),
      program: program === undefined ? 0 : getU32(program, 0),
    },
  ];
}
