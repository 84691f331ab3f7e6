/**
 * Allocates slots in arrays of counters and budgets to identities. The allocation is stored in a
 * pinned map, so that counters survive a restart.
 */
import { createHash } from 'node:crypto';
import { u32Key } from './layout.ts';
import type { BpfMap } from './libbpf.ts';

export const SLOT_KINDS = ['capture', 'delivery', 'termination', 'device'] as const;
export type SlotKind = (typeof SLOT_KINDS)[number];

const KIND_SHIFT = 24;
/** The most slots of a kind: 8192. */
const SLOT_MASK = 0x1fff;
const LIFE_SHIFT = 13;
const LIFE_MASK = 0x7ff;
const EPOCH_MASK = 0xffffff;
const HASH_SIZE = 16;

/** Bytes of a value of `slot_names`. */
const NAME_SIZE = 512;

/**
 * Reads and writes the map `slots`. The key is a hash of kind and id. The value is kind << 24 |
 * life << 13 | slot. An identity that has returned its slot and gets a slot again begins a new
 * life, with counters at 0. The map `slot_names` has a text under the same key. It describes the
 * slot, also for an agent whose program no longer has the identity.
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
  /** Start of the search for a free slot. */
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
      // A process that was killed between the two writes has left a name without a slot.
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

  /** True if `take` would find no free slot for this identity. */
  lacksRoom(kind: SlotKind, id: string): boolean {
    return this.#used[kind].size >= this.#limits[kind] && !this.#byHash.has(hash(kind, id));
  }

  /**
   * The slot of an identity. If it has none, a free slot is allocated.
   * @param prepare called with a newly allocated slot before it is stored; after a kill in between,
   * it runs again
   * @param text describes the slot, at most 511 bytes of UTF-8; left out: no description
   * @throws Error if no slot is free
   */
  take(kind: SlotKind, id: string, prepare: (slot: number) => void, text?: string): number {
    const known = this.#byHash.get(hash(kind, id));
    // The name is written before the slot, so that no slot counts without a name.
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

  /** The current life of an identity, 0 to 2047. */
  life(kind: SlotKind, id: string): number | undefined {
    const packed = this.#byHash.get(hash(kind, id));
    return packed === undefined ? undefined : (packed >>> LIFE_SHIFT) & LIFE_MASK;
  }

  /** Frees every slot whose identity is not in `kept`. Returns the freed slots. */
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

  /** Frees one slot. */
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

  /**
   * A random text that exists as long as the maps. It tells a reader whether counters started again
   * from 0.
   */
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

/** By kind and id. */
const hashes: Record<SlotKind, Map<string, string>> = {
  capture: new Map(),
  delivery: new Map(),
  termination: new Map(),
  device: new Map(),
};
/** Hashes of a kind that are remembered. */
const MOST_HASHES = 50_000;

/** First 16 bytes of SHA-256 over kind and id, hex. Cached: each apply and each reading asks for the same ids. */
function hash(kind: SlotKind, id: string): string {
  const known = hashes[kind];
  let value = known.get(id);
  if (value === undefined) {
    value = createHash('sha256')
      .update(`${kind}:${id}`)
      .digest('hex')
      .slice(0, 2 * HASH_SIZE);
    if (known.size > MOST_HASHES) {
      known.clear();
    }
    known.set(id, value);
  }
  return value;
}
