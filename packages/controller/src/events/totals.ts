/** Counts events since the start of the controller, and the cost of migrations. */
import type { Event, EventKind } from '@mirrorplane/contract';

export class EventTotals {
  readonly kinds = new Map<EventKind, number>();
  /** Packets that migrations have missed, and that they have duplicated, as far as measured. */
  missed = 0;
  duplicated = 0;

  add({ kind, missed = 0, duplicated = 0 }: Event): void {
    this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
    if (kind === 'migrationMeasured') {
      this.missed += missed;
      this.duplicated += duplicated;
    }
  }
}
