/** Reads the counters, and gives each the names of its part of the program. */
import {
  type CaptureCounts,
  type CaptureReport,
  type Count,
  type CounterReport,
  type DeliveryReport,
  type PeerReport,
  refusedOf,
  type TerminationReport,
} from '@mirrorplane/contract';
import type { DatapathState } from '../datapath.ts';
import { CountedNames } from './counted-names.ts';
import type { MapName } from './install.ts';
import {
  captureAddsUp,
  decodeCaptureCounters,
  decodeDeliveryCounters,
  decodePeer,
  decodeSequences,
  decodeTerminationCounters,
  LAYOUT,
  sequenceKeys,
  sumPerCpu,
  u32Key,
  untilLast,
} from './layout.ts';
import { type BpfMap, possibleCpus } from './libbpf.ts';
import type { SlotKind, Slots } from './slots.ts';

/** Kinds of slots with counters. */
type CountedKind = Exclude<SlotKind, 'device'>;
const COUNTED_KINDS = ['capture', 'delivery', 'termination'] as const satisfies CountedKind[];

/** The names in reports of each kind. */
interface NameOf {
  capture: Pick<CaptureReport, 'policy' | 'source' | 'direction'>;
  delivery: Pick<DeliveryReport, 'delivery' | 'policy'>;
  termination: Pick<TerminationReport, 'termination' | 'policy' | 'node'>;
}
type Names = { [Kind in CountedKind]: CountedNames<NameOf[Kind]> };

/** A row of a report, and what it was made of. */
interface Row<R> {
  name: NameOf['capture'];
  life: number | undefined;
  sums: readonly number[];
  row: R;
}

const MAP_OF = {
  capture: 'capture_counters',
  delivery: 'delivery_counters',
  termination: 'termination_counters',
} as const satisfies Record<CountedKind, MapName>;

/** Times that counters are read again which are not of one moment, because packets came meanwhile. */
const READ_AGAIN = 8;

