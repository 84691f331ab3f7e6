/** The looks of a node: their slots, and what they have seen. */
import { randomInt } from 'node:crypto';
import { LOOK_LIMITS } from '@mirrorplane/contract';
import type { LookCounts, LookEntry, LookReading } from '../datapath.ts';
import type { HearingRow } from './hear-layout.ts';
import { Hearing } from './hearing.ts';
import type { Installation } from './install.ts';
import { LAYOUT, sumPerCpu, u32Key } from './layout.ts';
import { possibleCpus, RingReader } from './libbpf.ts';
import { decodeRecord, type LookSlot } from './look-layout.ts';
import type { TableWriter } from './table-writer.ts';

/** Gives looks their slots, and reads what they see. Nothing is read while there is none. */
export class Looks {
  readonly #maps: Installation['maps'];
  readonly #rows: TableWriter;
  readonly #slots = new Map<string, LookSlot>();
  readonly #hearing: Hearing;
  #reader: RingReader | undefined;

  /** @param rows of the map `looks` @param hearing the object file of what hears drops */
  constructor(maps: Installation['maps'], rows: TableWriter, hearing?: string) {
    this.#maps = maps;
    this.#rows = rows;
    this.#hearing = new Hearing(maps, hearing);
  }

  /**
   * Takes the looks of a new state. Those that are gone see nothing when it returns, and neither do
   * those of an agent before this one. @throws Error where there are too many
   */
  enter(looks: readonly LookEntry[]): ReadonlyMap<string, LookSlot> {
    if (looks.length > LOOK_LIMITS.looks) {
      throw new Error(`there are ${looks.length} looks; a node has ${LOOK_LIMITS.looks} at most`);
    }
    const ids = new Set(looks.map(({ id }) => id));
    for (const id of this.#slots.keys().filter((known) => !ids.has(known))) {
      this.#slots.delete(id);
    }
    const key = ({ slot }: LookSlot) => u32Key(slot).toString('hex');
    this.#rows.removeOthers(new Map([...this.#slots.values()].map((slot) => [key(slot), Buffer.alloc(0)])));
    for (const id of ids) {
      if (!this.#slots.has(id)) {
        this.#slots.set(id, this.#begin());
      }
    }
    if (ids.size === 0) {
      this.close();
    }
    return this.#slots;
  }

  #begin(): LookSlot {
    const taken = new Set([...this.#slots.values()].map(({ slot }) => slot));
    const slot = Array.from({ length: LOOK_LIMITS.looks }, (_, i) => i).find((i) => !taken.has(i))!;
    this.#maps.look_counters.update(u32Key(slot), Buffer.alloc(LAYOUT.look_counters.size * possibleCpus()));
    this.#maps.look_buckets.update(u32Key(slot), Buffer.alloc(LAYOUT.look_buckets.size));
    if (this.#reader === undefined) {
      this.#reader = new RingReader(this.#maps.look_records);
      this.#empty(this.#reader);
    }
    return { slot, serial: randomInt(1, 2 ** 32 - 1) };
  }

  /** Throws away what looks before these have left. No look writes meanwhile. */
  #empty(reader: RingReader): void {
    while (reader.read(1024).length > 0) {}
  }

  /** Hears drops for the looks that have entered. See `Hearing.follow`. */
  hear(looks: readonly LookEntry[], node: Pick<HearingRow, 'netns' | 'own'>): string | undefined {
    return this.#hearing.follow(looks, this.#slots, node);
  }

  /** See `Datapath.readLooks`. */
  read(most: number): LookReading {
    const bySerial = new Map([...this.#slots].map(([id, { serial }]) => [serial, id]));
    const began = Date.now() * 1000 - Number(process.hrtime.bigint() / 1000n);
    const packets = (this.#reader?.read(most) ?? []).flatMap((record) => {
      const look = bySerial.get(record.readUInt32LE(LAYOUT.look_record.fields.serial));
      return look === undefined ? [] : [decodeRecord(record, look, began)];
    });
    const drops = this.#hearing.read(most, bySerial, began);
    return { packets, drops, counts: new Map([...this.#slots].map(([id, slot]) => [id, this.#counts(id, slot)])) };
  }

  #counts(id: string, look: LookSlot): LookCounts {
    const values = Buffer.alloc(LAYOUT.look_counters.size * possibleCpus());
    this.#maps.look_counters.lookup(u32Key(look.slot), values);
    const [seen, written, overRate, ringFull] = sumPerCpu(values, LAYOUT.look_counters.size) as [
      number,
      number,
      number,
      number,
    ];
    return { seen, written, overRate, ringFull, ...this.#hearing.counts(id, look) };
  }

  close(): void {
    this.#hearing.close();
    this.#reader?.close();
    this.#reader = undefined;
  }
}
