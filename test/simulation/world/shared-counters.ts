/** Totals of counters in etcd, written as the product writes them, and not sealed. */
import { allEntries, type CounterPlace, type SharedSpace, SharedWriter } from '@mirrorplane/controller/testing/control';

const PREFIX = 'counters/';

export function sharedCounterPlace(space: SharedSpace): CounterPlace {
  const writer = new SharedWriter(space);
  let waiting: Promise<void>[] = [];
  return {
    async *read() {
      for (const { key, value } of await allEntries(space, PREFIX)) {
        yield { name: key.slice(PREFIX.length), text: value.toString() };
      }
    },
    async put(node, text) {
      const written = writer.write([{ type: 'put', key: PREFIX + node, value: Buffer.from(text) }]);
      // What fails is said by `commit`.
      written.catch(() => undefined);
      waiting.push(written);
    },
    async commit() {
      const all = waiting;
      waiting = [];
      await Promise.all(all);
    },
    remove: (node) => writer.write([{ type: 'delete', key: PREFIX + node }]),
  };
}
