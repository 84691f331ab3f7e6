/**
 * Measures the cost of a migration: packets that passed before their capture was in force, and
 * packets captured twice.
 */
import { type Capture, type CaptureCounts, captureOfHook } from '@mirrorplane/contract';
import type { CaptureRefusal, Datapath, HookCapture } from '../datapath/datapath.ts';
import { isCable } from '../discovery/device-kinds.ts';
import type { DeviceStatistics } from '../netlink/statistics.ts';
import type { PlacedCapture } from '../reconcile/surroundings.ts';

/** One capture on one device. */
interface Placed {
  placed: PlacedCapture;
  hooks: HookCapture[];
}

/** Counts of the captures of a pass, by `capture ifindex`. */
export interface HandoverCounts {
  /** For captures that began: packets that the device had carried before. Absent: unknown. */
  missed: ReadonlyMap<string, number>;
  /**
   * For captures that ended on a device with a departed guest: packets towards the guest that were
   * captured after its departure.
   */
  duplicated: ReadonlyMap<string, number>;
  /**
   * Ended overlaps: captures on a device that got frames while the guest counted as being on
   * another node.
   */
  overlaps: readonly Overlap[];
}

/** Packets that a device got for its guest while the guest counted as being on another node. */
export interface Overlap {
  capture: Capture;
  /** Upper bound of the packets that were also captured on the other node. */
  packets: number;
}

/** The key of both maps. */
export const handoverKey = (capture: string, ifindex: number): string => `${capture} ${ifindex}`;

/**
 * Compares a device's own packet counts with those of its captures. Each pass first calls `before`,
 * then changes the data path, and then calls the function that `before` has returned.
 */
export class HandoverCounter {
  readonly #datapath: Pick<Datapath, 'countsOf'>;
  readonly #statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  #known: ReadonlyMap<string, Placed> | undefined;
  /**
   * Matched counts of captures on devices without a guest, at the time when its absence was seen.
   */
  readonly #left = new Map<string, number>();
  /** Matched counts of captures for expected guests, at the beginning of the expectation. */
  readonly #expected = new Map<string, number>();

  constructor(parts: {
    datapath: Pick<Datapath, 'countsOf'>;
    statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  }) {
    this.#datapath = parts.datapath;
    this.#statistics = parts.statistics;
  }

  /** Returns a function to call after the data path has changed, with the refused captures. */
  before(
    placed: readonly PlacedCapture[],
    captures: readonly HookCapture[],
  ): (refused?: readonly CaptureRefusal[]) => Promise<HandoverCounts> {
    // Most captures of a pool have no device here.
    const present = captures.filter(({ ifindex }) => ifindex !== 0);
    const hooksOf = Map.groupBy(present, ({ ifindex, id }) => handoverKey(captureOfHook(id), ifindex));
    const now = new Map(
      placed.map((item): [string, Placed] => {
        const key = handoverKey(item.capture.id, item.device.ifindex);
        return [key, { placed: item, hooks: hooksOf.get(key) ?? [] }];
      }),
    );
    const known = this.#known;
    this.#known = now;
    // A data plane that was taken over has captured without a gap.
    const fresh = known === undefined ? [] : [...now].filter(([key]) => !known.has(key));
    const base = this.#matched(fresh.map(([, item]) => item));
    const gone = [...(known ?? [])].filter(([key]) => !now.has(key));
    for (const [key, item] of now) {
      if (isOverlap(item) && !this.#expected.has(key)) {
        this.#expected.set(key, this.#inbound(item));
      }
    }
    return async (refused = []) => {
      // Devices that were removed during the change count as gone, too.
      const keys = refused.flatMap(({ gone: is, id, ifindex }) =>
        is ? [handoverKey(captureOfHook(id), ifindex)] : [],
      );
      const vanished = [...new Set(keys)].flatMap((key): [string, Placed][] => {
        const item = known?.get(key);
        return item && now.has(key) ? [[key, item]] : [];
      });
      const duplicated = new Map([...gone, ...vanished].flatMap(([key, item]) => this.#duplicated(key, item)));
      const overlaps = this.#overlaps(now, known ?? new Map());
      for (const [key, item] of now) {
        if (item.placed.device.guest !== 'absent') {
          this.#left.delete(key);
        } else if (!this.#left.has(key)) {
          this.#left.set(key, this.#inbound(item));
        }
      }
      const missed = new Map<string, number>();
      for (const [key, item] of fresh) {
        const looked = this.#matched([item]);
        const carried = await this.#statistics(item.placed.device.ifindex);
        if (carried) {
          missed.set(key, missedOf(item, base, looked, carried));
        }
      }
      return { missed, duplicated, overlaps };
    };
  }

  #duplicated(key: string, item: Placed): [string, number][] {
    const left = this.#left.get(key);
    this.#left.delete(key);
    if (left !== undefined) {
      return [[key, this.#inboundSince(item, left)]];
    }
    // The other end of a removed cable is gone too, so no frame was captured for an absent guest.
    return isCable(item.placed.device) ? [[key, 0]] : [];
  }

  /** Overlaps that have ended: the guest has come, or the device was removed. */
  #overlaps(now: ReadonlyMap<string, Placed>, before: ReadonlyMap<string, Placed>): Overlap[] {
    return [...this.#expected].flatMap(([key, base]): Overlap[] => {
      const item = now.get(key) ?? before.get(key);
      if (item !== undefined && now.has(key) && isOverlap(item)) {
        return [];
      }
      this.#expected.delete(key);
      return item ? [{ capture: item.placed.capture, packets: this.#inboundSince(item, base) }] : [];
    });
  }

  #matched(items: readonly Placed[]): ReadonlyMap<string, CaptureCounts> {
    return this.#datapath.countsOf(items.flatMap(({ hooks }) => hooks.map(({ id }) => id)));
  }

  /** Counters that have begun again since are below `base`: of those it is not known, and none is reported. */
  #inboundSince(item: Placed, base: number): number {
    return Math.max(0, this.#inbound(item) - base);
  }

  #inbound({ hooks }: Placed): number {
    const ids = hooks.filter(({ direction }) => direction === 'inbound').map(({ id }) => id);
    return [...this.#datapath.countsOf(ids).values()].reduce((sum, { matched }) => sum + matched.packets, 0);
  }
}

/** Whether frames that the network sends to both nodes are copied on both. */
function isOverlap({ placed: { device } }: Placed): boolean {
  return device.expected === true && isCable(device);
}

/**
 * Packets that a device has carried in the directions of its captures, minus those that the
 * captures have seen.
 */
function missedOf(
  { hooks }: Placed,
  base: ReadonlyMap<string, CaptureCounts>,
  looked: ReadonlyMap<string, CaptureCounts>,
  carried: DeviceStatistics,
): number {
  return hooks.reduce((sum, { id, hook }) => {
    const seen = packetsSeen(looked.get(id)) - packetsSeen(base.get(id));
    return sum + Math.max(0, (hook === 'ingress' ? carried.received : carried.sent) - seen);
  }, 0);
}

function packetsSeen(counts: CaptureCounts | undefined): number {
  if (counts === undefined) {
    return 0;
  }
  return counts.matched.packets + Object.values(counts.skipped).reduce((sum, { packets }) => sum + packets, 0);
}
