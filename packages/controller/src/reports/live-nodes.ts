/** What agents say, as of now, in memory. Planning keeps what has to outlive the controller: `unsaved` and `saved`. */
import type {
  CountersMessage,
  Hello,
  InventoryMessage,
  NodeProblem,
  StatusMessage,
  Underlay,
} from '@mirrorplane/contract';
import type { NodeStateRecord } from '../store/records.ts';
import { type CounterJudge, CounterTotals, type RefusedCounts, type SavedTotals } from './counter-totals.ts';
import { SECOND_AGENT_MS } from './found-problems.ts';
import {
  byId,
  copyingOf,
  type KeptNode,
  type LiveNode,
  newNode,
  recordOf,
  remember,
  restore,
  sightings,
} from './live-node.ts';
import { noteRefusedCounters, takeCounters } from './node-counters.ts';
import { underlayProblem } from './underlays.ts';

/** A node whose agent is gone counts as present for this long, and so does every node after a start. Milliseconds. */
export const GRACE_MS = 30_000;

/** Names of the nodes that are believed to have each interface, by its id. */
export type Grants = ReadonlyMap<string, readonly string[]>;

export class LiveNodes {
  readonly #nodes = new Map<string, KeptNode>();
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
    this.#lastSeen = Math.max(this.#lastSeen, restore(this.#ensure(name), record));
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

  /** An agent connected and introduced itself. Its devices stay those known until it lists them again. */
  hello(message: Hello): void {
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

  /** These claims, refused or to what it has, are problems of each node now. Of a node that is not named, none are. */
  contested(problems: ReadonlyMap<string, NodeProblem[]>): void {
    for (const [name, node] of this.#nodes) {
      node.contests = problems.get(name) ?? [];
    }
  }

  /**
   * The agent reports counters.
   * @param judge says which are believed
   * @param isPlanned whether there is a plan, without which the judge knows less
   * @returns what was refused
   */
  counters(name: string, message: CountersMessage, judge: CounterJudge, isPlanned: boolean): RefusedCounts {
    const node = this.#ensure(name);
    const readingsOf = (other: string) => this.#nodes.get(other)?.readings;
    return takeCounters(node, message, { judge, isPlanned, now: this.#clock(), readingsOf });
  }

  /** Takes over counters as they were saved. @param at time of the last ones, ISO 8601 */
  restoreCounters(name: string, totals: SavedTotals, at: string | undefined): void {
    const node = this.#ensure(name);
    node.counters = CounterTotals.restore(totals);
    node.countersAt = at;
  }

  /** A period of `LATELY_MS` is over. @param keep whether a policy is still there, by its uid */
  tick(keep: (policy: string) => boolean): void {
    for (const { counters, readings } of this.#nodes.values()) {
      counters.prune(keep);
      counters.tick(readings.arrivedBefore);
      readings.prune(keep);
    }
  }

  /** The totals of a node, to be saved; undefined where they are as they were when it was asked last. */
  totalsToSave(name: string): SavedTotals | undefined {
    const counters = this.#nodes.get(name)?.counters;
    return counters?.changed ? counters.save() : undefined;
  }

  /**
   * Some counters of a node were refused, or (`message` undefined) none of a report were. What was refused stays a problem for a
   * while. Returns whether there was none before.
   */
  refusedCounters(name: string, message: string | undefined): boolean {
    const node = this.#nodes.get(name);
    return node !== undefined && noteRefusedCounters(node, message, this.#clock());
  }

  /**
   * The agent lists its devices.
   * @param underlay what the hello of the same connection said, where the message itself leaves it out.
   */
  inventory(name: string, message: InventoryMessage, underlay: Underlay | undefined): void {
    const node = this.#ensure(name);
    this.#touch(node);
    this.#unjudged = true;
    const accepted = this.#judge(node, message.underlay ?? underlay);
    const seen = sightings(node, message.devices, () => this.#nextSeen());
    this.#describe(node, { underlay: accepted, devices: message.devices, ...seen });
  }

  /**
   * Whether the claim of the node to the interface is accepted, or was, as far as that is remembered. To say that it has what is
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

  /** Takes over whose claims to each interface are accepted: reports of a node on other interfaces are ignored. */
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
   * @param names names of all policies by uid; asked only where the node copies for policies other than before
   */
  status(name: string, message: StatusMessage, names: () => ReadonlyMap<string, string>): boolean {
    const node = this.#ensure(name);
    const isNews = node.appliedRevision !== message.appliedRevision;
    node.appliedRevision = message.appliedRevision;
    node.captures = message.captures;
    node.problems = message.problems;
    this.#describe(node, { copying: copyingOf(node, message.captures, names) });
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

  /** What has to outlive the controller, of the nodes whose record in the store is behind. */
  unsaved(): Map<string, NodeStateRecord> {
    const dirty = [...this.#nodes.values()].filter((node) => node.dirty);
    return new Map(dirty.map((node) => [node.name, recordOf(node)]));
  }

  /** These are in the store now. What has changed since is still unsaved. */
  saved(records: ReadonlyMap<string, NodeStateRecord>): void {
    for (const [name, record] of records) {
      const node = this.#nodes.get(name);
      if (node) {
        node.dirty = JSON.stringify(record) !== JSON.stringify(recordOf(node));
      }
    }
  }

  #ensure(name: string): KeptNode {
    let node = this.#nodes.get(name);
    if (!node) {
      node = newNode(name, this.#clock());
      this.#nodes.set(name, node);
    }
    return node;
  }

  /** What is taken of an underlay that an agent offers: all, or what it had before. Whose an address is already keeps it. */
  #judge(node: KeptNode, offered: Underlay | undefined): Underlay | undefined {
    const others = [...this.#nodes.values()].filter((other) => other !== node);
    const problem = offered && underlayProblem(offered, others);
    node.refusedUnderlay = problem && { offered: offered!, problem };
    return problem ? node.underlay : offered;
  }

  #touch(node: KeptNode): void {
    node.lastSeenAt = new Date(this.#clock()).toISOString();
  }

  /** Sequence numbers are times, so that they grow across restarts, and never the same twice. */
  #nextSeen(): number {
    this.#lastSeen = Math.max(this.#lastSeen + 1, this.#clock());
    return this.#lastSeen;
  }

  #describe(node: KeptNode, fields: Partial<KeptNode>): void {
    for (const [name, value] of Object.entries(fields)) {
      const key = name as keyof KeptNode;
      if (JSON.stringify(node[key]) !== JSON.stringify(value)) {
        Object.assign(node, { [key]: value });
        node.dirty = true;
      }
    }
  }
}
