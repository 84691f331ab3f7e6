/**
 * Caches the filters at hooks of devices. They are read again after the kernel has reported a
 * change.
 */

import { isDeepStrictEqual } from 'node:util';
import { RtChanges } from '../../netlink/rt-sync.ts';
import { GROUP, getU32, RTM, type RtMessage } from '../../netlink/rtnetlink.ts';
import { type Filter, type Side, TC_H_CLSACT, type TcFilters } from '../../netlink/tc-filters.ts';
import type { Hook } from '../datapath.ts';
import { type Attachment, HOOKS } from './links.ts';

/**
 * Messages after which the filters of a device may have changed. The ifindex is at the same place
 * in each header.
 */
const TELLING: readonly number[] = [RTM.NEWQDISC, RTM.DELQDISC, RTM.NEWTFILTER, RTM.DELTFILTER, RTM.DELLINK];
/** Place of the parent in struct tcmsg. */
const PARENT = 12;
/** Milliseconds after which all hooks are read again, also without a report of the kernel. */
const FULL_READ_INTERVAL_MS = 10_000;

/** A hook of a device. */
export interface Place {
  side: Side;
  /** Filters of the first chain, where every packet begins, in the order in which they run. */
  filters: readonly Filter[];
}

/** Reads filters on request. */
export class HookFilters {
  readonly #filters: TcFilters;
  readonly #changes = new RtChanges([GROUP.LINK, GROUP.TC]);
  /** Hooks without a reported change since they were read, by ifindex and hook. */
  readonly #known = new Map<string, Place>();
  #readAt = 0;
  /** ifindexes of devices that have gone since this was asked. Undefined: reports were lost. */
  #gone: Set<number> | undefined = new Set();

  /** @param filters reads filters from the kernel; its creator closes it */
  constructor(filters: TcFilters) {
    this.#filters = filters;
  }

  /** Begins to listen for changes. @throws NetlinkError */
  open(): void {
    this.#changes.open();
  }

  /** Forgets hooks that have changed since the last call. @throws NetlinkError */
  look(): void {
    const changes = this.#changes.take();
    const now = performance.now();
    if (changes === undefined || now - this.#readAt > FULL_READ_INTERVAL_MS) {
      this.#readAt = now;
      this.#known.clear();
    }
    if (changes === undefined) {
      this.#gone = undefined;
    }
    for (const message of changes ?? []) {
      if (message.type === RTM.DELLINK && message.data.length >= 8) {
        this.#gone?.add(getU32(message.data, 4));
      }
      if (mayTell(message)) {
        this.forget(getU32(message.data, 4));
      }
    }
  }

  /**
   * ifindexes of devices that have gone since the last call, also where another one has the ifindex
   * now. Undefined: not known, because reports of the kernel were lost.
   */
  takeGone(): ReadonlySet<number> | undefined {
    const gone = this.#gone;
    this.#gone = new Set();
    return gone;
  }

  /**
   * Whether a hook that was read has other filters now. Hooks that may have changed since the last
   * call are read again. @throws NetlinkError
   */
  haveChanged(): boolean {
    const before = new Map(this.#known);
    this.look();
    const forgotten = [...before].filter(([key]) => !this.#known.has(key));
    return forgotten.some(([key, place]) => {
      const [ifindex, hook] = key.split('-') as [string, Hook];
      return !isDeepStrictEqual(this.at({ ifindex: Number(ifindex), hook }), place);
    });
  }

  /** The filters at a hook. @throws NetlinkError */
  at({ ifindex, hook }: Pick<Attachment, 'ifindex' | 'hook'>): Place {
    const key = `${ifindex}-${hook}`;
    let place = this.#known.get(key);
    if (place === undefined) {
      place = this.#read(ifindex, hook);
      this.#known.set(key, place);
    }
    return place;
  }

  /** Makes sure that the hooks of a device are read again. */
  forget(ifindex: number): void {
    for (const hook of HOOKS) {
      this.#known.delete(`${ifindex}-${hook}`);
    }
  }

  close(): void {
    this.#changes.close();
    this.#known.clear();
  }

  #read(ifindex: number, hook: Hook): Place {
    const carrier = this.#filters.carrier(ifindex);
    const side = carrier === 'ingress' ? 'sole' : hook;
    const none = carrier === undefined || (side === 'sole' && hook === 'egress');
    return { side, filters: none ? [] : this.#filters.list(ifindex, side).filter(({ chain }) => chain === 0) };
  }
}

/**
 * Whether the filters of a device may have changed. A queue of packets to be sent has none at a hook,
 * and the agent itself makes the kernel report such queues: that is how it reads their counts.
 */
function mayTell({ type, data }: RtMessage): boolean {
  if (!TELLING.includes(type) || data.length < PARENT + 4) {
    return false;
  }
  const isQueue = type === RTM.NEWQDISC || type === RTM.DELQDISC;
  return !isQueue || getU32(data, PARENT) === TC_H_CLSACT;
}
