/**
 * The kernel of a host below the agent's data path. It outlives the agent, and loses everything when
 * the host loses its power. It counts packets, and keeps the counts of parts that have left the
 * program until they are saved, as the real one does.
 */
import { type ApplyResult, CountedNames, type DatapathState, FakeDatapath } from '@mirrorplane/agent/testing/control';
import type { CaptureCounts, CounterReport } from '@mirrorplane/contract';
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';

const NONE = { packets: 0, bytes: 0 };
/** Bytes of a packet. */
const SIZE = 100;

/** Share of the applies that take so long that an agent may be killed in between, and how long, milliseconds. */
const SLOW = { share: 0.1, ms: 20 };
/** Milliseconds that an apply may take when all is in force, as often: held copies leave their queue then. */
const SLOW_END_MS = 300;

/** Counts of a capture. `life` tells them from earlier ones of the same name. */
interface Slot {
  name: CaptureName;
  packets: number;
  life: number;
}

type CaptureName = Pick<DatapathState['captures'][number], 'policy' | 'source' | 'direction'>;

export class Kernel extends FakeDatapath {
  readonly #random: Random;
  readonly #scheduler: Scheduler;
  readonly #slots = new Map<string, Slot>();
  /** Of the agent: which counts it still reports. */
  #names = new CountedNames<CaptureName>();
  #life = 0;
  #boot = 1;
  /** An apply has begun, and may never end: what is in force is partly of one program, partly of another. */
  isBetween = false;
  /** Called when another state is in force. */
  changed: () => void = () => {};

  constructor(random: Random, scheduler: Scheduler) {
    super();
    this.#random = random;
    this.#scheduler = scheduler;
  }

  /** A new agent takes over what is in force, as a step of its process. */
  agentStarted(): void {
    this.#names = new CountedNames();
    this.#names.inherit(
      [...this.#slots].map(([id, { name }]) => [id, name]),
      performance.now(),
    );
  }

  override async apply(desired: DatapathState): Promise<ApplyResult> {
    await this.#scheduler.pause(this.#random.between(0, 2));
    const before = this.state;
    const names = new Map(
      desired.captures.map(({ id, policy, source, direction }) => [id, { policy, source, direction }]),
    );
    this.#names.enter(names);
    await this.#passThrough(desired);
    const result = await super.apply(desired);
    this.#allocate(desired);
    if (JSON.stringify(this.state) !== JSON.stringify(before)) {
      this.changed();
    }
    this.#names.entered(performance.now());
    await this.#scheduler.pause(this.#random.between(0, this.#random.chance(SLOW.share) ? SLOW_END_MS : 2));
    return result;
  }

