/** How many events there were since the controller was started, and what moves have cost. */
import type { Event, EventKind } from '@mirrorplane/contract';

export class EventTotals {
  readonly kinds = new Map<EventKind, number>();
  /** Packets that were not copied, or copied twice, because of moves, as far as it was measured. */
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
