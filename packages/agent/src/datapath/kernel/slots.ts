/** Which identity holds which slot of an array of counters, or of budgets. Kept in a pinned map, so that counters survive a restart. */
import { createHash } from 'node:crypto';
import { u32Key } from './layout.ts';
import type { BpfMap } from './libbpf.ts';

export const SLOT_KINDS = ['capture', 'delivery', 'termination', 'device'] as const;
export type SlotKind = (typeof SLOT_KINDS)[number];

const KIND_SHIFT = 24;
/** The most slots that a kind can have: 8192. */
const SLOT_MASK = 0x1fff;
const LIFE_SHIFT = 13;
const LIFE_MASK = 0x7ff;
const EPOCH_MASK = 0xffffff;
const HASH_SIZE = 16;

/** Bytes of a value of `slot_names`. */
const NAME_SIZE = 512;

/**
 * Reads and writes the map `slots`: key the hash of kind and id, value kind << 24 | life << 13 | slot. An identity that has given
 * its slot back and takes one again begins another life, and its counters begin at 0. The map `slot_names` has a text
 * under the same key, which says what the slot is for, also to an agent whose program does not name it any more.
 */
export class Slots {
  readonly #map: BpfMap;
  readonly #names: BpfMap;
  readonly #limits: Record<SlotKind, number>;
  readonly #byHash = new Map<string, number>();
  /** Texts by hash. */
  readonly #texts = new Map<string, string>();
  readonly #used: Record<SlotKind, Set<number>> = {
    capture: new Set(),
    delivery: new Set(),
    termination: new Set(),
    device: new Set(),
  };
  /** Where the search for a free slot begins. */
  readonly #next: Record<SlotKind, number> = { capture: 0, delivery: 0, termination: 0, device: 0 };
  #life = Math.floor(Math.random() * LIFE_MASK);

  constructor(maps: Record<'slots' | 'slot_names', BpfMap>, limits: Record<SlotKind, number>) {
    const map = maps.slots;
    this.#map = map;
    this.#names = maps.slot_names;
    this.#limits = limits;
    const value = Buffer.alloc(4);
    for (const key of map.keys(HASH_SIZE)) {
      if (!map.lookup(key, value)) {
        continue;
      }
      const packed = value.readUInt32LE();
      const kind = SLOT_KINDS[packed >>> KIND_SHIFT];
      if (!kind) {
        continue; // the epoch
      }
      this.#byHash.set(key.toString('hex'), packed);
      this.#used[kind].add(packed & SLOT_MASK);
    }
    this.#readNames();
  }

  #readNames(): void {
    const value = Buffer.alloc(NAME_SIZE);
    for (const key of this.#names.keys(HASH_SIZE)) {
      if (!this.#names.lookup(key, value)) {
        continue;
      }
      const hex = key.toString('hex');
      // Whoever was killed between the two writes has left a name without a slot.
      if (this.#byHash.has(hex)) {
        this.#texts.set(hex, value.toString('utf8', 0, value.indexOf(0)));
      } else {
        this.#names.remove(key);
      }
    }
  }

  /** The texts of all slots of a kind. */
  texts(kind: SlotKind): string[] {
    return [...this.#texts].flatMap(([key, text]) =>
      SLOT_KINDS[this.#byHash.get(key)! >>> KIND_SHIFT] === kind ? [text] : [],
    );
  }

  /** True where `take` would find no free slot for this identity. */
  lacksRoom(kind: SlotKind, id: string): boolean {
    return this.#used[kind].size >= this.#limits[kind] && !this.#byHash.has(hash(kind, id));
  }

  /**
   * The slot of an identity; a free one is taken where it has none.
   * @param prepare called with a slot that is newly taken, before it is written down: who is killed in between does it again
   * @param text what the slot is for, at most 511 bytes of UTF-8; left out: only its identity tells
   * @throws Error where none is left
   */
  take(kind: SlotKind, id: string, prepare: (slot: number) => void, text?: string): number {
    const known = this.#byHash.get(hash(kind, id));
    // Before the slot: there is never one that counts and cannot be named.
    if (text !== undefined) {
      this.#keepText(hash(kind, id), text);
    }
    if (known !== undefined) {
      return known & SLOT_MASK;
    }
    const used = this.#used[kind];
    const limit = this.#limits[kind];
    if (used.size >= limit) {
      throw new Error(`no free ${kind} slot: a node holds ${limit} of them`);
    }
    let slot = this.#next[kind];
    while (used.has(slot)) {
      slot = (slot + 1) % limit;
    }
    this.#next[kind] = (slot + 1) % limit;
    this.#life = (this.#life + 1) & LIFE_MASK;
    const packed = ((SLOT_KINDS.indexOf(kind) << KIND_SHIFT) | (this.#life << LIFE_SHIFT) | slot) >>> 0;
    prepare(slot);
    this.#map.update(Buffer.from(hash(kind, id), 'hex'), u32Key(packed));
    this.#byHash.set(hash(kind, id), packed);
    used.add(slot);
    return slot;
  }

  /** The slot of an identity that has one. */
  find(kind: SlotKind, id: string): number | undefined {
    const packed = this.#byHash.get(hash(kind, id));
    return packed === undefined ? undefined : packed & SLOT_MASK;
  }

  /** Which life of an identity counts now, 0 to 2047. */
  life(kind: SlotKind, id: string): number | undefined {
    const packed = this.#byHash.get(hash(kind, id));
    return packed === undefined ? undefined : (packed >>> LIFE_SHIFT) & LIFE_MASK;
  }

  /** Gives back every slot whose identity is not among `kept`. Returns what was given back. */
  release(kept: Record<SlotKind, ReadonlySet<string>>): { kind: SlotKind; slot: number }[] {
    const keep = new Set(SLOT_KINDS.flatMap((kind) => [...kept[kind]].map((id) => hash(kind, id))));
    const released: { kind: SlotKind; slot: number }[] = [];
    for (const [key, packed] of this.#byHash) {
      if (keep.has(key)) {
        continue;
      }
      released.push(this.#giveBack(key, packed));
    }
    return released;
  }

  /** Gives one slot back. */
  forget(kind: SlotKind, id: string): void {
    const packed = this.#byHash.get(hash(kind, id));
    if (packed !== undefined) {
      this.#giveBack(hash(kind, id), packed);
    }
  }

  #keepText(key: string, text: string): void {
    if (this.#texts.get(key) === text) {
      return;
    }
    const value = Buffer.alloc(NAME_SIZE);
    const bytes = Buffer.from(text);
    if (bytes.length >= NAME_SIZE) {
      throw new Error(`the name of a counter has more than ${NAME_SIZE - 1} bytes`);
    }
    bytes.copy(value);
    this.#names.update(Buffer.from(key, 'hex'), value);
    this.#texts.set(key, text);
  }

  #giveBack(key: string, packed: number): { kind: SlotKind; slot: number } {
    const kind = SLOT_KINDS[packed >>> KIND_SHIFT]!;
    this.#map.remove(Buffer.from(key, 'hex'));
    this.#byHash.delete(key);
    if (this.#texts.delete(key)) {
      this.#names.remove(Buffer.from(key, 'hex'));
    }
    this.#used[kind].delete(packed & SLOT_MASK);
    return { kind, slot: packed & SLOT_MASK };
  }

  /** A number that lives as long as the maps do: with it, a reader knows whether counters began again from 0. */
  static epoch(map: BpfMap): string {
    const key = Buffer.alloc(HASH_SIZE); // no hash is all zeros
    const value = Buffer.alloc(4);
    if (!map.lookup(key, value)) {
      value.writeUInt32LE(((0xff << KIND_SHIFT) | Math.floor(Math.random() * EPOCH_MASK)) >>> 0);
      map.update(key, value);
    }
    return value.toString('hex');
  }
}

const hashes = new Map<string, string>();

/** First 16 bytes of SHA-256 over kind and id, hex. Cached: each apply asks for the same ids. */
function hash(kind: SlotKind, id: string): string {
  const text = `${kind}:${id}`;
  let value = hashes.get(text);
  if (value === undefined) {
    value = createHash('sha256')
      .update(text)
      .digest('hex')
      .slice(0, 2 * HASH_SIZE);
    if (hashes.size > 100_000) {
      hashes.clear();
    }
    hashes.set(text, value);
  }
  return value;
}
