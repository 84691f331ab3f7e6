/** Keeps one map equal to a table of rows, writing differences alone. */
import type { BpfMap } from './libbpf.ts';

/** Rows by their key in hex. */
export type Rows = ReadonlyMap<string, Buffer>;

export class TableWriter {
  readonly #map: BpfMap;
  /** What the map holds, as read at the start and written since: nobody else writes it. */
  readonly #rows = new Map<string, Buffer>();

  constructor(map: BpfMap, keySize: number, valueSize: number) {
    this.#map = map;
    for (const key of map.keys(keySize)) {
      const value = Buffer.alloc(valueSize);
      if (map.lookup(key, value)) this.#rows.set(key.toString('hex'), value);
    }
  }

  /** Writes new and changed rows. Returns how many. */
  write(rows: Rows): number {
    let written = 0;
    for (const [key, value] of rows) {
      if (this.#rows.get(key)?.equals(value)) continue;
      this.#map.update(Buffer.from(key, 'hex'), value);
      this.#rows.set(key, value);
      written++;
    }
    return written;
  }

  /** Removes all other rows. Returns how many. */
  removeOthers(rows: Rows): number {
    let removed = 0;
    for (const key of [...this.#rows.keys()]) {
      if (rows.has(key)) continue;
      this.#map.remove(Buffer.from(key, 'hex'));
      this.#rows.delete(key);
      removed++;
    }
    return removed;
  }
}
