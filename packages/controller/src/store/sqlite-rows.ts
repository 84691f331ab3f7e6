/** Rows of the table `entries`. */
import type { Entry } from './store.ts';

export interface Row {
  key: string;
  /** JSON. */
  value: string;
  created: number;
  modified: number;
}

export function toEntry(row: Row): Entry {
  return { key: row.key, value: JSON.parse(row.value), createRevision: row.created, modRevision: row.modified };
}
