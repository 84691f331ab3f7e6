/**
 * The current reports of agents, in memory. Planning stores the part that must outlive the
 * controller (`unsaved`, `saved`).
 */
import type {
  CaptureStatus,
  Hello,
  InventoryMessage,
  NodeProblem,
  StatusMessage,
  Underlay,
} from '@mirrorplane/contract';
import { ChangeLog } from '../store/change-log.ts';
import type { NodeStateRecord } from '../store/records.ts';
import { Claims } from './claims.ts';
import { BAD_MESSAGE_MS, SECOND_AGENT_MS } from './found-problems.ts';
import { KeptNodes } from './kept-nodes.ts';
import {
  byId,
  copyingOf,
  isRecordOf,
  type KeptNode,
  type LiveNode,
  recordOf,
  restore,
  sightings,
} from './live-node.ts';
import { NodeCounters } from './node-counters.ts';
import { underlayProblem } from './underlays.ts';

/**
 * Grace period, milliseconds: a node counts as present for this time after its agent has
 * disconnected, and after a start.
 */
export const GRACE_MS = 30_000;

/** Problem of an agent that could not store its program. */
const UNSAVED = 'PROGRAM_UNSAVED';

export class LiveNodes {
  readonly #nodes: KeptNodes;
  #lastSeen = 0;
  readonly #changes = new ChangeLog();
  /** Underlays that were accepted since the start, and are those of their nodes. */
  readonly #accepted = new WeakSet<Underlay>();
  /** Which claims of nodes to interfaces are accepted. */
  readonly claims: Claims;
  readonly counters: NodeCounters;

