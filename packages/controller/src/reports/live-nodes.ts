/**
 * The current reports of agents, in memory. Planning stores the part that must outlive the
 * controller (`unsaved`, `saved`).
 */
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

/**
 * Grace period, milliseconds: a node counts as present for this time after its agent has
 * disconnected, and after a start.
 */
export const GRACE_MS = 30_000;

/** By interface id: names of the nodes with an accepted claim. */
export type Grants = ReadonlyMap<string, readonly string[]>;

export class LiveNodes {
  readonly #nodes = new Map<string, KeptNode>();
  readonly #clock: () => number;
  #lastSeen = 0;
  /** Whether a report since `grant` may change which node has an interface. */
  #unjudged = true;
  #judgeGrants: (() => Grants) | undefined;

  /** @param clock milliseconds since 1970. */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** Sets the function that decides which claims are accepted. */
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

  /** Restores the record of the previous run. */
  restore(name: string, record: NodeStateRecord): void {
    this.#lastSeen = Math.max(this.#lastSeen, restore(this.#ensure(name), record));
  }

  delete(name: string): void {
    this.#nodes.delete(name);
    // The address of a deleted node is free for other nodes.
    for (const node of this.#nodes.values()) {
      if (node.refusedUnderlay) {
        this.#describe(node, { underlay: this.#judge(node, node.refusedUnderlay.offered) });
      }
    }
  }

  /**
   * An agent has connected and sent its hello. Its devices stay as known until it lists them again.
   */
  hello(message: Hello): void {
    const node = this.#ensure(message.node);
    if (!this.present(message.node)) {
      // Other nodes may have taken its interfaces meanwhile, so its claims come after theirs.
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

  /** Sets the end of the agent's certificate. @param endsAt ISO 8601 */
  certificate(name: string, endsAt: string): void {
    this.#describe(this.#ensure(name), { certificateEndsAt: endsAt });
  }

  /** An agent was refused. Returns whether this is new. */
  reject(name: string, problem: NodeProblem): boolean {
    const node = this.#ensure(name);
    const news = node.rejection?.message !== problem.message;
    node.rejection = problem;
    return news;
  }

  /** A second agent was refused. Returns whether this is new. */
  secondAgent(name: string, problem: NodeProblem): boolean {
    const node = this.#ensure(name);
    const before = node.second;
    node.second = { problem, at: this.#clock() };
    return before === undefined || this.#clock() - before.at > SECOND_AGENT_MS;
  }

  /** Sets the contests of all nodes as their problems. Nodes that are not in the map have none. */
  contested(problems: ReadonlyMap<string, NodeProblem[]>): void {
    for (const [name, node] of this.#nodes) {
      node.contests = problems.get(name) ?? [];
    }
  }

  /**
   * The agent reports counters.
   * @param judge decides which counters are accepted
   * @param isPlanned whether a plan exists; without one, the judge knows less
   * @returns the refused counts
   */
  counters(name: string, message: CountersMessage, judge: CounterJudge, isPlanned: boolean): RefusedCounts {
    const node = this.#ensure(name);
    const readingsOf = (other: string) => this.#nodes.get(other)?.readings;
    return takeCounters(node, message, { judge, isPlanned, now: this.#clock(), readingsOf });
  }

  /** Restores saved counters. @param at time of the last counters, ISO 8601 */
  restoreCounters(name: string, totals: SavedTotals, at: string | undefined): void {
    const node = this.#ensure(name);
    node.counters = CounterTotals.restore(totals);
    node.countersAt = at;
  }

  /**
   * A period of `LATELY_MS` has passed. @param keep whether the policy with this uid still exists
   */
  tick(keep: (policy: string) => boolean): void {
    for (const { counters, readings } of this.#nodes.values()) {
      counters.prune(keep);
      counters.tick(readings.arrivedBefore);
      readings.prune(keep);
    }
  }

  /** The totals of a node, to be saved. Undefined if they have not changed since the last call. */
  totalsToSave(name: string): SavedTotals | undefined {
    const counters = this.#nodes.get(name)?.counters;
    return counters?.changed ? counters.save() : undefined;
  }

  /**
   * Records that some counters of a report were refused, or with `message` undefined that none
   * were. A refusal stays a problem for a while. Returns whether there was no such problem before.
   */
  refusedCounters(name: string, message: string | undefined): boolean {
    const node = this.#nodes.get(name);
    return node !== undefined && noteRefusedCounters(node, message, this.#clock());
  }

  /**
   * The agent lists its devices.
   * @param underlay from the hello of the same connection, used if the message has none
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
   * Whether the node's claim to the interface is accepted, or was accepted and is still remembered.
   * A claim to another node's interface does not count.
   */
  hasHad(name: string, id: string): boolean {
    const node = this.#nodes.get(name);
    const known = () => node!.granted.has(id) || node!.former.has(id);
    if (node === undefined || known()) {
      return node !== undefined;
    }
    // A new interface may be reported before the next planning, so its claims are judged now.
    if (!(id in node.seen) || !this.#unjudged || !this.#judgeGrants) {
      return false;
    }
    this.grant(this.#judgeGrants());
    return known();
  }

  /** Sets the accepted claims. Reports of a node about other interfaces are ignored. */
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
   * The agent reports the program in its kernel. Returns true if it has changed.
   * @param names names of all policies by uid; asked only where the node copies for policies other
   * than before
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

  /** Records the time of a message from the agent. */
  heard(name: string): void {
    const node = this.#nodes.get(name);
    if (node) {
      this.#touch(node);
    }
  }

  /** True if the agent is connected, or was within the grace period. */
  present(name: string): boolean {
    const node = this.#nodes.get(name);
    return node !== undefined && (node.connected || this.#clock() - node.disconnectedAt < GRACE_MS);
  }

  /** Records that must be stored, of nodes whose record in the store is older. */
  unsaved(): Map<string, NodeStateRecord> {
    const dirty = [...this.#nodes.values()].filter((node) => node.dirty);
    return new Map(dirty.map((node) => [node.name, recordOf(node)]));
  }

  /** These records are in the store now. Later changes are still unsaved. */
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

  /**
   * The accepted underlay: the offered one, or the earlier one. A node that already has an address
   * keeps it.
   */
  #judge(node: KeptNode, offered: Underlay | undefined): Underlay | undefined {
    const others = [...this.#nodes.values()].filter((other) => other !== node);
    const problem = offered && underlayProblem(offered, others);
    node.refusedUnderlay = problem && { offered: offered!, problem };
    return problem ? node.underlay : offered;
  }

  #touch(node: KeptNode): void {
    node.lastSeenAt = new Date(this.#clock()).toISOString();
  }

  /**
   * The next sequence number. It is a time, so that numbers grow across restarts, and is unique.
   */
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
