/** Reading the counters, and giving each the names of the program that it counts for. */
import type {
  CaptureCounts,
  CaptureReport,
  Count,
  CounterReport,
  DeliveryReport,
  TerminationReport,
} from '@mirrorplane/contract';
import type { DatapathState } from '../datapath.ts';
import type { MapName } from './install.ts';
import {
  decodeCaptureCounters,
  decodeDeliveryCounters,
  decodeTerminationCounters,
  LAYOUT,
  sumPerCpu,
  u32Key,
} from './layout.ts';
import { type BpfMap, possibleCpus } from './libbpf.ts';
import type { SlotKind, Slots } from './slots.ts';

/** Counters of something removed are still reported for this long, so that its last packets are not lost to a reader. */
const LINGER_MS = 60_000;

interface Named<T> {
  name: T;
  /** Monotonic milliseconds after which it is forgotten; undefined while it is in the program. */
  until?: number | undefined;
}

type Names = {
  capture: Map<string, Named<Pick<CaptureReport, 'policy' | 'source' | 'direction'>>>;
  delivery: Map<string, Named<Pick<DeliveryReport, 'delivery' | 'policy'>>>;
  termination: Map<string, Named<Pick<TerminationReport, 'termination' | 'policy' | 'node'>>>;
};

/** Kinds of slots with counters. */
type CountedKind = Exclude<SlotKind, 'device'>;

const MAP_OF = {
  capture: 'capture_counters',
  delivery: 'delivery_counters',
  termination: 'termination_counters',
} as const satisfies Record<CountedKind, MapName>;

export class CounterReader {
  readonly #maps: Record<MapName, BpfMap>;
  readonly #slots: Slots;
  readonly #epoch: string;
  readonly #cpus = possibleCpus();
  readonly #names: Names = { capture: new Map(), delivery: new Map(), termination: new Map() };

  constructor(maps: Record<MapName, BpfMap>, slots: Slots, epoch: string) {
    this.#maps = maps;
    this.#slots = slots;
    this.#epoch = epoch;
  }

  /** Takes the names of a new state; what is not in it any more lingers. */
  remember(state: DatapathState): void {
    const now = performance.now();
    for (const names of Object.values(this.#names)) {
      for (const [id, named] of names) {
        named.until ??= now + LINGER_MS;
        if (named.until < now) names.delete(id);
      }
    }
    for (const { id, policy, source, direction } of state.captures) {
      this.#names.capture.set(id, { name: { policy, source, direction } });
    }
    for (const { id, policy } of state.deliveries) this.#names.delivery.set(id, { name: { delivery: id, policy } });
    for (const { id, policy, node } of state.terminations) {
      this.#names.termination.set(id, { name: { termination: id, policy, node } });
    }
  }

  /** Ids that have to keep their slots. */
  named(): Record<CountedKind, ReadonlySet<string>> {
    const ids = (kind: CountedKind) => new Set(this.#names[kind].keys());
    return { capture: ids('capture'), delivery: ids('delivery'), termination: ids('termination') };
  }

  /** Sets the counters of a slot to 0, before its new owner uses it. */
  reset(kind: CountedKind, slot: number): void {
    const size = LAYOUT[MAP_OF[kind]].size;
    this.#maps[MAP_OF[kind]].update(u32Key(slot), Buffer.alloc(size * this.#cpus));
    if (kind === 'termination') {
      this.#maps.termination_sequences.update(u32Key(slot), Buffer.alloc(LAYOUT.sequence_state.size));
    }
    if (kind === 'delivery') this.#maps.delivery_sequences.update(u32Key(slot), Buffer.alloc(8));
  }

  read(): CounterReport {
    const captures: CaptureReport[] = [];
    for (const [id, { name }] of this.#names.capture) {
      const sums = this.#sums('capture', id);
      if (sums) captures.push({ ...name, ...this.#life('capture', id), counts: decodeCaptureCounters(sums) });
    }
    const deliveries: DeliveryReport[] = [];
    for (const [id, { name }] of this.#names.delivery) {
      const sums = this.#sums('delivery', id);
      if (sums) deliveries.push({ ...name, ...this.#life('delivery', id), ...decodeDeliveryCounters(sums) });
    }
    const terminations: TerminationReport[] = [];
    for (const [id, { name }] of this.#names.termination) {
      const sums = this.#sums('termination', id);
      if (sums)
        terminations.push({
          ...name,
          ...this.#life('termination', id),
          ...decodeTerminationCounters(sums),
          ...this.#sequence(id),
        });
    }
    const node = Buffer.alloc(LAYOUT.node_counters.size * this.#cpus);
    this.#maps.node_counters.lookup(u32Key(0), node);
    const unknownErspan = sumPerCpu(node, LAYOUT.node_counters.size)[0]!;
    return { epoch: this.#epoch, captures, deliveries, terminations, unknownErspan };
  }

  /** Counts of a few captures, by id. */
  countsOf(ids: readonly string[]): Map<string, CaptureCounts> {
    return new Map(
      ids.flatMap((id) => {
        const sums = this.#sums('capture', id);
        return sums ? [[id, decodeCaptureCounters(sums)] as const] : [];
      }),
    );
  }

  #life(kind: SlotKind, id: string): { life?: number } {
    const life = this.#slots.life(kind, id);
    return life === undefined ? {} : { life };
  }

  #sequence(id: string): { missing: Count; late: Count } {
    const state = Buffer.alloc(LAYOUT.sequence_state.size);
    this.#maps.termination_sequences.lookup(u32Key(this.#slots.find('termination', id)!), state);
    const { missing, late } = LAYOUT.sequence_state.fields;
    const at = (offset: number) => ({ packets: Number(state.readBigUInt64LE(offset)), bytes: 0 });
    return { missing: at(missing), late: at(late) };
  }

  #sums(kind: CountedKind, id: string): number[] | undefined {
    const slot = this.#slots.find(kind, id);
    if (slot === undefined) return undefined;
    const size = LAYOUT[MAP_OF[kind]].size;
    const values = Buffer.alloc(size * this.#cpus);
    return this.#maps[MAP_OF[kind]].lookup(u32Key(slot), values) ? sumPerCpu(values, size) : undefined;
  }
}
