/** Keeps one map equal to a table of rows, writing differences alone. */
import { BpfError, type BpfMap } from './libbpf.ts';

/** Rows by their key in hex. */
export type Rows = ReadonlyMap<string, Buffer>;

/** What the data plane itself writes into a map beside us. */
export interface Shared {
  /** True where it may have made one value out of the other, and nothing is to be repaired. */
  isOwn(written: Buffer, found: Buffer, key: string): boolean;
  /** What to write instead of `row`, so that what it has made of `written` since stays. Default `row`. */
  keep?(written: Buffer, found: Buffer, row: Buffer): Buffer;
  /** A row that is there stays as it is. Default false. */
  stays?: boolean;
  /** A value without what the data plane alone writes, so that values can be compared. Default the value itself. */
  blank?(found: Buffer): Buffer;
}

/**
 * For what the data plane learns before user space does: a difference that is found once is its own, for user space may
 * not know yet; one that is still there the next time is not.
 */
export function learned(): Shared {
  const once = new Map<string, string>();
  return {
    isOwn(_written, found, key) {
      const value = found.toString('hex');
      const again = once.get(key) === value;
      if (again) {
        once.delete(key);
      } else {
        once.set(key, value);
      }
      return !again;
    },
  };
}

/** For what the data plane counts in: its own from the first packet on. */
export const COUNTED: Shared = { isOwn: () => true, stays: true };

/** Of a value without its 32-bit field at `offset`, which the data plane alone writes. */
export function withoutField(value: Buffer, offset: number): Buffer {
  const copy = Buffer.from(value);
  copy.writeUInt32LE(0, offset);
  return copy;
}

export class TableWriter {
  readonly #map: BpfMap;
  readonly #keySize: number;
  readonly #valueSize: number;
  readonly #shared: Shared | undefined;
  /** What the map holds, as read last and written since. */
  #rows: Map<string, Buffer>;
  #left = 0;

  /** @param shared what the data plane itself changes. Default nothing */
  constructor(map: BpfMap, keySize: number, valueSize: number, shared?: Shared) {
    this.#map = map;
    this.#keySize = keySize;
    this.#valueSize = valueSize;
    this.#shared = shared;
    this.#rows = this.#read();
  }

  /** In hex. */
  keys(): string[] {
    return [...this.#rows.keys()];
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Checks whether other software has written the map. Returns how many rows differ: the next writes repair them. */
  reread(): number {
    const rows = this.#read();
    const before = this.#rows;
    for (const [key, value] of rows) {
      const written = before.get(key);
      if (written && !written.equals(value) && this.#shared?.isOwn(written, value, key)) {
        rows.set(key, written);
      }
    }
    this.#rows = rows;
    const changed = [...rows].filter(([key, value]) => !before.get(key)?.equals(value)).length;
    return changed + [...before.keys()].filter((key) => !rows.has(key)).length;
  }

  #read(): Map<string, Buffer> {
    const rows = new Map<string, Buffer>();
    for (const key of this.#map.keys(this.#keySize)) {
      const value = Buffer.alloc(this.#valueSize);
      if (this.#map.lookup(key, value)) {
        rows.set(key.toString('hex'), this.#shared?.blank?.(value) ?? value);
      }
    }
    return rows;
  }

  /** The value of a row as the map holds it. */
  get(key: Buffer): Buffer | undefined {
    return this.#rows.get(key.toString('hex'));
  }

  /** Writes new and changed rows, as far as there is room: see `lacksRoom`. Returns how many. */
  write(rows: Rows): number {
    let written = 0;
    this.#left = 0;
    for (const [key, value] of rows) {
      const before = this.#rows.get(key);
      if (before?.equals(value) || (before && this.#shared?.stays)) {
        continue;
      }
      try {
        this.#map.update(Buffer.from(key, 'hex'), this.#kept(key, before, value));
      } catch (error) {
        if (!(error instanceof BpfError) || error.code !== 'E2BIG') {
          throw error;
        }
        this.#left++;
        continue;
      }
      this.#rows.set(key, value);
      written++;
    }
    return written;
  }

  /** How many rows the last `write` has found no room for. */
  get lacksRoom(): number {
    return this.#left;
  }

  #kept(key: string, before: Buffer | undefined, row: Buffer): Buffer {
    if (!before || !this.#shared?.keep) {
      return row;
    }
    const found = Buffer.alloc(this.#valueSize);
    return this.#map.lookup(Buffer.from(key, 'hex'), found) ? this.#shared.keep(before, found, row) : row;
  }

  /** Removes all other rows. Returns how many. */
  removeOthers(rows: Rows): number {
    let removed = 0;
    for (const key of [...this.#rows.keys()]) {
      if (rows.has(key)) {
        continue;
      }
      this.#map.remove(Buffer.from(key, 'hex'));
      this.#rows.delete(key);
      removed++;
    }
    return removed;
  }
}
