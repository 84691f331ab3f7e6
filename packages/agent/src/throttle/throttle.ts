/**
 * Gives service traffic priority: adjusts the budgets of copies to the headroom of devices and
 * CPUs. uplink-headroom.ts and cpu-headroom.ts have the arithmetic.
 */
import { EventEmitter } from 'node:events';
import { performance } from 'node:perf_hooks';
import type { DeviceBudget as Budget } from '@mirrorplane/contract';
import type { Datapath, DeviceBudget } from '../datapath/datapath.ts';
import { type Carrier, carriersOf } from '../discovery/carriers.ts';
import type { Logger } from '../log.ts';
import type { Link } from '../netlink/link.ts';
import type { RtClient } from '../netlink/rtnetlink.ts';
import { COUNTING, CpuHeadroom } from './cpu-headroom.ts';
import { Unprotected } from './unprotected.ts';
import { Headroom } from './uplink-headroom.ts';
import { linkSpeed, readSending, type Sending } from './uplink-load.ts';

export interface ThrottleParts {
  datapath: Pick<Datapath, 'deviceBudgets' | 'setDeviceBudgets' | 'nodeBudget' | 'setNodeBudget'>;
  /** A separate client, because an answer must not wait for a dump of all devices. */
  client: RtClient;
  /** The current devices of the node. */
  links: () => readonly Link[];
  /** Speeds of devices by name, in Mbit/s, as set by the operator. */
  rates?: Readonly<Record<string, number>>;
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
/** Milliseconds for which a device counts as throttled after its last refused copy. */
const THROTTLED_FOR_MS = 10_000;
/** Bytes around a frame on an Ethernet wire: checksum, preamble, gap. */
const AROUND_FRAME = 24;

interface Refusing {
  refused: number;
  /** Monotonic milliseconds until which it counts as throttled. */
  throttledUntil: number;
}

/** A device by which copies leave. */
interface Followed extends Refusing {
  /** Headroom of each device that may carry the copies, by ifindex. */
  headrooms: Map<number, Headroom>;
  /** Packets have waited in a queue that still exists, so the queue limits the rate. */
  wasPressed: boolean;
  shared: Unprotected;
  isUnprotected: boolean;
}

/** Sent bytes of a carrier, and its speed in bytes a second. Undefined: unknown. */
interface CarrierReading extends Sending {
  ifindex: number;
  capacity: number | undefined;
  /** A virtual device accepts all packets. Hardware accepts no more than it can send. */
  isVirtual: boolean;
}

/** Follows all devices by which copies leave the node, until `close`. */
export class Throttle extends EventEmitter<ThrottleEvents> {
  readonly #parts: ThrottleParts;
  readonly #followed = new Map<number, Followed>();
  #throttled: ReadonlySet<number> = new Set();
  #unprotected: ReadonlySet<number> = new Set();
  #budgets: readonly Budget[] = [];
  #node: (Refusing & { headroom: CpuHeadroom }) | undefined;
  #cpuThrottled = false;
  #timer: NodeJS.Timeout | undefined;
  #reading: Promise<void> | undefined;
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

