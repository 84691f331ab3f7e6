/** Keeps one map equal to a table of rows. It writes only differences. */
import { BpfError, type BpfMap, type MapContent } from './libbpf.ts';

/** Rows by their key in hex. */
export type Rows = ReadonlyMap<string, Buffer>;

/** Describes values of a map that the data plane also writes. */
export interface Shared {
  /** True if the data plane may have changed the value this way, so that no repair is needed. */
  isOwn(written: Buffer, found: Buffer, key: string): boolean;
  /**
   * The value to write instead of `row`, so that changes of the data plane since `written` stay.
   * Default `row`.
   */
  keep?(written: Buffer, found: Buffer, row: Buffer): Buffer;
  /** An existing row stays unchanged. Default false. */
  stays?: boolean;
  /**
   * A value without the fields of the data plane, so that values can be compared. Default the value
   * itself.
   */
  blank?(found: Buffer): Buffer;
}

/**
 * For values that the data plane learns before user space. A difference that is found once counts
 * as learned, because user space may not know yet. A difference that is still there the next time
 * needs a repair.
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

/** For values that the data plane counts in. */
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
  /** The contents of the map: as last read, with all later writes. */
  #rows: Map<string, Buffer>;
  /** Keys and values as they were when they last were those of `#rows`. Undefined: not read since. */
  #seen: Pick<MapContent, 'keys' | 'values'> | undefined;
  #left = 0;

  /** @param shared changes by the data plane. Default none */
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

  /**
   * Checks whether other software has changed the map. Returns how many rows differ. The next
   * writes repair them.
   */
  reread(): number {
    if (this.#isAsSeen(this.#content())) {
      return 0;
    }
    const rows = this.#read();
    const before = this.#rows;
    for (const [key, value] of rows) {
      const written = before.get(key);
      if (written && !written.equals(value) && this.#shared?.isOwn(written, value, key)) {
        rows.set(key, written);
      }
    }
    this.#rows = rows;
    this.#seen = undefined;
    const changed = [...rows].filter(([key, value]) => !before.get(key)?.equals(value)).length;
    return changed + [...before.keys()].filter((key) => !rows.has(key)).length;
  }

  /**
   * Whether the map is other than what was written. Cheaper than `reread`, and repairs nothing. True
   * also for changes of the data plane that `reread` may accept.
   */
  differs(): boolean {
    const content = this.#content();
    if (content === undefined) {
      return !sameRows(this.#read(), this.#rows, this.#shared);
    }
    const { count, keys, values } = content;
    if (count !== this.#rows.size) {
      return true;
    }
    if (this.#isAsSeen(content)) {
      return false;
    }
    if (!sameRows(this.#rowsIn(content), this.#rows, this.#shared)) {
      return true;
    }
    this.#seen = { keys: Buffer.from(keys), values: Buffer.from(values) };
    return false;
  }

  /** Whether all bytes are those that were found to be right. */
  #isAsSeen(content: MapContent | undefined): boolean {
    const seen = this.#seen;
    if (content === undefined || seen === undefined) {
      return false;
    }
    return seen.keys.equals(content.keys) && seen.values.equals(content.values);
  }

  #content(): MapContent | undefined {
    return this.#map.content(this.#keySize, this.#valueSize, this.#rows?.size ?? 0);
  }

  #rowsIn({ count, keys, values }: MapContent): Map<string, Buffer> {
    const rows = new Map<string, Buffer>();
    for (let i = 0; i < count; i++) {
      const key = keys.toString('hex', i * this.#keySize, (i + 1) * this.#keySize);
      const value = Buffer.from(values.subarray(i * this.#valueSize, (i + 1) * this.#valueSize));
      rows.set(key, this.#shared?.blank?.(value) ?? value);
    }
    return rows;
  }

  #read(): Map<string, Buffer> {
    const content = this.#content();
    if (content !== undefined) {
      return this.#rowsIn(content);
    }
    const rows = new Map<string, Buffer>();
    for (const key of this.#map.keys(this.#keySize)) {
      const value = Buffer.alloc(this.#valueSize);
      if (this.#map.lookup(key, value)) {
        rows.set(key.toString('hex'), this.#shared?.blank?.(value) ?? value);
      }
    }
    return rows;
  }

  /** The current value of a row in the map. */
  get(key: Buffer): Buffer | undefined {
    return this.#rows.get(key.toString('hex'));
  }

  /** Writes new and changed rows while there is room (`lacksRoom`). Returns their number. */
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
      this.#seen = undefined;
      written++;
    }
    return written;
  }

  /** Number of rows without room in the last `write`. */
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

  /** Removes all other rows. Returns their number. */
  removeOthers(rows: Rows): number {
    return this.removeIf((key) => !rows.has(key));
  }

  /** Removes some rows. Returns their number. */
  removeIf(isOver: (key: string, row: Buffer) => boolean): number {
    let removed = 0;
    for (const [key, row] of [...this.#rows]) {
      if (!isOver(key, row)) {
        continue;
      }
      this.#map.remove(Buffer.from(key, 'hex'));
      this.#rows.delete(key);
      this.#seen = undefined;
      removed++;
    }
    return removed;
  }
}

/** Whether both have the same rows. Values that the data plane counts in need not be the same. */
function sameRows(found: Rows, written: Rows, shared: Shared | undefined): boolean {
  return (
    found.size === written.size &&
    [...written].every(([key, row]) => {
      const value = found.get(key);
      return value !== undefined && (shared?.stays || value.equals(row));
    })
  );
}
