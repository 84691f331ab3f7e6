/** ERSPAN session numbers: one for each policy that a destination node receives from other nodes. */
import { MAX_SESSION } from '@mirrorplane/contract';
import { byText, sortedBy } from './order.ts';

/** Destination node to policy uid to session number, 1 to 1023. The controller keeps it from one plan to the next. */
export type Sessions = Readonly<Record<string, Readonly<Record<string, number>>>>;

/** A destination node receives at most this many policies from other nodes. */
export const MAX_SESSIONS_PER_NODE = MAX_SESSION;

/** One for every policy that exists. */
export interface SessionDemand {
  uid: string;
  /** The node of the destination. Undefined: the destination is nowhere now; numbers are kept for its return. */
  node: string | undefined;
  /** Whether a number has to be there: some other node sends to the destination. */
  needed: boolean;
  /** Nodes where a migrating destination has a device too: they get a number where one is left. */
  away?: readonly string[];
}

/** Numbers of one node, both ways. */
class NodeSessions {
  readonly byUid = new Map<string, number>();
  readonly #used = new Set<number>();
  #next = 1;

  /** Keeps a number of before, unless it cannot be one or another policy has it. */
  keep(uid: string, session: number): void {
    if (Number.isInteger(session) && session >= 1 && session <= MAX_SESSION && !this.#used.has(session)) {
      this.byUid.set(uid, session);
      this.#used.add(session);
    }
  }

  /** Takes the smallest free number. False where none is left. To be called after every `keep`. */
  take(uid: string): boolean {
    while (this.#used.has(this.#next)) {
      this.#next++;
    }
    if (this.#next > MAX_SESSION) {
      return false;
    }
    this.keep(uid, this.#next);
    return true;
  }
}

/**
 * Numbers for all demands. A number once given stays with its policy as long as the policy exists and its destination
 * is on that node or nowhere; a disabled policy keeps it too. Everything else is dropped and may be given again.
 */
export function allocateSessions(
  before: Sessions,
  demands: readonly SessionDemand[],
): { sessions: Sessions; exhausted: ReadonlySet<string> } {
  const byNode = new Map<string, NodeSessions>();
  const ofNode = (node: string): NodeSessions => {
    const found = byNode.get(node) ?? new NodeSessions();
    byNode.set(node, found);
    return found;
  };
  const demandOf = new Map(demands.map((demand) => [demand.uid, demand]));
  for (const [node, numbers] of Object.entries(before)) {
    for (const [uid, session] of sortedBy(Object.entries(numbers), ([key]) => key)) {
      const demand = demandOf.get(uid);
      if (demand && (demand.node === undefined || demand.node === node || demand.away?.includes(node))) {
        ofNode(node).keep(uid, session);
      }
    }
  }
  const exhausted = new Set<string>();
  for (const { uid, node, needed } of sortedBy(demands, (demand) => demand.uid)) {
    if (needed && node !== undefined && !ofNode(node).byUid.has(uid) && !ofNode(node).take(uid)) {
      exhausted.add(uid);
    }
  }
  for (const { uid, away = [] } of sortedBy(demands, (demand) => demand.uid)) {
    for (const node of away) {
      if (!ofNode(node).byUid.has(uid)) {
        ofNode(node).take(uid);
      }
    }
  }
  const entries = [...byNode].filter(([, { byUid }]) => byUid.size > 0).sort(([a], [b]) => byText(a, b));
  const sessions = Object.fromEntries(
    entries.map(([node, { byUid }]) => [node, Object.fromEntries(sortedBy(byUid, ([uid]) => uid))]),
  );
  return { sessions, exhausted };
}