  async #read(): Promise<void> {
    const { datapath } = this.#parts;
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
    const names = new Map(this.#parts.links().map(({ ifindex, name }) => [ifindex, name]));
    this.#budgets = budgets.flatMap(({ ifindex, rate }) => {
      const device = names.get(ifindex);
      return device === undefined ? [] : [{ device, bytesPerSecond: changed.get(ifindex) ?? rate }];
    });
  }

  async #followCpus(): Promise<void> {
    const { datapath, lost } = this.#parts;
    if (!lost) {
      return;
    }
    const { rate, passed, refused } = await datapath.nodeBudget();
    this.#node ??= { headroom: new CpuHeadroom(rate), refused, throttledUntil: 0 };
    const at = performance.now();
    // Copies that only `maxRate` refuses are not throttled for lack of CPU.
    const limits = rate > 0 && rate < COUNTING;
    noteRefused(this.#node, limits ? refused : this.#node.refused, at);
    this.#node.refused = refused;
    const next = this.#node.headroom.next({ at, lost: lost(), copies: passed });
    if (next !== rate) {
      await datapath.setNodeBudget(next);
    }
  }

  /** Returns the new budget of a device. Undefined: unchanged. */
  async #follow({ ifindex, rate, passed, refused }: DeviceBudget): Promise<number | undefined> {
    const links = this.#parts.links();
    const link = links.find((candidate) => candidate.ifindex === ifindex);
    if (!link) {
      return undefined;
    }
    const readings = await this.#readCarriers(link, links);
    const own = readings.find((reading) => reading.ifindex === ifindex);
    if (!own) {
      return undefined;
    }
    const followed = this.#followed.get(ifindex) ?? begin(refused);
    this.#followed.set(ifindex, followed);
    const at = performance.now();
    noteRefused(followed, refused, at);
    for (const gone of followed.headrooms.keys()) {
      if (!readings.some((reading) => reading.ifindex === gone)) {
        followed.headrooms.delete(gone);
      }
    }
    const limits = readings.map((reading) => {
      const headroom = followed.headrooms.get(reading.ifindex) ?? new Headroom(rate);
      followed.headrooms.set(reading.ifindex, headroom);
      const { queue, capacity } = reading;
      return headroom.next({
        at,
        sent: wireBytes(reading),
        copies: passed,
        ...(queue && { queue }),
        ...(capacity !== undefined && { capacity }),
      });
    });
    const hasLearned = [...followed.headrooms.values()].some((headroom) => headroom.hasLearned);
    followed.wasPressed = (followed.wasPressed || hasLearned) && readings.some(({ queue }) => queue !== undefined);
    const known = followed.wasPressed || readings.some(givesWay);
    followed.isUnprotected = followed.shared.next({ at, sent: wireBytes(own), copies: passed, known });
    // All copies may leave by any one of the carriers, so the smallest limit counts. 0 is no limit.
    const least = Math.min(...limits.map((limit) => limit || Number.POSITIVE_INFINITY));
    return Number.isFinite(least) ? least : 0;
  }

  async #readCarriers(link: Link, links: readonly Link[]): Promise<CarrierReading[]> {
    const readings: CarrierReading[] = [];
    for (const carrier of carriersOf(link, links)) {
      const { ifindex, linkType, bus } = carrier.link;
      const isVirtual = linkType !== '' && bus === undefined;
      const sending = await readSending(this.#parts.client, ifindex);
      if (sending) {
        readings.push({ ...sending, ifindex, capacity: this.#capacity(carrier, link), isVirtual });
      }
    }
    return readings;
  }

  /** Speed in bytes a second. The speed of a virtual device has no meaning. */
  #capacity({ link, whole }: Carrier, { name }: Link): number | undefined {
    const { rates } = this.#parts;
    const megabits = rates?.[link.name] ?? (whole ? rates?.[name] : undefined);
    if (megabits !== undefined) {
      return (megabits * 1_000_000) / 8;
    }
    return link.linkType === '' ? linkSpeed(link.name, link.ifindex) : undefined;
  }

  #tellThrottled(): void {
    const now = performance.now();
    const throttled = new Set(
      [...this.#followed].filter(([, { throttledUntil }]) => throttledUntil > now).map(([ifindex]) => ifindex),
    );
    const unprotected = new Set(
      [...this.#followed].filter(([, { isUnprotected }]) => isUnprotected).map(([ifindex]) => ifindex),
    );
    const cpuThrottled = (this.#node?.throttledUntil ?? 0) > now;
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

function begin(refused: number): Followed {
  return {
    headrooms: new Map(),
    wasPressed: false,
    shared: new Unprotected(),
    isUnprotected: false,
    refused,
    throttledUntil: 0,
  };
}

/** Queues with a configured rate. */
const SHAPERS = new Set(['tbf', 'htb', 'hfsc', 'cake', 'netem', 'cbq', 'taprio']);

/** Whether saturation of the device can be detected: by its speed, or by a growing queue. */
function givesWay({ capacity, queue, isVirtual }: CarrierReading): boolean {
  if (capacity !== undefined) {
    return true;
  }
  return queue !== undefined && (!isVirtual || SHAPERS.has(queue.kind));
}

/** Sent bytes, including the bytes around frames on a wire. */
function wireBytes({ bytes, packets }: Sending): number {
  return bytes + packets * AROUND_FRAME;
}

/** Processes the number of copies that a budget has refused so far. */
function noteRefused(budget: Refusing, refused: number, now: number): void {
  if (refused !== budget.refused) {
    budget.throttledUntil = now + THROTTLED_FOR_MS;
  }
  budget.refused = refused;
}