export class CounterReader {
  readonly #maps: Record<MapName, BpfMap>;
  readonly #slots: Slots;
  readonly #epoch: string;
  readonly #cpus = possibleCpus();
  /** Room for the values of one slot, which are summed before the next are read. */
  readonly #values = {
    capture: Buffer.alloc(LAYOUT.capture_counters.size * this.#cpus),
    delivery: Buffer.alloc(LAYOUT.delivery_counters.size * this.#cpus),
    termination: Buffer.alloc(LAYOUT.termination_counters.size * this.#cpus),
  } satisfies Record<CountedKind, Buffer>;
  /** By delivery: the numbers that were read last, when it had sent so many packets. */
  readonly #given = new Map<string, { sent: number; numbered: readonly number[] }>();
  readonly #names: Names = {
    capture: new CountedNames(),
    delivery: new CountedNames(),
    termination: new CountedNames(),
  };

  /** Captures in the last report, by id: where nothing was counted since, the next one has the same objects. */
  #captures = new Map<string, Row<CaptureReport>>();

  constructor(maps: Record<MapName, BpfMap>, slots: Slots, epoch: string) {
    this.#maps = maps;
    this.#slots = slots;
    this.#epoch = epoch;
    const now = performance.now();
    for (const kind of COUNTED_KINDS) {
      const names: CountedNames<object> = this.#names[kind];
      names.inherit(slots.texts(kind).flatMap(parseText), now);
    }
  }

  /**
   * Sets the names of a new state, before it is applied. Parts that are no longer in the state are
   * reported until their counts are saved.
   */
  remember(state: DatapathState): void {
    const { capture, delivery, termination } = this.#names;
    capture.enter(
      new Map(state.captures.map(({ id, policy, source, direction }) => [id, { policy, source, direction }])),
    );
    delivery.enter(new Map(state.deliveries.map(({ id, policy }) => [id, { delivery: id, policy }])));
    termination.enter(
      new Map(state.terminations.map(({ id, policy, node }) => [id, { termination: id, policy, node }])),
    );
  }

  /** The new state has been applied. */
  applied(): void {
    const now = performance.now();
    for (const kind of COUNTED_KINDS) {
      this.#names[kind].entered(now);
    }
  }

  /**
   * The controller has saved the report that was read at `readAt`, in milliseconds of
   * `performance.now()`.
   */
  saved(readAt: number): void {
    for (const kind of COUNTED_KINDS) {
      this.#names[kind].saved(readAt);
    }
  }

  /** Makes room by giving up unsaved counters: those of parts that left the program first. */
  makeRoom(kind: CountedKind): void {
    const id = this.#names[kind].forgetOldest();
    if (id !== undefined) {
      this.#slots.forget(kind, id);
    }
  }

  /** The text that is stored with the slot of an id, for the next run. */
  textOf(kind: CountedKind, id: string): string {
    return JSON.stringify([id, this.#names[kind].get(id)]);
  }

  /** Ids that must keep their slots. */
  named(): Record<CountedKind, ReadonlySet<string>> {
    const { capture, delivery, termination } = this.#names;
    return { capture: capture.ids(), delivery: delivery.ids(), termination: termination.ids() };
  }

  /** Sets the counters of a slot to 0, before its new owner uses it. */
  reset(kind: CountedKind, slot: number): void {
    const size = LAYOUT[MAP_OF[kind]].size;
    this.#maps[MAP_OF[kind]].update(u32Key(slot), Buffer.alloc(size * this.#cpus));
    if (kind === 'termination') {
      this.#maps.termination_sequences.update(u32Key(slot), Buffer.alloc(LAYOUT.sequence_state.size));
    }
    if (kind === 'delivery') {
      this.#given.clear();
      for (const key of sequenceKeys(slot)) {
        this.#maps.delivery_sequences.update(key, Buffer.alloc(8));
      }
    }
  }

  /**
   * Reads from the end of a copy's path to its beginning, so that no more copies seem to leave than
   * came in. A sender gives a copy its number before it counts it, and a receiver counts it before
   * its number. So here a copy that is counted as sent has its number, and a number that has come
   * is a copy that is counted.
   */
  read(): CounterReport {
    const terminations: TerminationReport[] = [];
    for (const [id, name] of this.#names.termination.entries()) {
      const found = this.#arrived(id);
      if (found) {
        terminations.push({
          ...name,
          ...this.#life('termination', id),
          ...decodeTerminationCounters(found.sums),
          ...found.numbers,
        });
      }
    }
    const deliveries: DeliveryReport[] = [];
    for (const [id, name] of this.#names.delivery.entries()) {
      const sums = this.#sums('delivery', id);
      if (sums) {
        const counts = decodeDeliveryCounters(sums);
        // A node has a delivery for each policy of its pool, and nearly all of them send nothing.
        const numbered = this.#numbered(id, counts.sent.packets);
        deliveries.push({
          ...name,
          ...this.#life('delivery', id),
          ...counts,
          ...(numbered.length > 0 && { numbered: [...numbered] }),
        });
      }
    }
    const captures = this.#readCaptures();
    const node = Buffer.alloc(LAYOUT.node_counters.size * this.#cpus);
    this.#maps.node_counters.lookup(u32Key(0), node);
    const unknownErspan = sumPerCpu(node, LAYOUT.node_counters.size)[0]!;
    return { epoch: this.#epoch, captures, deliveries, terminations, peers: this.#peers(), unknownErspan };
  }

  /** Most captures of a node at rest have counted nothing since the last report. */
  #readCaptures(): CaptureReport[] {
    const rows = new Map<string, Row<CaptureReport>>();
    for (const [id, name] of this.#names.capture.entries()) {
      const sums = this.#captureSums(id);
      if (sums === undefined) {
        continue;
      }
      const life = this.#slots.life('capture', id);
      const last = this.#captures.get(id);
      if (last?.life === life && areNamed(last?.name, name) && areEqual(last!.sums, sums)) {
        rows.set(id, last!);
        continue;
      }
      const counts = decodeCaptureCounters(sums);
      rows.set(id, { name, life, sums, row: { ...name, ...(life !== undefined && { life }), counts } });
    }
    this.#captures = rows;
    return Array.from(rows.values(), ({ row }) => row);
  }

  /** Counts of a few captures, by id. */
  countsOf(ids: readonly string[]): Map<string, CaptureCounts> {
    return new Map(
      ids.flatMap((id) => {
        const sums = this.#captureSums(id);
        return sums ? [[id, decodeCaptureCounters(sums)] as const] : [];
      }),
    );
  }

  #peers(): PeerReport[] {
    const value = Buffer.alloc(LAYOUT.peer.size);
    return this.#maps.peers.keys(4).flatMap((key) => {
      const peer = this.#maps.peers.lookup(key, value) ? decodePeer(key, value) : undefined;
      return peer && refusedOf(peer) > 0 ? [peer] : [];
    });
  }

  #life(kind: SlotKind, id: string): { life?: number } {
    const life = this.#slots.life(kind, id);
    return life === undefined ? {} : { life };
  }

