/** What agents say, as of now. In memory; the part that must outlive the controller is kept by `planning/`. */
import {
  type CaptureStatus,
  type CounterReading,
  type Device,
  type DeviceBudget,
  type Hello,
  type HookKind,
  type InventoryMessage,
  type NodeProblem,
  policyOfId,
  type StatusMessage,
  type Underlay,
} from '@mirrorplane/contract';
import { certificateProblem } from '../auth/certificates.ts';
import type { NodeStateRecord } from '../store/records.ts';
import { CounterTotals } from './counter-totals.ts';
import { Readings } from './readings.ts';
import { underlayProblem } from './underlays.ts';

/** A node whose agent is gone counts as present for this long, and so does every node after a start. Milliseconds. */
export const GRACE_MS = 30_000;

/** Interfaces that had a device on a node of which that is remembered. */
const MAX_FORMER = 4096;
/** And so many of them are kept over a restart of the controller. */
const MAX_FORMER_KEPT = 256;

/** Milliseconds that refused counters stay a problem of their node. */
const REFUSED_COUNTERS_MS = 60_000;

/** Milliseconds that a second agent stays a problem of its node: it tries again within one minute. */
const SECOND_AGENT_MS = 120_000;

/** Names of the nodes that are believed to have each interface, by its id. */
export type Grants = ReadonlyMap<string, readonly string[]>;

/** One node, as its agent described it last. */
export interface LiveNode {
  name: string;
  connected: boolean;
  /** When the connection ended, or the controller started. Milliseconds since 1970. */
  disconnectedAt: number;
  underlay?: Underlay | undefined;
  agentVersion?: string | undefined;
  kernel?: string | undefined;
  hook?: HookKind | undefined;
  lastSeenAt?: string | undefined;
  /** When the certificate of its agent ends, ISO 8601. */
  certificateEndsAt?: string | undefined;
  devices: Device[];
  seen: Record<string, number>;
  running: Record<string, number>;
  /** Since when the node has said of each interface, without a break, that its guest is there or may be. */
  claimed: Record<string, number>;
  /** Claims of the node that are refused, and those of others to what it has. */
  contests: NodeProblem[];
  /** Interfaces that the node is believed to have, as of the last judgement. */
  granted: ReadonlySet<string>;
  /** Those that it was believed to have and is not now, those that went last behind. Not all of them: see `MAX_FORMER`. */
  former: Set<string>;
  /** The agent was away, and has not reported counters in whole since. */
  unseen: boolean;
  /** When the agent was heard last before the present connection; milliseconds since 1970. */
  heardBefore?: number | undefined;
  appliedRevision?: number | undefined;
  /** Policies that the node copied for when it was heard last; kept over a restart of the controller. */
  copying: { uid: string; name: string }[];
  /** Last status message; undefined until one came. */
  captures?: CaptureStatus[] | undefined;
  problems: NodeProblem[];
  /** Why the agent that tried to connect last was turned away; undefined where it was not. */
  rejection?: NodeProblem | undefined;
  /** An underlay that the agent offers and that is not taken, and why. */
  refusedUnderlay?: { offered: Underlay; problem: NodeProblem } | undefined;
  /** The last agent that was refused because this one answers, and when. */
  second?: { problem: NodeProblem; at: number } | undefined;
  counters: CounterTotals;
  /** What its devices leave for copies, as of the last report. */
  budgets: DeviceBudget[];
  /** Which reading of the agent `counters` has taken last; undefined: none that it wants to hear of. */
  reading?: CounterReading | undefined;
  /** When a whole report of counters was taken last, milliseconds since 1970; undefined: not since the start. */
  completeAt?: number | undefined;
  /** Counters that were refused, and when last. */
  refusedCounters?: { message: string; at: number } | undefined;
  readings: Readings;
  /** Time of the last counters, ISO 8601: they were read then, or later. */
  countersAt?: string | undefined;
  /** True where persisted state is behind. */
  dirty: boolean;
}

export class LiveNodes {
  readonly #nodes = new Map<string, LiveNode>();
  readonly #clock: () => number;
  #lastSeen = 0;
  /** Whether a node has said something since `grant` that may change who has an interface. */
  #unjudged = true;
  #judgeGrants: (() => Grants) | undefined;

