/**
 * What the event log has been told already: which event of each agent was the last one, and which
 * changes of the store.
 */
import type { Line, Origin } from './lines.ts';

/** Changes that are remembered. The store cannot hold more as not told yet. */
export const MAX_REVISIONS = 1024;

export class Told {
  /** The newest event of every agent that was taken, and that is on the disk. */
  readonly #taken = new Map<string, Origin>();
  readonly #written = new Map<string, Origin>();
  /** Revisions of the changes that were told last. */
  readonly #revisions = new Set<number>();

  /** Number of the newest event of this run of the agent that was taken; 0: there was none. */
  newestOf(node: string, epoch: string): number {
    const taken = this.#taken.get(node);
    return taken?.epoch === epoch ? taken.seq : 0;
  }

  /** This event of an agent is taken. */
  take(origin: Origin): void {
    this.#taken.set(origin.node, origin);
  }

  /** Whether the change of the store with this revision was told. */
  hasRevision(revision: number): boolean {
    return this.#revisions.has(revision);
  }

  /** These lines are on the disk now. */
  written(lines: readonly Line[]): void {
    for (const { origin, revision } of lines) {
      if (origin) {
        this.#written.set(origin.node, origin);
      }
      if (revision !== undefined) {
        this.#revisions.add(revision);
      }
    }
    for (const revision of this.#revisions) {
      if (this.#revisions.size <= MAX_REVISIONS) {
        return;
      }
      this.#revisions.delete(revision);
    }
  }

  /** This line was on the disk at the start. */
  resume(line: Line): void {
    this.written([line]);
    if (line.origin) {
      this.take(line.origin);
    }
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#taken.delete(node);
    this.#written.delete(node);
  }

  /** What of this is on the disk, as lines for a new file. */
  lines(): Line[] {
    return [
      ...[...this.#written.values()].map((origin): Line => ({ origin })),
      ...[...this.#revisions].map((revision): Line => ({ revision })),
    ];
  }
}