  /**
   * What has come to a termination, and the numbers of that: of one moment, if no copy comes while
   * they are read. Else more was counted than has a number, and a loss would look smaller until the
   * next report. An agent that waits for a CPU between the two reads would tell some copies less.
   */
  #arrived(id: string) {
    let numbers = this.#sequence(id);
    for (let again = 0; ; again++) {
      const sums = this.#sums('termination', id);
      const after = this.#sequence(id);
      if (sums === undefined) {
        return undefined;
      }
      if (again === READ_AGAIN || areEqual(numbers.expected, after.expected)) {
        return { numbers, sums };
      }
      numbers = after;
    }
  }

  #sequence(id: string): { missing: Count; late: Count; expected: number[] } {
    const state = Buffer.alloc(LAYOUT.sequence_state.size);
    this.#maps.termination_sequences.lookup(u32Key(this.#slots.find('termination', id)!), state);
    return decodeSequences(state);
  }

  /**
   * How many numbers of each lane a delivery has given, up to the last lane that was used. They are
   * read again where it has sent more since: each lane is a call.
   */
  #numbered(id: string, sent: number): readonly number[] {
    const known = this.#given.get(id);
    if (sent === 0 || known?.sent === sent) {
      return sent === 0 ? [] : known!.numbered;
    }
    const given = Buffer.alloc(8);
    const numbered = untilLast(
      sequenceKeys(this.#slots.find('delivery', id)!, this.#cpus).map((key) =>
        this.#maps.delivery_sequences.lookup(key, given) ? Number(given.readBigUInt64LE()) : 0,
      ),
    );
    this.#given.set(id, { sent, numbered });
    return numbered;
  }

  /**
   * A CPU counts a packet as matched before it counts what becomes of it, and may be read between
   * the two. It is done a microsecond later, so they are read again. They are told as they are
   * where they still do not add up.
   */
  #captureSums(id: string): number[] | undefined {
    let sums = this.#sums('capture', id);
    for (let again = 0; sums !== undefined && !captureAddsUp(sums) && again < READ_AGAIN; again++) {
      sums = this.#sums('capture', id);
    }
    return sums;
  }

  #sums(kind: CountedKind, id: string): number[] | undefined {
    const slot = this.#slots.find(kind, id);
    if (slot === undefined) {
      return undefined;
    }
    const values = this.#values[kind];
    const isThere = this.#maps[MAP_OF[kind]].lookup(u32Key(slot), values);
    return isThere ? sumPerCpu(values, LAYOUT[MAP_OF[kind]].size) : undefined;
  }
}

function areNamed(a: NameOf['capture'] | undefined, b: NameOf['capture']): boolean {
  return a !== undefined && a.policy === b.policy && a.source === b.source && a.direction === b.direction;
}

function areEqual(a: readonly number[], b: readonly number[]): boolean {
  for (let i = 0; i < b.length; i++) {
    if (a[i] !== b[i]) {
      return false;
    }
  }
  return true;
}

/**
 * Empty for an unknown text: a map that others have written must not stop an agent from starting.
 */
function parseText(text: string): [string, object][] {
  try {
    return [JSON.parse(text) as [string, object]];
  } catch {
    return [];
  }
}
