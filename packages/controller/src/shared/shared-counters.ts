/** Totals of counters in the shared space: one value for each node. */
import type { CounterPlace } from '../reports/counter-places.ts';
import { COUNTERS_PREFIX } from './local-files.ts';
import type { SharedFiles } from './shared-files.ts';

/** Nodes in one transaction. */
const MOST_NODES = 64;

export function sharedCounters(files: SharedFiles): CounterPlace {
  let batch: Record<string, string> = {};
  let failure: unknown;
  const write = async () => {
    const texts = batch;
    batch = {};
    await files.write(texts).catch((error: unknown) => {
      failure = error;
    });
  };
  return {
    async *read() {
      for (const [name, text] of [...files.contents]) {
        if (name.startsWith(COUNTERS_PREFIX)) {
          yield { name: name.slice(COUNTERS_PREFIX.length), text };
        }
      }
    },
    async put(node, text) {
      batch[COUNTERS_PREFIX + node] = text;
      if (Object.keys(batch).length >= MOST_NODES) {
        await write();
      }
    },
    async commit() {
      await write();
      const error = failure;
      failure = undefined;
      if (error !== undefined) {
        throw error;
      }
    },
    remove: (node) => files.write({ [COUNTERS_PREFIX + node]: undefined }),
  };
}
