/** Where totals of counters are kept: in the folder of a controller, or in the store. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile, syncFolder } from '@mirrorplane/base';

/** Keeps a text for each node. */
export interface CounterPlace {
  /** What is kept, with the names of the nodes. */
  read(): AsyncIterable<{ name: string; text: string }>;
  /** Keeps a text. It may survive a loss of power only after `commit`. */
  put(node: string, text: string): Promise<void>;
  /** Resolves when all texts survive a loss of power. @throws Error if one of them may not */
  commit(): Promise<void>;
  /** The node is gone. */
  remove(node: string): Promise<void>;
}

/** A file for each node. */
export function counterFolder(folder: string): CounterPlace {
  const fileOf = (node: string) => path.join(folder, `${node}.json`);
  return {
    async *read() {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const file of readdirSync(folder)) {
        if (file.endsWith('.json')) {
          yield { name: file.slice(0, -5), text: readFileSync(path.join(folder, file), 'utf8') };
        } else {
          await rm(path.join(folder, file), { force: true });
        }
      }
    },
    put: (node, text) => replaceFile(fileOf(node), text, { folder: false }),
    commit: async () => syncFolder(folder),
    remove: (node) => rm(fileOf(node), { force: true }),
  };
}
