/** ERSPAN session numbers: one for each policy that a destination node receives from other nodes. */
import { MAX_GENERATION, MAX_SESSION } from '@mirrorplane/contract';
import { byText, sortedBy } from './order.ts';

/** What proves whose copies an ERSPAN packet carries. */
export interface SessionNumber {
  /** 1 to 1023. */
  session: number;
  /** 0 to 511: grows each time that all session numbers have been given out. */
  generation: number;
}

/** A number that was given, and what for: `end` says where the copies come out. */
export interface GivenNumber extends SessionNumber {
  end: string;
}

/** The numbers of one destination node. */
export interface NodeNumbers {
  /** How many were ever given out. The next one follows from it, so that none is given twice for a long time. */
  given: number;
  /** By policy uid. */
  policies: Readonly<Record<string, GivenNumber>>;
}

/** By destination node. The controller keeps it from one plan to the next. */
export type Sessions = Readonly<Record<string, NodeNumbers>>;

/** A destination node receives at most this many policies from other nodes. */
export const MAX_SESSIONS_PER_NODE = MAX_SESSION;

/** One for every policy that exists. */
export interface SessionDemand {
  uid: string;
  /** Where its copies come out: another end gets another number. */
  end: string;
  /** The node of the destination. Undefined: the destination is nowhere now; numbers are kept for its return. */
  node: string | undefined;
  /** Whether a number has to be there: some other node sends to the destination. */
  needed: boolean;
  /** Nodes where a migrating destination has a device too: they get a number where one is left. */
  away?: readonly string[];
}

/** Numbers of one node, both ways. */
class NodeSessions {
  readonly byUid = new Map<string, GivenNumber>();
  readonly #used = new Set<number>();
  given: number;

  constructor(given: unknown) {
    this.given = Number.isSafeInteger(given) && (given as number) > 0 ? (given as number) : 0;
  }

  /** Keeps a number of before, unless it cannot be one or another policy has it. */
  keep(uid: string, number: GivenNumber): void {
    const { session, generation } = number;
    if (isBetween(1, session, MAX_SESSION) && isBetween(0, generation, MAX_GENERATION) && !this.#used.has(session)) {
      this.byUid.set(uid, number);
      this.#used.add(session);
    }
  }

  /** Gives the next number whose session is free. False where none is. To be called after every `keep`. */
  give(uid: string, end: string): boolean {
    for (let n = this.given; n < this.given + MAX_SESSION; n++) {
      const session = (n % MAX_SESSION) + 1;
      if (!this.#used.has(session)) {
        const generation = Math.floor(n / MAX_SESSION) % (MAX_GENERATION + 1);
        this.keep(uid, { session, generation, end });
        this.given = n + 1;
        return true;
      }
    }
    return false;
  }
}

function isBetween(least: number, value: number, most: number): boolean {
  return Number.isInteger(value) && value >= least && value <= most;
}

/**
 * Numbers for all demands. A number once given stays with its policy as long as the policy exists, its copies come out at
 * the same end, and its destination is on that node or nowhere; a disabled policy keeps it too. A number that is dropped is
 * given to another policy only after all others, and with another generation: a sender that has not learned of the change
 * may use it for as long as it is away.
 */
export function allocateSessions(
  before: Sessions,
  demands: readonly SessionDemand[],
): { sessions: Sessions; exhausted: ReadonlySet<string> } {
  const byNode = new Map<string, NodeSessions>();
  const ofNode = (node: string): NodeSessions => {
    const found = byNode.get(node) ?? new NodeSessions(Object.hasOwn(before, node) ? before[node]?.given : 0);
    byNode.set(node, found);
    return found;
  };
  const demandOf = new Map(demands.map((demand) => [demand.uid, demand]));
  for (const [node, { policies }] of Object.entries(before)) {
    const numbers = ofNode(node);
    for (const [uid, number] of sortedBy(Object.entries(policies ?? {}), ([key]) => key)) {
      const demand = demandOf.get(uid);
      const stays = demand && (demand.node === undefined || demand.node === node || demand.away?.includes(node));
      if (stays && demand.end === number.end) {
        numbers.keep(uid, number);
      }
    }
  }
  const exhausted = new Set<string>();
  for (const { uid, end, node, needed } of sortedBy(demands, (demand) => demand.uid)) {
    if (needed && node !== undefined && !ofNode(node).byUid.has(uid) && !ofNode(node).give(uid, end)) {
      exhausted.add(uid);
    }
  }
  for (const { uid, end, away = [] } of sortedBy(demands, (demand) => demand.uid)) {
    for (const node of away) {
      if (!ofNode(node).byUid.has(uid)) {
        ofNode(node).give(uid, end);
      }
    }
  }
  const entries = [...byNode].filter(([, { given }]) => given > 0).sort(([a], [b]) => byText(a, b));
  const sessions = Object.fromEntries(
    entries.map(([node, { given, byUid }]): [string, NodeNumbers] => [
      node,
      { given, policies: Object.fromEntries(sortedBy(byUid, ([uid]) => uid)) },
    ]),
  );
  return { sessions, exhausted };
}