  /** @param clock milliseconds since 1970. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Says how it is found out which nodes are believed to have each interface. */
  judgeBy(judge: () => Grants): void {
    this.#judgeGrants = judge;
  }

  get(name: string): LiveNode | undefined {
    return this.#nodes.get(name);
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#clock();
  }

  all(): ReadonlyMap<string, LiveNode> {
    return this.#nodes;
  }

  /** Takes over what was persisted when the controller ran last. */
  restore(name: string, record: NodeStateRecord): void {
    const node = this.#ensure(name);
    Object.assign(node, record);
    node.former = new Set(record.former);
    node.seen = byId(record.seen);
    node.running = byId(record.running);
    node.claimed = byId(record.claimed ?? record.seen);
    node.copying = record.copying ?? [];
    for (const sequence of [
      ...Object.values(record.seen),
      ...Object.values(node.running),
      ...Object.values(node.claimed),
    ]) {
      this.#lastSeen = Math.max(this.#lastSeen, sequence);
    }
  }

  delete(name: string): void {
    this.#nodes.delete(name);
    // Its address is free for another node that offers it.
    for (const node of this.#nodes.values()) {
      if (node.refusedUnderlay) {
        this.#describe(node, { underlay: this.#judge(node, node.refusedUnderlay.offered) });
      }
    }
  }

