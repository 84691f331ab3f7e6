/** What a move of a guest has cost: packets that passed before their capture was in force, and packets captured twice. */
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

/** What is known of the captures of a pass, by `capture ifindex`. */
export interface HandoverCounts {
  /** Captures that began on a device: packets that it had carried until then. Absent: not known. */
  missed: ReadonlyMap<string, number>;
  /** Captures that ended on a device whose guest had left: packets towards the guest that were captured there after that. */
  duplicated: ReadonlyMap<string, number>;
  /** Captures on a device that got frames while the guest was believed to be on another node, when that is over. */
  overlaps: readonly Overlap[];
}

/** Packets towards a guest that its device here got while the guest was on another node for all that is known. */
export interface Overlap {
  capture: Capture;
  /** At most so many were captured on the other node too. */
  packets: number;
}

/** The key of both maps. */
export const handoverKey = (capture: string, ifindex: number): string => `${capture} ${ifindex}`;

/**
 * Compares what a device has carried, by its own count, with what its captures have looked at. To be asked in every pass:
 * `before` it changes the data path, `after` it has.
 */
export class HandoverCounter {
  readonly #datapath: Pick<Datapath, 'countsOf'>;
  readonly #statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  #known: ReadonlyMap<string, Placed> | undefined;
  /** What the captures of devices without their guest had matched when that was seen. */
  readonly #left = new Map<string, number>();
  /** What captures towards guests that are expected had matched when that began. */
  readonly #expected = new Map<string, number>();

  constructor(parts: {
    datapath: Pick<Datapath, 'countsOf'>;
    statistics: (ifindex: number) => Promise<DeviceStatistics | undefined>;
  }) {
    this.#datapath = parts.datapath;
    this.#statistics = parts.statistics;
  }

  /** Returns what is to be asked when the data path is done, with what it has refused. */
  before(
    placed: readonly PlacedCapture[],
    captures: readonly HookCapture[],
  ): (refused?: readonly CaptureRefusal[]) => Promise<HandoverCounts> {
    const hooksOf = Map.groupBy(captures, ({ ifindex, id }) => handoverKey(captureOfHook(id), ifindex));
    const now = new Map(
      placed.map((item): [string, Placed] => {
        const key = handoverKey(item.capture.id, item.device.ifindex);
        return [key, { placed: item, hooks: hooksOf.get(key) ?? [] }];
      }),
    );
    const known = this.#known;
    this.#known = now;
    // A data plane that was taken over has captured all along.
    const fresh = known === undefined ? [] : [...now].filter(([key]) => !known.has(key));
    const base = this.#matched(fresh.map(([, item]) => item));
    const gone = [...(known ?? [])].filter(([key]) => !now.has(key));
    for (const [key, item] of now) {
      if (isOverlap(item) && !this.#expected.has(key)) {
        this.#expected.set(key, this.#inbound(item));
      }
    }
    return async (refused = []) => {
      // A device that went while the data path was changed is reported as gone, too.
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
      return [[key, this.#inbound(item) - left]];
    }
    // The other end of a cable goes with it, and no frame is captured for a device that is gone.
    return isCable(item.placed.device) ? [[key, 0]] : [];
  }

  /** Those that are over, because the guest has come, or the device has gone. */
  #overlaps(now: ReadonlyMap<string, Placed>, before: ReadonlyMap<string, Placed>): Overlap[] {
    return [...this.#expected].flatMap(([key, base]): Overlap[] => {
      const item = now.get(key) ?? before.get(key);
      if (item !== undefined && now.has(key) && isOverlap(item)) {
        return [];
      }
      this.#expected.delete(key);
      return item ? [{ capture: item.placed.capture, packets: this.#inbound(item) - base }] : [];
    });
  }

  #matched(items: readonly Placed[]): ReadonlyMap<string, CaptureCounts> {
    return this.#datapath.countsOf(items.flatMap(({ hooks }) => hooks.map(({ id }) => id)));
  }

  #inbound({ hooks }: Placed): number {
    const ids = hooks.filter(({ direction }) => direction === 'inbound').map(({ id }) => id);
    return [...this.#datapath.countsOf(ids).values()].reduce((sum, { matched }) => sum + matched.packets, 0);
  }
}

/** Both ends are captured: frames that the network sends to both places are copied on both nodes. */
function isOverlap({ placed: { device } }: Placed): boolean {
  return device.expected === true && isCable(device);
}

/** Packets that a device has carried in the directions of its captures, without those that they have looked at. */
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