  /**
   * The states between what is in force and what is wanted, in the order of the real data path. It
   * goes through them at once, unless its host has no time for it.
   */
  async #passThrough(desired: DatapathState): Promise<void> {
    const slow = this.#random.chance(SLOW.share) ? this.#random.below(BETWEEN.length) : -1;
    for (const [at, step] of BETWEEN.entries()) {
      if (at <= slow) {
        this.state = step(this.state, desired);
      }
    }
    if (slow >= 0) {
      this.isBetween = true;
      this.changed();
      await this.#scheduler.pause(this.#random.between(0, SLOW.ms));
    }
    this.isBetween = false;
  }

  /** Packets pass a capture that is in force. */
  pass(id: string, packets: number): void {
    const slot = this.#slots.get(id);
    if (slot) {
      slot.packets += packets;
    }
  }

  override async counters(): Promise<CounterReport> {
    await this.#scheduler.pause(this.#random.between(0, 1));
    const captures = [...this.#names.entries()].flatMap(([id, name]) => {
      const slot = this.#slots.get(id);
      return slot ? [{ ...name, life: slot.life, counts: countsOf(slot.packets) }] : [];
    });
    return { ...(await super.counters()), epoch: `boot-${this.#boot}`, captures };
  }

  /** @param readAt on the clock of the agent */
  override countersSaved(readAt: number): void {
    this.#names.saved(readAt);
  }

  override countsOf(ids: readonly string[]): ReadonlyMap<string, CaptureCounts> {
    return new Map(ids.flatMap((id) => (this.#slots.has(id) ? [[id, countsOf(this.#slots.get(id)!.packets)]] : [])));
  }

  /** The host has lost its power. */
  async reboot(): Promise<void> {
    await super.uninstall();
    this.#slots.clear();
    this.#boot++;
    this.changed();
  }

  /** Slots for what counts now. Others go when their counts are saved. */
  #allocate({ captures }: DatapathState): void {
    for (const { id, policy, source, direction } of captures.filter(({ ifindex }) => ifindex !== 0)) {
      if (!this.#slots.has(id)) {
        this.#slots.set(id, { name: { policy, source, direction }, packets: 0, life: ++this.#life });
      }
    }
    const kept = this.#names.ids();
    for (const id of this.#slots.keys()) {
      if (!kept.has(id)) {
        this.#slots.delete(id);
      }
    }
  }
}

type Part = { id: string };
type Termination = DatapathState['terminations'][number];
type Between = (now: DatapathState, desired: DatapathState) => DatapathState;

const idOf = ({ id }: Part) => id;
/** Copies are looked up by this: a node may send with several numbers for a while. */
const pathOf = ({ id, address, session }: Termination) => `${id} ${address} ${session}`;

/** What is wanted, and what else is there. */
function withMore<T extends Part>(now: readonly T[], wanted: readonly T[], keyOf: (part: T) => string = idOf): T[] {
  const keys = new Set(wanted.map(keyOf));
  return [...now.filter((part) => !keys.has(keyOf(part))), ...wanted];
}

/** What is there and wanted. */
function withLess<T extends Part>(now: readonly T[], wanted: readonly T[], keyOf: (part: T) => string = idOf): T[] {
  const keys = new Set(wanted.map(keyOf));
  return now.filter((part) => keys.has(keyOf(part)));
}

/** Whether both take the copies of one number. */
function isSameNumber(a: Termination, b: Termination): boolean {
  const isSecret = a.secret === undefined || b.secret === undefined || a.secret === b.secret;
  return a.address === b.address && a.session === b.session && a.generation === b.generation && isSecret;
}

/** Captures that get another delivery, which is there as it shall be. */
function rewired(now: DatapathState, desired: DatapathState): DatapathState['captures'] {
  const wanted = new Map(desired.captures.map((capture) => [capture.id, capture]));
  const isThere = (id: string) => {
    const [there, delivery] = [now, desired].map(({ deliveries }) => deliveries.find((one) => one.id === id));
    return JSON.stringify(there) === JSON.stringify(delivery);
  };
  return now.captures.map((capture) => {
    const next = wanted.get(capture.id);
    return next && next.delivery !== capture.delivery && isThere(next.delivery) ? next : capture;
  });
}

/**
 * Deliveries change, but a termination has in its own row where copies come out on this host: so
 * those that are there keep what they have. Relays are looked up.
 */
function withChangedDeliveries(now: DatapathState, desired: DatapathState): DatapathState {
  const wanted = new Map(desired.deliveries.map((one) => [one.id, JSON.stringify(one)]));
  const isChanged = (one: Part) => wanted.has(one.id) && wanted.get(one.id) !== JSON.stringify(one);
  const ofRows = now.deliveries.filter((one) => one.kind !== 'erspan' && isChanged(one));
  const ids = new Set(ofRows.map(idOf));
  const nameOf = (id: string) => `${id} of a row`;
  return {
    ...now,
    deliveries: [
      ...withMore(now.deliveries, desired.deliveries),
      ...ofRows.map((one) => ({ ...one, id: nameOf(one.id) })),
    ],
    terminations: now.terminations.map((end) =>
      ids.has(end.delivery) ? { ...end, delivery: nameOf(end.delivery) } : end,
    ),
  };
}

/**
 * Numbers that are over end first, and captures leave deliveries that change. Then parts come from the
 * end of the path to its beginning, and go in the opposite order.
 */
const BETWEEN: readonly Between[] = [
  (now, { terminations }) => {
    const isWanted = (end: Termination) => terminations.some((one) => isSameNumber(one, end));
    return { ...now, terminations: now.terminations.filter(isWanted) };
  },
  (now, { deliveries }) => ({ ...now, deliveries: withMore(deliveries, now.deliveries) }),
  (now, desired) => ({ ...now, captures: rewired(now, desired) }),
  withChangedDeliveries,
  (now, { terminations }) => ({ ...now, terminations: withMore(now.terminations, terminations, pathOf) }),
  (now, { captures }) => ({ ...now, captures: withMore(now.captures, captures) }),
  (now, { captures }) => ({ ...now, captures: withLess(now.captures, captures) }),
  (now, { terminations }) => ({ ...now, terminations: withLess(now.terminations, terminations, pathOf) }),
];

function countsOf(packets: number): CaptureCounts {
  const counts = { packets, bytes: packets * SIZE };
  return { matched: counts, sampledOut: NONE, copied: counts, truncated: NONE, dropped: {}, skipped: {} };
}
