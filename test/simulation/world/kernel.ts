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
    await this.#scheduler.pause(this.#random.between(0, 2));
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
type Between = (now: DatapathState, desired: DatapathState) => DatapathState;

/** What is wanted, and what else is there. */
function withMore<T extends Part>(now: readonly T[], wanted: readonly T[]): T[] {
  const ids = new Set(wanted.map(({ id }) => id));
  return [...now.filter(({ id }) => !ids.has(id)), ...wanted];
}

/** What is there and wanted. */
function withLess<T extends Part>(now: readonly T[], wanted: readonly T[]): T[] {
  const ids = new Set(wanted.map(({ id }) => id));
  return now.filter(({ id }) => ids.has(id));
}

/** Parts come from the end of the path to its beginning, and go in the opposite order. */
const BETWEEN: readonly Between[] = [
  (now, { deliveries }) => ({ ...now, deliveries: withMore(now.deliveries, deliveries) }),
  (now, { terminations }) => ({ ...now, terminations: withMore(now.terminations, terminations) }),
  (now, { captures }) => ({ ...now, captures: withMore(now.captures, captures) }),
  (now, { captures }) => ({ ...now, captures: withLess(now.captures, captures) }),
  (now, { terminations }) => ({ ...now, terminations: withLess(now.terminations, terminations) }),
];

function countsOf(packets: number): CaptureCounts {
  const counts = { packets, bytes: packets * SIZE };
  return { matched: counts, sampledOut: NONE, copied: counts, truncated: NONE, dropped: {}, skipped: {} };
}
