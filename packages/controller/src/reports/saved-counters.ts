/** Saves the counter totals of nodes every ten seconds and at the end. */
import { inTurnsBeside, Serial } from '@mirrorplane/base';
import type { CounterReading } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { View } from '../store/view.ts';
import type { CounterPlace } from './counter-places.ts';
import type { SavedTotals } from './counter-totals.ts';
import type { LiveNodes } from './live-nodes.ts';

/** Interval of saves, milliseconds. */
export const SAVE_INTERVAL_MS = 10_000;
/** The period of `CounterTotals.tick`, milliseconds. "Recently" means within two periods. */
export const LATELY_MS = 5000;

interface Parts {
  place: CounterPlace;
  view: View;
  live: LiveNodes;
  log: Logger;
  /** Called after totals of a node that include this reading are in their place. */
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
  #isTicking = false;
  #policies: { changes: number; uids: ReadonlySet<string> } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Restores saved totals into the live nodes, and saves from now on. */
  async open(): Promise<void> {
    const { place, view, live, log } = this.#parts;
    for await (const { name, text } of place.read()) {
      const node = live.get(name);
      if (!node) {
        await place.remove(name);
        continue;
      }
      try {
        const saved = JSON.parse(text) as SavedFile;
        if (saved.uid === view.get('nodes', node.name)?.value.uid) {
          live.counters.restore(node.name, saved.totals, saved.countersAt);
        }
      } catch (error) {
        log.warn({ node: name, err: error }, 'saved counters not read');
      }
    }
    this.#timers = [
      setInterval(() => void this.#tick(), LATELY_MS).unref(),
      setInterval(() => void this.#writes.run(() => this.#save()), SAVE_INTERVAL_MS).unref(),
    ];
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) {
      clearInterval(timer);
    }
    await this.#writes.run(() => this.#save());
  }

  /** In turns with everything else. A period that ends before all nodes have begun it is left out. */
  async #tick(): Promise<void> {
    if (this.#isTicking) {
      return;
    }
    this.#isTicking = true;
    try {
      await inTurnsBeside(this.#parts.live.counters.tickInSteps((uid) => this.#uids().has(uid)));
    } finally {
      this.#isTicking = false;
    }
  }

  /** uids of all policies as they are now: one that is made between two turns keeps its counters. */
  #uids(): ReadonlySet<string> {
    const { view } = this.#parts;
    const changes = view.changesOf('policies');
    if (this.#policies?.changes !== changes) {
      const uids = [...view.all('policies').values()].map(({ value }) => value.uid);
      this.#policies = { changes, uids: new Set(uids) };
    }
    return this.#policies.uids;
  }

  async #save(): Promise<void> {
    const { place, view, live, log } = this.#parts;
    const written: [string, CounterReading][] = [];
    let puts = 0;
    for (const { name, countersAt, reading } of [...live.all().values()]) {
      const uid = view.get('nodes', name)?.value.uid;
      const totals = live.counters.toSave(name);
      if (!totals || uid === undefined) {
        continue;
      }
      const content: SavedFile = { uid, countersAt, totals };
      try {
        await place.put(name, JSON.stringify(content));
        puts++;
        if (reading) {
          written.push([name, reading]);
        }
      } catch (error) {
        log.warn({ node: name, err: error }, 'counters not saved');
      }
    }
    if (puts === 0) {
      return;
    }
    try {
      await place.commit();
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
