/** Totals of counters in the shared space: one value for each node. */
import type { CounterPlace } from '../reports/counter-places.ts';
import { COUNTERS_PREFIX, type SharedFiles } from './shared-files.ts';

/** Bytes of texts that wait to be written. */
const MOST_BYTES = 512 << 10;

export function sharedCounters(files: SharedFiles): CounterPlace {
  let waiting: Record<string, string> = {};
  let bytes = 0;
  let failure: unknown;
  const write = async () => {
    const texts = waiting;
    waiting = {};
    bytes = 0;
    await files.writeMany(texts).catch((error: unknown) => {
      failure = error;
    });
  };
  return {
    async *read() {
      for (const [name, text] of files.takeCounters()) {
        yield { name: name.slice(COUNTERS_PREFIX.length), text };
      }
    },
    async put(node, text) {
      waiting[COUNTERS_PREFIX + node] = text;
      bytes += text.length;
      if (bytes > MOST_BYTES) {
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
