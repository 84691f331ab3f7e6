/**
 * ERSPAN session numbers: one for each policy that a destination node receives from other nodes.
 */
import { MAX_GENERATION, MAX_SECRET, MAX_SESSION } from '@mirrorplane/contract';
import { byText, sortedBy } from './order.ts';

/** The fields of an ERSPAN packet that prove to which policy its copy belongs. */
export interface SessionNumber {
  /** 1 to 1023. */
  session: number;
  /** 0 to 511. Grows by 1 each time that all session numbers have been allocated once. */
  generation: number;
  /** 0 to 2047. Undefined: plans are made without secrets. */
  secret?: number;
}

/** An allocated number. `end` says where the copies are delivered. */
export interface GivenNumber extends SessionNumber {
  end: string;
  /** When it got its secret, milliseconds since 1970. */
  since?: number;
  /** `cutOffs` of that time. Left out: 0. */
  cutOffs?: number;
}

/** The numbers of one destination node. */
export interface NodeNumbers {
  /**
   * How many numbers have ever been allocated. The next number follows from it, so that reuse of a
   * number comes as late as possible.
   */
  given: number;
  /** By policy uid. */
  policies: Readonly<Record<string, GivenNumber>>;
}

/** By destination node. The controller keeps it from one plan to the next. */
export type Sessions = Readonly<Record<string, NodeNumbers>>;

/** What secrets are made of. So an outsider knows neither the numbers of a node nor the secrets of policies. */
export interface Chance {
  /** A random whole number from 0 to below `bound`, that nobody can predict. */
  draw(bound: number): number;
  /** Milliseconds since 1970. */
  now: number;
  /**
   * How often a host was cut off. The last of them knows the secrets that were given before. Left
   * out: 0. It is a count, and no time, because a clock can be set.
   */
  cutOffs?: number;
}

/** Milliseconds after which a policy gets another number with another secret. */
export const SECRET_LIFE_MS = 24 * 60 * 60 * 1000;
/** Numbers of one node that are changed in one plan. Both are in force for a moment. */
const RENEWED_AT_ONCE = 4;
/** With more numbers in use, none is changed: the next free one could be that of the same policy. */
const RENEWED_UP_TO = 1000;

/** A destination node receives at most this many policies from other nodes. */
export const MAX_SESSIONS_PER_NODE = MAX_SESSION;

/** The demand of one policy. Every existing policy has one. */
export interface SessionDemand {
  uid: string;
  /** Where copies are delivered. A changed end gets a new number. */
  end: string;
  /**
   * The node of the destination. Undefined: the destination has no node now. Its numbers are kept.
   */
  node: string | undefined;
  /** Whether a number is required, because another node sends to the destination. */
  needed: boolean;
  /** Both nodes of each handover of the destination. They get a number if one is free. */
  handoverNodes?: readonly string[];
}

/** Numbers of one node: by policy, and the set of used ones. */
class NodeSessions {
  readonly byUid = new Map<string, GivenNumber>();
  readonly #used = new Set<number>();
  readonly #chance: Chance | undefined;
  given: number;

  /** @param given of the previous plan. A node without numbers begins anywhere in the circle */
  constructor(given: unknown, chance: Chance | undefined) {
    const isKnown = Number.isSafeInteger(given) && (given as number) > 0;
    this.given = isKnown ? (given as number) : (chance?.draw(MAX_SESSION * (MAX_GENERATION + 1)) ?? 0);
    this.#chance = chance;
  }

  /**
   * Keeps a number of the previous plan, unless it is out of range or another policy has it. One
   * without a secret gets one.
   */
  keep(uid: string, number: GivenNumber): void {
    const { session, generation, end } = number;
    if (isBetween(1, session, MAX_SESSION) && isBetween(0, generation, MAX_GENERATION) && !this.#used.has(session)) {
      const isSecret = isBetween(0, number.secret ?? -1, MAX_SECRET);
      this.byUid.set(uid, isSecret ? number : { session, generation, end, ...this.#secret() });
      this.#used.add(session);
    }
  }

  #secret(): Pick<GivenNumber, 'secret' | 'since' | 'cutOffs'> {
    if (!this.#chance) {
      return {};
    }
    const { now, cutOffs } = this.#chance;
    return { secret: this.#chance.draw(MAX_SECRET + 1), since: now, ...(cutOffs && { cutOffs }) };
  }

  /**
   * Allocates the next free number. False if no number is free. All calls of `keep` must come
   * first.
   */
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
 * Policies whose number has had its secret for too long, or whose secret a host knows that was cut
 * off. A number of a migrating destination stays, because its change is not staged. One that no other node uses stays too.
 */
function oldNumbers(
  policies: NodeNumbers['policies'],
  demandOf: ReadonlyMap<string, SessionDemand>,
  { now, cutOffs = 0 }: Chance,
): ReadonlySet<string> {
  const all = Object.entries(policies);
  const isOld = ([uid, { since, cutOffs: before = 0 }]: [string, GivenNumber]) => {
    const demand = demandOf.get(uid);
    const isSteady = demand?.needed === true && demand.node !== undefined && !demand.handoverNodes?.length;
    return isSteady && since !== undefined && (before < cutOffs || Math.abs(now - since) >= SECRET_LIFE_MS);
  };
  const old = all.length > RENEWED_UP_TO ? [] : all.filter(isOld);
  return new Set(
    sortedBy(old, ([uid]) => uid)
      .slice(0, RENEWED_AT_ONCE)
      .map(([uid]) => uid),
  );
}

/** Numbers of all nodes, and the policies for which none was free. */
export interface Allocated {
  sessions: Sessions;
  exhausted: ReadonlySet<string>;
}

/**
 * Allocates numbers for all demands. A policy keeps its number as long as the policy exists, has
 * the same end, and has its destination on that node or nowhere. A disabled policy keeps its number
 * too. A freed number is reused only after all others, with another generation. Until then, a
 * sender that does not know of the change may still use the number.
 *
 * @param chance left out: numbers begin with 1, have no secret, and stay
 */
export function allocateSessions(before: Sessions, demands: readonly SessionDemand[], chance?: Chance): Allocated {
  const byNode = new Map<string, NodeSessions>();
  const ofNode = (node: string): NodeSessions => {
    const found = byNode.get(node) ?? new NodeSessions(Object.hasOwn(before, node) ? before[node]?.given : 0, chance);
    byNode.set(node, found);
    return found;
  };
  const demandOf = new Map(demands.map((demand) => [demand.uid, demand]));
  for (const [node, { policies }] of Object.entries(before)) {
    const numbers = ofNode(node);
    const old = chance ? oldNumbers(policies ?? {}, demandOf, chance) : new Set();
    for (const [uid, number] of sortedBy(Object.entries(policies ?? {}), ([key]) => key)) {
      const demand = demandOf.get(uid);
      const stays =
        demand && (demand.node === undefined || demand.node === node || demand.handoverNodes?.includes(node));
      if (stays && demand.end === number.end && !old.has(uid)) {
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
  for (const { uid, end, handoverNodes = [] } of sortedBy(demands, (demand) => demand.uid)) {
    for (const node of handoverNodes) {
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
