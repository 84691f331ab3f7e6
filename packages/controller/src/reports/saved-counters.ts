/** Saves the counter totals of nodes on disk every ten seconds and at the end. */
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { replaceFile, Serial, syncFolder } from '@mirrorplane/base';
import type { CounterReading } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { View } from '../store/view.ts';
import type { SavedTotals } from './counter-totals.ts';
import type { LiveNodes } from './live-nodes.ts';

/** Interval of saves, milliseconds. */
export const SAVE_INTERVAL_MS = 10_000;
/** The period of `CounterTotals.tick`, milliseconds. "Recently" means within two periods. */
export const LATELY_MS = 5000;

interface Parts {
  folder: string;
  view: View;
  live: LiveNodes;
  log: Logger;
  /** Called after totals of a node that include this reading are on disk. */
  saved: (node: string, reading: CounterReading) => void;
}

interface SavedFile {
  uid: string;
  countersAt?: string | undefined;
  totals: SavedTotals;
}

export class SavedCounters {
  readonly #parts: Parts;
  #timers: NodeJS.Timeout[] = [];
  readonly #writes = new Serial();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Restores saved totals into the live nodes, and saves from now on. */
  async open(): Promise<void> {
    const { folder, view, live, log } = this.#parts;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const file of readdirSync(folder)) {
      const name = file.endsWith('.json') ? file.slice(0, -5) : undefined;
      const node = name === undefined ? undefined : live.get(name);
      if (!node) {
        await rm(path.join(folder, file), { force: true });
        continue;
      }
      try {
        const saved = JSON.parse(readFileSync(path.join(folder, file), 'utf8')) as SavedFile;
        if (saved.uid === view.get('nodes', node.name)?.value.uid) {
          live.counters.restore(node.name, saved.totals, saved.countersAt);
        }
      } catch (error) {
        log.warn({ file, err: error }, 'saved counters not read');
      }
    }
    this.#timers = [
      setInterval(() => this.#tick(), LATELY_MS).unref(),
      setInterval(() => void this.#writes.run(() => this.#save()), SAVE_INTERVAL_MS).unref(),
    ];
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    await this.#writes.run(() => this.#save());
  }

  #tick(): void {
    const { view, live } = this.#parts;
    const policies = new Set([...view.all('policies').values()].map(({ value }) => value.uid));
    live.counters.tick((uid) => policies.has(uid));
  }

  async #save(): Promise<void> {
    const { folder, view, live, log } = this.#parts;
    const written: [string, CounterReading][] = [];
    for (const { name, countersAt, reading } of [...live.all().values()]) {
      const uid = view.get('nodes', name)?.value.uid;
      const totals = live.counters.toSave(name);
      if (!totals || uid === undefined) {
        continue;
      }
      const file = path.join(folder, `${name}.json`);
      const content: SavedFile = { uid, countersAt, totals };
      try {
        await replaceFile(file, JSON.stringify(content), { folder: false });
        if (reading) {
          written.push([name, reading]);
        }
      } catch (error) {
        log.warn({ node: name, err: error }, 'counters not saved');
      }
    }
    if (written.length === 0) {
      return;
    }
    try {
      syncFolder(folder);
    } catch (error) {
      log.warn({ err: error }, 'counters not saved');
      return;
    }
    // Acknowledged after the write, because an agent forgets acknowledged counters.
    for (const [name, reading] of written) {
      this.#parts.saved(name, reading);
    }
  }
}