  /** An agent connected and introduced itself. Its devices stay those known until it lists them anew. */
  hello(message: Hello): LiveNode {
    const node = this.#ensure(message.node);
    if (!this.present(message.node)) {
      // Meanwhile others may have taken over, as after the end of its host: it claims behind them.
      node.claimed = byId();
      node.running = byId();
    }
    node.connected = true;
    node.readings.back(node.counters.ends(), (name) => this.#nodes.get(name)?.readings);
    node.heardBefore = node.lastSeenAt === undefined ? undefined : Date.parse(node.lastSeenAt);
    node.unseen = node.heardBefore !== undefined;
    node.rejection = undefined;
    const { agentVersion, kernel, hook } = message;
    const underlay = this.#judge(node, message.underlay ?? node.underlay);
    this.#touch(node);
    this.#describe(node, { underlay, agentVersion, kernel, hook });
    if (message.appliedRevision !== undefined) {
      node.appliedRevision = message.appliedRevision;
    }
    return node;
  }

  /** The certificate of its agent ends then. @param endsAt ISO 8601 */
  certificate(name: string, endsAt: string): void {
    this.#describe(this.#ensure(name), { certificateEndsAt: endsAt });
  }

  /** An agent was turned away. Returns whether that is news. */
  reject(name: string, problem: NodeProblem): boolean {
    const node = this.#ensure(name);
    const news = node.rejection?.message !== problem.message;
    node.rejection = problem;
    return news;
  }

  /** A second agent was turned away. Returns whether that is news. */
  secondAgent(name: string, problem: NodeProblem): boolean {
    const node = this.#ensure(name);
    const before = node.second;
    node.second = { problem, at: this.#clock() };
    return before === undefined || this.#clock() - before.at > SECOND_AGENT_MS;
  }

  /** Whether an agent was turned away lately because another one serves the node. */
  secondAgentOf({ second }: LiveNode): NodeProblem | undefined {
    return second && this.#clock() - second.at <= SECOND_AGENT_MS ? second.problem : undefined;
  }

  /** The problems of a node: as its agent sees it, and as the controller does. */
  judged(node: LiveNode): { name: string; reported: NodeProblem[]; found: NodeProblem[]; known: boolean } {
    const certificate = certificateProblem(node.name, node.certificateEndsAt, this.#clock());
    const ofNode = [this.secondAgentOf(node), certificate].filter((problem) => problem !== undefined);
    const found = [...ofNode, ...LiveNodes.#found(node)];
    const known = node.connected && node.captures !== undefined;
    return { name: node.name, reported: node.problems, found, known };
  }

  /** All of them. A second agent is a problem of the node, and not of its policies: copies go on as before. */
  problemsOf(node: LiveNode): NodeProblem[] {
    const { reported, found } = this.judged(node);
    return [...found, ...reported];
  }

  /** What stands in the way of the policies of a node, as its agent and the controller see it. */
  static problems(node: LiveNode): NodeProblem[] {
    return [...LiveNodes.#found(node), ...node.problems];
  }

  static #found({ rejection, refusedCounters, refusedUnderlay, contests }: LiveNode): NodeProblem[] {
    return [
      ...(rejection ? [rejection] : []),
      ...(refusedCounters ? [{ code: 'COUNTERS_REFUSED', message: refusedCounters.message }] : []),
      ...(refusedUnderlay ? [refusedUnderlay.problem] : []),
      ...contests,
    ];
  }

  /**
   * Some counters of a node were refused, or (`message` undefined) none of a report were. What was refused stays a problem for a
   * while. Returns whether there was none before.
   */
  refusedCounters(name: string, message: string | undefined): boolean {
    const node = this.#nodes.get(name);
    if (!node) {
      return false;
    }
    const before = node.refusedCounters;
    if (message !== undefined) {
      node.refusedCounters = { message, at: this.#clock() };
      return before === undefined;
    }
    if (before && this.#clock() - before.at > REFUSED_COUNTERS_MS) {
      node.refusedCounters = undefined;
    }
    return false;
  }

  /**
   * The agent lists its devices.
   * @param underlay what the hello of the same connection said, where the message itself leaves it out.
   */
  inventory(name: string, message: InventoryMessage, underlay: Underlay | undefined): void {
    const node = this.#ensure(name);
    this.#touch(node);
    const seen = byId();
    const running = byId();
    const claimed = byId();
    for (const { identity, guest } of message.devices) {
      if (identity) {
        const { id } = identity;
        // All that is new in one message has one number: so a device that was never seen without its guest can be told.
        let sequence: number | undefined;
        const next = () => {
          sequence ??= this.#nextSeen();
          return sequence;
        };
        seen[id] = node.seen[id] ?? next();
        if (guest !== 'absent') {
          claimed[id] = node.claimed[id] ?? next();
        }
        if (guest === 'running') {
          running[id] = node.running[id] ?? next();
        }
      }
    }
    this.#unjudged = true;
    const accepted = this.#judge(node, message.underlay ?? underlay);
    this.#describe(node, { underlay: accepted, devices: message.devices, seen, running, claimed });
  }

  /**
   * Whether the node is believed to have the interface, or was, as far as that is remembered. To say that it has what is
   * another's makes it neither.
   */
  hasHad(name: string, id: string): boolean {
    const node = this.#nodes.get(name);
    const known = () => node!.granted.has(id) || node!.former.has(id);
    if (node === undefined || known()) {
      return node !== undefined;
    }
    // What came a moment ago is reported on before anything is planned.
    if (!(id in node.seen) || !this.#unjudged || !this.#judgeGrants) {
      return false;
    }
    this.grant(this.#judgeGrants());
    return known();
  }

  /** Takes over which nodes are believed to have each interface: what a node reports on others is not believed. */
  grant(grants: Grants): void {
    const now = new Map<string, Set<string>>([...this.#nodes.keys()].map((name) => [name, new Set()]));
    for (const [id, nodes] of grants) {
      for (const name of nodes) {
        now.get(name)?.add(id);
      }
    }
    for (const [name, granted] of now) {
      const node = this.#nodes.get(name)!;
      const isNews = remember(node.former, node.granted, granted);
      node.dirty ||= isNews;
      node.granted = granted;
    }
    this.#unjudged = false;
  }

  /**
   * The agent says what its kernel runs. Returns true where that is another program than before.
   * @param names names of all policies by uid; asked only where the node copies for others than before
   */
  status(name: string, message: StatusMessage, names: () => ReadonlyMap<string, string>): boolean {
    const node = this.#ensure(name);
    const isNews = node.appliedRevision !== message.appliedRevision;
    node.appliedRevision = message.appliedRevision;
    node.captures = message.captures;
    node.problems = message.problems;
    const known = new Map(node.copying.map((policy) => [policy.uid, policy.name]));
    const capturing = message.captures.filter(({ state }) => state === 'capturing');
    const uids = new Set(capturing.flatMap(({ capture }) => policyOfId(capture) ?? []));
    if (uids.size !== known.size || [...uids].some((uid) => !known.has(uid))) {
      const all = names();
      const copying = [...uids].sort().map((uid) => ({ uid, name: all.get(uid) ?? known.get(uid) ?? uid }));
      this.#describe(node, { copying });
    }
    return isNews;
  }

  /** The connection of the agent ended. */
  disconnected(name: string): void {
    const node = this.#nodes.get(name);
    if (node?.connected) {
      node.connected = false;
      node.budgets = [];
      node.disconnectedAt = this.#clock();
      this.#touch(node);
      node.dirty = true;
    }
  }

  /** Notes that the agent was heard. */
  heard(name: string): void {
    const node = this.#nodes.get(name);
    if (node) {
      this.#touch(node);
    }
  }

  /** True where the agent is connected, or was within the grace period. */
  present(name: string): boolean {
    const node = this.#nodes.get(name);
    return node !== undefined && (node.connected || this.#clock() - node.disconnectedAt < GRACE_MS);
  }

  /** What has to outlive the controller. */
  static record(node: LiveNode): NodeStateRecord {
    const { underlay, agentVersion, kernel, hook, lastSeenAt, devices, seen, running, claimed, copying } = node;
    const { certificateEndsAt } = node;
    const former = [...node.former].slice(-MAX_FORMER_KEPT);
    return {
      underlay,
      agentVersion,
      kernel,
      hook,
      lastSeenAt,
      devices,
      seen,
      running,
      claimed,
      copying,
      former,
      certificateEndsAt,
    };
  }

  #ensure(name: string): LiveNode {
    let node = this.#nodes.get(name);
    if (!node) {
      node = {
        name,
        connected: false,
        disconnectedAt: this.#clock(),
        devices: [],
        copying: [],
        unseen: false,
        seen: byId(),
        running: byId(),
        claimed: byId(),
        contests: [],
        granted: new Set(),
        former: new Set(),
        problems: [],
        budgets: [],
        counters: new CounterTotals(),
        readings: new Readings(),
        dirty: false,
      };
      this.#nodes.set(name, node);
    }
    return node;
  }

  /** What is taken of an underlay that an agent offers: all, or what it had before. Whose an address is already keeps it. */
  #judge(node: LiveNode, offered: Underlay | undefined): Underlay | undefined {
    const others = [...this.#nodes.values()].filter((other) => other !== node);
    const problem = offered && underlayProblem(offered, others);
    node.refusedUnderlay = problem && { offered: offered!, problem };
    return problem ? node.underlay : offered;
  }

  #touch(node: LiveNode): void {
    node.lastSeenAt = new Date(this.#clock()).toISOString();
  }

  /** Sequence numbers are times, so that they grow across restarts, and never the same twice. */
  #nextSeen(): number {
    this.#lastSeen = Math.max(this.#lastSeen + 1, this.#clock());
    return this.#lastSeen;
  }

  #describe(node: LiveNode, fields: Partial<LiveNode>): void {
    for (const [name, value] of Object.entries(fields)) {
      const key = name as keyof LiveNode;
      if (JSON.stringify(node[key]) !== JSON.stringify(value)) {
        Object.assign(node, { [key]: value });
        node.dirty = true;
      }
    }
  }
}

/** Adds what was before and is not now to `former`, and forgets what went first. Returns whether anything was added. */
function remember(former: Set<string>, before: ReadonlySet<string>, now: ReadonlySet<string>): boolean {
  const gone = [...before].filter((id) => !now.has(id));
  for (const id of gone) {
    former.delete(id);
    former.add(id);
  }
  for (const id of former) {
    if (former.size <= MAX_FORMER) {
      break;
    }
    former.delete(id);
  }
  return gone.length > 0;
}

/** Numbers by the id of an interface. Without a prototype, for "constructor" is a good id. */
function byId(from: Record<string, number> = {}): Record<string, number> {
  return Object.assign(Object.create(null), from);
}
