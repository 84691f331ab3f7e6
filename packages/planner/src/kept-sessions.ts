/**
 * Session numbers that are kept from one plan to the next. They are allocated again only where a
 * demand is another one, the numbers before were others, or a secret has come to its end.
 */
import {
  type Allocated,
  allocateSessions,
  type Chance,
  SECRET_LIFE_MS,
  type SessionDemand,
  type Sessions,
} from './sessions.ts';

interface Kept {
  before: Sessions;
  demands: readonly SessionDemand[];
  cutOffs: number | undefined;
  /** Time of the allocation, and when the next secret ends: milliseconds since 1970. */
  from: number;
  until: number;
  allocated: Allocated;
}

export class KeptSessions {
  #kept: Kept | undefined;

  /**
   * As `allocateSessions`. Where nothing is given, taken or changed, the sessions are the object
   * `before`, and the result is the same object again as long as nothing can differ.
   */
  allocate(before: Sessions, demands: readonly SessionDemand[], chance: Chance | undefined): Allocated {
    const kept = this.#kept;
    if (kept && kept.before === before && isStill(kept, demands, chance)) {
      return kept.allocated;
    }
    const { sessions, exhausted } = allocateSessions(before, demands, chance);
    if (JSON.stringify(sessions) !== JSON.stringify(before)) {
      // These are the numbers before the next plan, once they are stored.
      this.#kept = undefined;
      return { sessions, exhausted };
    }
    const { now = 0, cutOffs } = chance ?? {};
    const allocated = { sessions: before, exhausted };
    this.#kept = { before, demands: [...demands], cutOffs, from: now, until: nextEnd(sessions, now), allocated };
    return allocated;
  }
}

function isStill(
  { demands: before, cutOffs, from, until }: Kept,
  demands: readonly SessionDemand[],
  chance: Chance | undefined,
): boolean {
  const now = chance?.now ?? 0;
  const isTime = now >= from && now < until && chance?.cutOffs === cutOffs;
  return isTime && demands.length === before.length && demands.every((demand, at) => demand === before[at]);
}

/** When the next secret ends. Those that have ended already wait for something else than time. */
function nextEnd(sessions: Sessions, now: number): number {
  let next = Number.POSITIVE_INFINITY;
  for (const { policies } of Object.values(sessions)) {
    for (const { since } of Object.values(policies)) {
      const end = since === undefined ? next : since + SECRET_LIFE_MS;
      next = end > now ? Math.min(next, end) : next;
    }
  }
  return next;
}