  /** @param clock milliseconds since 1970 @param steady milliseconds of a clock that does not jump */
  constructor(clock: () => number, steady = clock) {
    this.#nodes = new KeptNodes(clock, steady);
    this.claims = new Claims(this.#nodes);
    this.counters = new NodeCounters(this.#nodes);
  }

  get(name: string): LiveNode | undefined {
    return this.#nodes.get(name);
  }

  /** Milliseconds since 1970. */
  now(): number {
    return this.#nodes.now();
  }

  /** Milliseconds of the clock of `traffic`, which does not jump. */
  steady(): number {
    return this.#nodes.steady();
  }

  all(): ReadonlyMap<string, LiveNode> {
    return this.#nodes.all;
  }

  /**
   * Grows with each change of what an inventory is made of: devices, underlays, claims, and which
   * agents are connected. That a node stops to be present is told by `presentUntil` alone.
   */
  get changes(): number {
    return this.#changes.count;
  }

  /** Names of the nodes that have changed since `changes` was `count`. Undefined: any may have. */
  changedSince(count: number): readonly string[] | undefined {
    return this.#changes.since(count);
  }

  /** When the next disconnected node stops to be present, milliseconds since 1970. */
  presentUntil(): number | undefined {
    const [now, ends] = [this.now(), [...this.#nodes.all.values()].filter((node) => !node.connected)];
    const due = ends.map(({ disconnectedAt }) => disconnectedAt + GRACE_MS).filter((at) => at > now);
    return due.length === 0 ? undefined : Math.min(...due);
  }

  /** Restores the record of the previous run. */
  restore(name: string, record: NodeStateRecord): void {
    this.#changes.note(name);
    this.#lastSeen = Math.max(this.#lastSeen, restore(this.#nodes.ensure(name), record));
  }

  delete(name: string): void {
    this.#changes.note(name);
    this.#nodes.delete(name);
    // The address of a deleted node is free for other nodes.
    for (const node of this.#nodes.all.values()) {
      if (node.refusedUnderlay) {
        this.#describe(node, { underlay: this.#judge(node, node.refusedUnderlay.offered) });
      }
    }
  }

  /**
   * An agent has connected and sent its hello. Its devices stay as known until it lists them again.
   */
  hello(message: Hello): void {
    const node = this.#nodes.ensure(message.node);
    if (!this.present(message.node)) {
      // Other nodes may have taken its interfaces meanwhile, so its claims come after theirs.
      node.claimed = byId();
      node.running = byId();
    }
    this.#changes.note(message.node);
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
    this.#describe(this.#nodes.ensure(name), { certificateEndsAt: endsAt });
  }

  /** The node was revoked, or has enrolled since. Whether an older certificate was seen is forgotten. */
  admission(name: string, revoked: boolean): void {
    const node = this.#nodes.ensure(name);
    node.revoked = revoked;
    node.contested = undefined;
    this.#changes.note(name);
    this.claims.changed();
  }

  /** A certificate was seen that is older than the one in use. Returns whether this is new. */
  contested(name: string, problem: NodeProblem): boolean {
    const node = this.#nodes.ensure(name);
    const before = node.contested;
    node.contested = { problem, at: this.now() };
    return before === undefined || this.now() - before.at > SECOND_AGENT_MS;
  }

  /** An agent was refused. Returns whether this is new. */
  reject(name: string, problem: NodeProblem): boolean {
    const node = this.#nodes.ensure(name);
    const news = node.rejection?.message !== problem.message;
    node.rejection = problem;
    return news;
  }

  /** A second agent was refused. Returns whether this is new. */
  secondAgent(name: string, problem: NodeProblem): boolean {
    const node = this.#nodes.ensure(name);
    const before = node.second;
    node.second = { problem, at: this.now() };
    return before === undefined || this.now() - before.at > SECOND_AGENT_MS;
  }

  /** A message of the agent could not be read. Returns whether this is new. */
  badMessage(name: string, problem: NodeProblem): boolean {
    const node = this.#nodes.ensure(name);
    const before = node.badMessage;
    node.badMessage = { problem, at: this.now() };
    return before === undefined || this.now() - before.at > BAD_MESSAGE_MS;
  }

  /**
   * The agent lists its devices.
   * @param underlay from the hello of the same connection, used if the message has none
   */
  inventory(name: string, message: InventoryMessage, underlay: Underlay | undefined): void {
    const node = this.#nodes.ensure(name);
    this.#touch(node);
    const accepted = this.#judge(node, message.underlay ?? underlay);
    const seen = sightings(node, message.devices, () => this.#nextSeen());
    this.claims.listing(name, seen.seen);
    this.claims.changed();
    this.#describe(node, { underlay: accepted, devices: message.devices, ...seen });
  }

  /**
   * The agent reports the program in its kernel. Returns true if it has changed.
   * @param names names of all policies by uid; asked only where the node copies for policies other
   * than before
   * @param unbelieved captures of interfaces that the node is not believed to have, which are not in
   * the message. An agent reports differences, so they count when its claim is accepted
   */
  status(
    name: string,
    message: StatusMessage,
    names: () => ReadonlyMap<string, string>,
    unbelieved: CaptureStatus[] = [],
  ): boolean {
    const node = this.#nodes.ensure(name);
    const isNews = node.appliedRevision !== message.appliedRevision;
    node.appliedRevision = message.appliedRevision;
    node.captures = message.captures;
    node.unbelieved = unbelieved;
    node.problems = message.problems;
    // Until it has stored its program, its agent may begin again with an earlier one.
    const isStored = message.problems.every(({ code }) => code !== UNSAVED);
    if (node.told && isStored && message.appliedRevision >= node.told.revision) {
      node.told.policies = node.told.newest;
    }
    const copying = copyingOf(node, message.captures, names);
    this.#describe(node, { copying: isStored ? copying : union(node.copying, copying) });
    return isNews;
  }

  /**
   * A program is about to be sent to the node, which may copy for these policies until it reports.
   * Nothing changes where this revision was told before.
   */
  toldToCopy(name: string, revision: number, policies: KeptNode['copying']): void {
    const node = this.#nodes.get(name);
    if (node === undefined || revision <= (node.told?.revision ?? -1)) {
      return;
    }
    const isReported = revision <= (node.appliedRevision ?? -1);
    const earlier = isReported ? [] : (node.told?.policies ?? []);
    node.told = { revision, newest: policies, policies: union(earlier, policies) };
    this.#describe(node, { copying: union(node.copying, policies) });
  }

  /** The connection of the agent ended. */
  disconnected(name: string): void {
    const node = this.#nodes.get(name);
    if (node?.connected) {
      this.#changes.note(name);
      node.connected = false;
      node.budgets = [];
      node.disconnectedAt = this.now();
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
    return node !== undefined && (node.connected || this.now() - node.disconnectedAt < GRACE_MS);
  }

  /** Records that must be stored, of nodes whose record in the store is older. */
  unsaved(): Map<string, NodeStateRecord> {
    const dirty = [...this.#nodes.all.values()].filter((node) => node.dirty);
    return new Map(dirty.map((node) => [node.name, recordOf(node)]));
  }

  /** These records are in the store now. Later changes are still unsaved. */
  saved(records: ReadonlyMap<string, NodeStateRecord>): void {
    for (const [name, record] of records) {
      const node = this.#nodes.get(name);
      if (node) {
        node.dirty = !isRecordOf(record, node);
      }
    }
  }

  /**
   * The accepted underlay: the offered one, or the earlier one. A node that already has an address
   * keeps it.
   */
  #judge(node: KeptNode, offered: Underlay | undefined): Underlay | undefined {
    // No other node can have taken its address since.
    if (this.#accepted.has(node.underlay!) && node.refusedUnderlay === undefined && isSame(offered, node.underlay)) {
      return node.underlay;
    }
    const others = [...this.#nodes.all.values()].filter((other) => other !== node);
    const problem = offered && underlayProblem(offered, others);
    node.refusedUnderlay = problem && { offered: offered!, problem };
    if (problem || offered === undefined) {
      return problem && node.underlay;
    }
    const accepted = isSame(offered, node.underlay) ? node.underlay! : offered;
    this.#accepted.add(accepted);
    return accepted;
  }

  #touch(node: KeptNode): void {
    node.lastSeenAt = new Date(this.now()).toISOString();
  }

  /**
   * The next sequence number. It is a time, so that numbers grow across restarts, and is unique.
   */
  #nextSeen(): number {
    this.#lastSeen = Math.max(this.#lastSeen + 1, this.now());
    return this.#lastSeen;
  }

  #describe(node: KeptNode, fields: Partial<KeptNode>): void {
    for (const [name, value] of Object.entries(fields)) {
      const key = name as keyof KeptNode;
      if (!isSame(node[key], value)) {
        Object.assign(node, { [key]: value });
        node.dirty = true;
        this.#changes.note(node.name);
      }
    }
  }
}

/** Whether two values are written the same. Of lists, only items are written that are other objects. */
function isSame(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) {
    return a.length === b.length && a.every((item, index) => item === b[index] || isSame(item, b[index]));
  }
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}

/** Both, by uid. The first one itself, where it has all. */
function union(one: KeptNode['copying'], other: KeptNode['copying']): KeptNode['copying'] {
  const known = new Set(one.map(({ uid }) => uid));
  const more = other.filter(({ uid }) => !known.has(uid));
  return more.length === 0 ? one : [...one, ...more].sort((a, b) => (a.uid < b.uid ? -1 : 1));
}
