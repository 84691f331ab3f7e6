/** Service traffic first: keeps budgets to the headroom of devices and CPUs. The arithmetic is in headroom.ts and cpu-headroom.ts. */
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
  /** Of its own: an answer must not wait behind a dump of all devices. */
  client: RtClient;
  /** All devices of the node, as they are now. */
  links: () => readonly Link[];
  /** What a device can send, by name, in Mbit/s, where the operator says so. */
  rates?: Readonly<Record<string, number>>;
  /** Follows CPUs too: packets so far that the machine had no CPU time for. Left out: they are not followed. */
  lost?: () => number;
  log: Logger;
}

interface ThrottleEvents {
  /** `throttled`, `cpuThrottled` or `unprotected` has changed. */
  change: [];
}

/** Milliseconds between two readings of a device. */
export const READING_INTERVAL_MS = 100;
/** Milliseconds for which a device counts as throttled after it has last refused a copy. */
const THROTTLED_FOR_MS = 10_000;
/** Bytes on an Ethernet wire between frames, with checksum and preamble. */
const AROUND_FRAME = 24;

interface Refusing {
  refused: number;
  /** Monotonic milliseconds until which it counts as throttled. */
  throttledUntil: number;
}

/** A device by which copies leave. */
interface Followed extends Refusing {
  /** Of each device that may have to carry them, by its ifindex. */
  headrooms: Map<number, Headroom>;
  /** A queue that is still there has been in the way: so it holds packets back. */
  wasPressed: boolean;
  shared: Unprotected;
  isUnprotected: boolean;
}

/** What a carrier has sent, and can send: bytes a second; undefined: not known. */
interface CarrierReading extends Sending {
  ifindex: number;
  capacity: number | undefined;
  /** Hardware takes no more packets than it can send; a virtual device takes all. */
  isVirtual: boolean;
}

/** Follows every device by which copies leave the node, as long as it runs. */
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

  /** ifindexes of devices whose budget has refused copies in the last seconds. */
  get throttled(): ReadonlySet<number> {
    return this.#throttled;
  }

  /** ifindexes of devices whose service traffic nothing protects from copies: neither a speed nor a queue is known there. */
  get unprotected(): ReadonlySet<number> {
    return this.#unprotected;
  }

  /** Whether the node's budget has refused copies in the last seconds. Undefined where CPUs are not followed. */
  get cpuThrottled(): boolean | undefined {
    return this.#parts.lost && this.#cpuThrottled;
  }

  /** What each device by which copies leave may send of them now, bytes a second; 0: no limit. */
  get budgets(): readonly Budget[] {
    return this.#budgets;
  }

  /** Begins, with a first reading at once. */
  start(): void {
    this.#timer = setInterval(() => this.#tick(), READING_INTERVAL_MS);
    this.#tick();
  }

  /** Ends. Budgets stay as they are. */
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

  /** Its budget from now on; undefined: as it is. */
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
    // All copies may leave by any of them. 0 is no limit.
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

  /** Bytes a second. A virtual device has a speed that means nothing. */
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

/** Queues that let out no more than they were told to. */
const SHAPERS = new Set(['tbf', 'htb', 'hfsc', 'cake', 'netem', 'cbq', 'taprio']);

/** Whether it is known when the device can send no more: by its speed, or by a queue that grows then. */
function givesWay({ capacity, queue, isVirtual }: CarrierReading): boolean {
  if (capacity !== undefined) {
    return true;
  }
  return queue !== undefined && (!isVirtual || SHAPERS.has(queue.kind));
}

/** Bytes sent, with what is between frames on a wire. */
function wireBytes({ bytes, packets }: Sending): number {
  return bytes + packets * AROUND_FRAME;
}

/** Takes the number of copies that a budget has refused so far. */
function noteRefused(budget: Refusing, refused: number, now: number): void {
  if (refused !== budget.refused) {
    budget.throttledUntil = now + THROTTLED_FOR_MS;
  }
  budget.refused = refused;
}
