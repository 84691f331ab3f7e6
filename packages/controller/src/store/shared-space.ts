/** Reads of what controllers share. */
import type { SharedEntry, SharedRange, SharedSpace } from './store.ts';

/** All entries under a prefix. */
export async function allEntries(space: SharedSpace, prefix: string, range?: SharedRange): Promise<SharedEntry[]> {
  const found: SharedEntry[] = [];
  for await (const entry of space.entries(prefix, range)) {
    found.push(entry);
  }
  return found;
}
