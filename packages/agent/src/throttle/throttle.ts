/**
 * Gives service traffic priority: adjusts the budgets of copies to the headroom of devices and
 * CPUs. uplink-headroom.ts and cpu-headroom.ts have the arithmetic.
 */
import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { DeviceBudget as Budget } from '@mirrorplane/contract';
import type { Datapath, DeviceBudget } from '../datapath/datapath.ts';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import type { RtClient } from '../netlink/rt-client.ts';
import { type CarrierParts, readCarriers } from './carrier-readings.ts';
import { COUNTING, CpuHeadroom } from './cpu-headroom.ts';
import { FollowedDevice, REST_MS } from './followed-device.ts';
import { Refusals } from './refusals.ts';

/** Calls of the data path. */
type Calls = 'deviceBudgets' | 'haveBudgetsMoved' | 'setDeviceBudgets' | 'nodeBudget' | 'setNodeBudget';

export interface ThrottleParts extends CarrierParts {
  datapath: Pick<Datapath, Calls>;
  /** A separate client, because an answer must not wait for a dump of all devices. */
  client: RtClient;
  /** The current devices of the node. */
  links: () => readonly Link[];
  /**
   * Packets that the machine has lost for lack of CPU time so far. Left out: CPUs are not followed.
   */
  lost?: () => number;
  log: Logger;
}

interface ThrottleEvents {
  /** `throttled`, `cpuThrottled` or `unprotected` has changed. */
  change: [];
}

/** Milliseconds between two readings of a device. */
export const READING_INTERVAL_MS = 100;
/** Follows all devices by which copies leave the node, until `close`. */
export class Throttle extends EventEmitter<ThrottleEvents> {
  readonly #parts: ThrottleParts;
  readonly #followed = new Map<number, FollowedDevice>();
  #throttled: ReadonlySet<number> = new Set();
  #unprotected: ReadonlySet<number> = new Set();
  #budgets: readonly Budget[] = [];
  #node: { refusals: Refusals; headroom: CpuHeadroom } | undefined;
  #cpuThrottled = false;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
  /** When devices were read last, monotonic milliseconds. */
  #readAt = Number.NEGATIVE_INFINITY;
  #failing = false;

  constructor(parts: ThrottleParts) {
    super();
    this.#parts = parts;
  }

  /** ifindexes of devices with a budget that has refused copies in the last seconds. */
  get throttled(): ReadonlySet<number> {
    return this.#throttled;
  }

  /**
   * ifindexes of devices with unprotected service traffic: neither a speed nor a queue is known.
   */
  get unprotected(): ReadonlySet<number> {
    return this.#unprotected;
  }

  /**
   * Whether the node's budget has refused copies in the last seconds. Undefined if CPUs are not
   * followed.
   */
  get cpuThrottled(): boolean | undefined {
    return this.#parts.lost && this.#cpuThrottled;
  }

  /** The current budget of each device by which copies leave, bytes a second. 0: no limit. */
  get budgets(): readonly Budget[] {
    return this.#budgets;
  }

  /** Starts with a reading. */
  start(): void {
    this.#timer = setInterval(() => this.#tick(), READING_INTERVAL_MS);
    this.#tick();
  }

  /** Stops. Budgets stay unchanged. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#reading;
  }

  #tick(): void {
    if (this.#reading === undefined && this.#isAtRest()) {
      return;
    }
    this.#reading ??= this.#read()
      .then(() => {
        this.#failing = false;
      })
      .catch((error: unknown) => {
        if (!this.#failing) {
          this.#parts.log.warn({ err: error }, 'devices or CPUs cannot be read');
        }
        this.#failing = true;
      })
      .finally(() => {
        this.#reading = undefined;
      });
  }

  /** Nobody has wanted to send a copy since devices were read, and that is not long ago. */
  #isAtRest(): boolean {
    const { datapath, lost } = this.#parts;
    try {
      // What the machine loses is followed in any case.
      return lost === undefined && !datapath.haveBudgetsMoved() && performance.now() - this.#readAt < REST_MS;
    } catch {
      return false; // the reading finds the same, and reports it
    }
  }

  async #read(): Promise<void> {
    const { datapath } = this.#parts;
    this.#readAt = performance.now();
    const budgets = await datapath.deviceBudgets();
    const present = new Set(budgets.map(({ ifindex }) => ifindex));
    for (const ifindex of this.#followed.keys()) {
      if (!present.has(ifindex)) {
        this.#followed.delete(ifindex);
      }
    }
    const rates = new Map<number, number>();
    for (const budget of budgets) {
      const rate = await this.#follow(budget);
      if (rate !== undefined && rate !== budget.rate) {
        rates.set(budget.ifindex, rate);
      }
    }
    if (rates.size > 0) {
      await datapath.setDeviceBudgets(rates);
    }
    this.#remember(budgets, rates);
    await this.#followCpus();
    this.#tellThrottled();
  }

  #remember(budgets: readonly DeviceBudget[], changed: ReadonlyMap<number, number>): void {
    const links = this.#parts.links();
    this.#budgets = budgets.flatMap(({ ifindex, rate }) => {
      const device = links.find((link) => link.ifindex === ifindex)?.name;
      return device === undefined ? [] : [{ device, bytesPerSecond: changed.get(ifindex) ?? rate }];
    });
  }

  async #followCpus(): Promise<void> {
    const { datapath, lost } = this.#parts;
    if (!lost) {
      return;
    }
    const { rate, passed, refused } = await datapath.nodeBudget();
    this.#node ??= { headroom: new CpuHeadroom(rate), refusals: new Refusals(refused) };
    const at = performance.now();
    // Copies that only `maxRate` refuses are not throttled for lack of CPU.
    const limits = rate > 0 && rate < COUNTING;
    this.#node.refusals.note(refused, at, limits);
    const next = this.#node.headroom.next({ at, lost: lost(), copies: passed });
    if (next !== rate) {
      await datapath.setNodeBudget(next);
    }
  }

  /** Returns the new budget of a device. Undefined: unchanged. */
  async #follow(budget: DeviceBudget): Promise<number | undefined> {
    const { ifindex } = budget;
    if (this.#followed.get(ifindex)?.isAtRest(budget, performance.now())) {
      return undefined;
    }
    const links = this.#parts.links();
    const link = links.find((candidate) => candidate.ifindex === ifindex);
    if (!link) {
      return undefined;
    }
    const readings = await readCarriers(link, links, this.#parts);
    if (!readings.some((reading) => reading.ifindex === ifindex)) {
      return undefined;
    }
    const followed = this.#followed.get(ifindex) ?? new FollowedDevice(budget.refused);
    this.#followed.set(ifindex, followed);
    return followed.next(budget, readings, performance.now());
  }

  #tellThrottled(): void {
    const now = performance.now();
    const throttled = new Set(
      [...this.#followed].filter(([, device]) => device.isThrottled(now)).map(([ifindex]) => ifindex),
    );
    const unprotected = new Set(
      [...this.#followed].filter(([, device]) => device.isUnprotected).map(([ifindex]) => ifindex),
    );
    const cpuThrottled = this.#node?.refusals.isThrottled(now) ?? false;
    if (
      same(throttled, this.#throttled) &&
      same(unprotected, this.#unprotected) &&
      cpuThrottled === this.#cpuThrottled
    ) {
      return;
    }
    this.#throttled = throttled;
    this.#unprotected = unprotected;
    this.#cpuThrottled = cpuThrottled;
    this.emit('change');
  }
}

function same(a: ReadonlySet<number>, b: ReadonlySet<number>): boolean {
  return a.size === b.size && [...a].every((one) => b.has(one));
}
