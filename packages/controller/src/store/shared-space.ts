/** Reads of what controllers share. */
import type { SharedEntry, SharedRange, SharedSpace } from './store.ts';

/**
 * Each write writes this key. A write compares its revision, so that one whose outcome was not known
 * cannot be carried out after a later one.
 */
export const WRITES_KEY = 'writes';

/** All entries under a prefix. */
export async function allEntries(space: SharedSpace, prefix: string, range?: SharedRange): Promise<SharedEntry[]> {
  const found: SharedEntry[] = [];
  for await (const entry of space.entries(prefix, range)) {
    found.push(entry);
  }
  return found;
}
