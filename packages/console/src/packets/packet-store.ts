/**
 * The packets that the list holds: a ring, what waits while it is paused, and what its filters hide.
 * Nothing in it grows without bound, so a tab may stay open.
 */
import type { PacketRow, PacketRows } from '../api/types.ts';
import { copyKind, type OriginalKind, originalKind } from './fates.ts';

/** Rows that the list holds, and that wait while it is paused. */
export const [MOST_ROWS, MOST_WAITING] = [10_000, 2000];

/** Which rows are shown. Empty: all. */
export interface FateFilter {
  copy: readonly string[];
  original: readonly OriginalKind[];
}

/** What is shown of the packets at a moment. */
export interface PacketsShown {
  rows: readonly PacketRow[];
  /** Rows that the filters by fate hide. */
  hiddenByFate: number;
  /** Packets that the display filter hides. */
  hiddenByDisplay: number;
  /** Packets that did not reach this list, because it was not read fast enough. */
  skipped: number;
  /** Rows that were shown, and have made room for others. */
  fallenOut: number;
  /** Rows that wait while the list is paused; undefined: it is not. */
  waiting: number | undefined;
  /** Rows that found no room to wait in. */
  lostWaiting: number;
}

const NO_FILTER: FateFilter = { copy: [], original: [] };

export class PacketStore {
  #rows: PacketRow[] = [];
  #filter = NO_FILTER;
  #waiting: PacketRow[] | undefined;
  /** Fates that changed while the list was paused, by number. */
  #waitingFates = new Map<number, PacketRow['packet']['original']>();
  #counts = { hiddenByDisplay: 0, skipped: 0, fallenOut: 0, lostWaiting: 0 };
  #shown: PacketsShown = this.#show();
  readonly #listeners = new Set<() => void>();

  /** For `useSyncExternalStore`. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };
  readonly shown = (): PacketsShown => this.#shown;

  /** Forgets everything but the filter by fate. */
  clear(): void {
    this.#rows = [];
    this.#waiting = undefined;
    this.#waitingFates.clear();
    this.#counts = { hiddenByDisplay: 0, skipped: 0, fallenOut: 0, lostWaiting: 0 };
    this.#tell();
  }

  take({ rows, originals, hidden, skipped }: Pick<PacketRows, 'rows' | 'originals' | 'hidden' | 'skipped'>): void {
    this.#counts.hiddenByDisplay = hidden;
    this.#counts.skipped = skipped;
    if (this.#waiting === undefined) {
      this.#add(rows);
      this.#join(new Map(originals.map(({ number, original }) => [number, original])));
    } else {
      this.#wait(this.#waiting, { rows, originals });
    }
    this.#tell();
  }

  filterBy(filter: FateFilter): void {
    this.#filter = filter;
    this.#tell();
  }

  /** What comes waits, and what is shown stays as it is. */
  pause(): void {
    this.#waiting ??= [];
    this.#tell();
  }

  resume(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = undefined;
    this.#add(waiting);
    this.#join(this.#waitingFates);
    this.#waitingFates.clear();
    this.#tell();
  }

  #wait(waiting: PacketRow[], { rows, originals }: Pick<PacketRows, 'rows' | 'originals'>): void {
    const room = MOST_WAITING - waiting.length;
    waiting.push(...rows.slice(0, room));
    this.#counts.lostWaiting += Math.max(0, rows.length - room);
    for (const { number, original } of originals) {
      // No more than there are rows to change.
      if (this.#waitingFates.size < MOST_ROWS + MOST_WAITING) {
        this.#waitingFates.set(number, original);
      }
    }
  }

  #add(rows: readonly PacketRow[]): void {
    const all = [...this.#rows, ...rows];
    this.#counts.fallenOut += Math.max(0, all.length - MOST_ROWS);
    this.#rows = all.slice(-MOST_ROWS);
  }

  /** A row that changes becomes another one, so that it is drawn again. */
  #join(fates: ReadonlyMap<number, PacketRow['packet']['original']>): void {
    if (fates.size > 0) {
      this.#rows = this.#rows.map((row) => {
        const original = fates.get(row.packet.number);
        return original === undefined ? row : { ...row, packet: { ...row.packet, original } };
      });
    }
  }

  #show(): PacketsShown {
    const { copy, original } = this.#filter;
    const rows = this.#rows.filter(({ packet }) => {
      return (
        (copy.length === 0 || copy.includes(copyKind(packet.copy))) &&
        (original.length === 0 || original.includes(originalKind(packet.original)))
      );
    });
    const hiddenByFate = this.#rows.length - rows.length;
    return { rows, hiddenByFate, ...this.#counts, waiting: this.#waiting?.length };
  }

  #tell(): void {
    this.#shown = this.#show();
    for (const listener of this.#listeners) {
      listener();
    }
  }
}
