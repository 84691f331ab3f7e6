/**
 * The store as a process has it: its requests and answers are under way for a while. A process that is
 * killed has asked for nothing that is carried out afterwards: nobody else has a file open, and etcd
 * compares the key of the leader.
 */
import { CompactedError, type Store, type StoreEvent, type Watcher } from '@mirrorplane/controller/testing/control';
import type { Process } from '../core/process.ts';
import type { Random } from '../core/random.ts';
import type { Scheduler } from '../core/scheduler.ts';
import type { MemoryStore } from './memory-store.ts';

export interface RemoteStoreParts {
  data: MemoryStore;
  process: Process;
  scheduler: Scheduler;
  random: Random;
  /** The longest delay of a request or an answer, milliseconds. 0: the store is within the process. */
  delay: number;
}

export interface RemoteStore extends Store {
  /** Its watches end, and what they have not told yet is forgotten. */
  forget(): void;
}

export function remoteStore({ data, process, scheduler, random, delay }: RemoteStoreParts): RemoteStore {
  const store = data.handle();
  const lag = () => random.between(0, random.chance(0.05) ? 20 * delay : delay);
  let busyUntil = 0;
  /** Grows with each `forget`. */
  let era = 0;
  const watches = new Set<{ watcher: Watcher; close: () => void }>();
  const ask = <T>(work: () => Promise<T>): Promise<T> => {
    if (delay === 0) {
      return work();
    }
    return new Promise((resolve, reject) => {
      const answer = (give: () => void) => scheduler.after(lag(), process, give);
      const carryOut = () =>
        work().then(
          (value) => answer(() => resolve(value)),
          (error: unknown) => answer(() => reject(error)),
        );
      scheduler.after(lag(), undefined, carryOut);
    });
  };
  const told = (watcher: Watcher): Watcher => ({
    onBatch: (events: StoreEvent[], revision: number) => {
      busyUntil = Math.max(busyUntil, scheduler.now + (delay === 0 ? 0 : lag()));
      const begun = era;
      scheduler.after(busyUntil - scheduler.now, process, () => {
        if (begun === era) {
          watcher.onBatch(events, revision);
        }
      });
    },
    onEnd: (error) => scheduler.after(0, process, () => watcher.onEnd(error)),
  });
  return {
    get: (key) => ask(() => store.get(key)),
    range: (prefix) => ask(() => store.range(prefix)),
    txn: (transaction) => ask(() => store.txn(structuredClone(transaction))),
    watch: (prefix, from, watcher) =>
      ask(async () => {
        const begun = era;
        const watch = await store.watch(prefix, from, told(watcher));
        const open = { watcher, close: () => watch.close() };
        if (begun === era) {
          watches.add(open);
        }
        return { close: () => watches.delete(open) && watch.close() };
      }),
    forget: () => {
      era++;
      for (const { watcher, close } of watches) {
        close();
        scheduler.after(delay === 0 ? 0 : lag(), process, () => watcher.onEnd(new CompactedError('forgotten')));
      }
      watches.clear();
    },
    raiseRevision: (revision) => ask(() => store.raiseRevision(revision)),
    lease: (ttlMs) => ask(() => store.lease(ttlMs)),
    state: () => ask(() => store.state()),
    close: () => store.close(),
  };
}
