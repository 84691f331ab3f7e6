/**
 * What nodes report, by what statuses ask for, kept from one moment to the next. Only what has
 * changed since is looked at. It is known which computations of `tracker` have read what.
 */
import { isDeepStrictEqual } from 'node:util';
import { atOnce } from '@mirrorplane/base';
import type { CaptureStatus, NodeProblem } from '@mirrorplane/contract';
import {
  type CapturesById,
  capturesById,
  countersFrom,
  type Observation,
  type ObservedNode,
  type PolicyCounters,
  refusedLately,
  TrackedCluster,
  TrackedReads,
  TrackedTable,
  Tracker,
  type Unsupported,
  unsupportedOn,
} from '@mirrorplane/planner';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { Merged } from '../inventory/inventory.ts';
import { problemsForPolicies } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import { LATELY_MS } from '../reports/saved-counters.ts';
import type { View } from '../store/view.ts';
import { NodesBy } from './nodes-by.ts';

interface Parts {
  view: View;
  live: LiveNodes;
  inventory: CurrentInventory;
}

/** What was taken over of a node: as long as it is the same, so is what statuses ask of the node. */
interface Taken {
  node: LiveNode | undefined;
  programRevision: number | undefined;
  connected: boolean | undefined;
  appliedRevision: number | undefined;
  counters: LiveNode['counters'] | undefined;
  version: number | undefined;
  countersAt: string | undefined;
  readings: number | undefined;
  captures: readonly CaptureStatus[] | undefined;
  copying: LiveNode['copying'] | undefined;
  revoked: boolean | undefined;
  rejection: NodeProblem | undefined;
  refusedCounters: object | undefined;
  refusedUnderlay: object | undefined;
  contests: readonly NodeProblem[];
  problems: readonly NodeProblem[];
}

const NO_PROBLEMS: readonly NodeProblem[] = [];
const NO_ORIGINS: ReadonlyMap<string, string> = new Map();
const NOT_HEARD = { connected: false, problems: [] };
const NOT_SENT: ObservedNode['sent'] = [];
const NOT_ARRIVED: ObservedNode['arrivedBefore'] = new Map();

export class KeptObservation implements Observation {
  readonly #parts: Parts;
  readonly tracker = new Tracker();
  readonly cluster = new TrackedCluster(this.tracker);
  readonly nodes = new TrackedTable<ObservedNode>(this.tracker, isSameNode);
  readonly refused = new TrackedTable<ReadonlyMap<string, number>>(this.tracker, isDeepStrictEqual);
  readonly captures = new TrackedTable<CapturesById>(this.tracker, () => false);
  readonly counters = new TrackedReads<PolicyCounters>(this.tracker, (uid) => this.#countersOf(uid));
  readonly previous = new TrackedReads(this.tracker, (node) => this.#parts.live.get(node)?.counters.previous);
  readonly copying = new TrackedReads(this.tracker, (uid) => this.#copying.nodesOf(uid));
  readonly unsupported = new TrackedReads(this.tracker, (id) => this.#unsupportedBy(id));
  readonly revoked = new TrackedReads(this.tracker, (id) => this.#revoked.nodesOf(id));
  #inventory: Merged | undefined;
  readonly #taken = new Map<string, Taken>();
  /** By policy: nodes that have counted anything for it. */
  readonly #counting = new NodesBy((uid) => this.counters.changed(uid));
  readonly #copying = new NodesBy((uid) => this.copying.changed(uid));
  /** By interface. */
  readonly #unsupported = new NodesBy((id) => this.unsupported.changed(id));
  readonly #revoked = new NodesBy((id) => this.revoked.changed(id));

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Takes over what has changed. */
  update(): this {
    atOnce(this.updateInSteps());
    return this;
  }

  /**
   * The same, one node at each step. Until its end, some nodes are as they were a moment ago, as if
   * their reports had come later.
   */
  *updateInSteps(): Generator<undefined> {
    const { view, live, inventory } = this.#parts;
    const now = inventory.now();
    if (now !== this.#inventory) {
      this.cluster.update(now, NO_ORIGINS);
      this.#inventory = now;
    }
    for (const name of view.all('nodes').keys()) {
      this.#look(name, live.get(name));
      yield;
    }
    for (const name of [...this.#taken.keys()].filter((one) => !view.get('nodes', one))) {
      this.#forget(name);
    }
  }

  #look(name: string, node: LiveNode | undefined): void {
    const before = this.#taken.get(name);
    const programRevision = this.#parts.view.get('programs', name)?.value.revision;
    if (before !== undefined && isTaken(before, node, programRevision) && !this.#isPassing(name, node)) {
      return;
    }
    const isOther = before === undefined || before.node !== node;
    const report = this.#reportOf(node, programRevision);
    this.nodes.set(name, report);
    this.#copying.set(name, node?.copying.map(({ uid }) => uid) ?? []);
    this.#unsupported.set(
      name,
      unsupportedOn(report).map((one) => one.interface),
    );
    this.#revoked.set(name, node?.revoked ? this.#interfacesOf(node) : []);
    if (isOther || before.captures !== node?.captures) {
      this.captures.set(name, capturesById(node?.captures ?? []));
    }
    if (isOther || before.counters !== node?.counters || before.version !== node?.counters.version) {
      this.#takeCounters(name, node);
    }
    this.#taken.set(name, takenOf(node, programRevision));
  }

  /** Whether what is known of a node may differ although it has said nothing: a surplus ends by time. */
  #isPassing(name: string, node: LiveNode | undefined): boolean {
    return node?.revoked === true || (this.nodes.get(name)?.surplus?.size ?? 0) > 0;
  }

  #takeCounters(name: string, node: LiveNode | undefined): void {
    const { peers, previous } = node?.counters ?? {};
    this.refused.set(name, peers && refusedLately(peers, previous?.peers));
    this.previous.changed(name);
    const policies = node?.counters.policies() ?? [];
    this.#counting.set(name, policies);
    for (const uid of policies) {
      this.counters.changed(uid);
    }
  }

  #forget(name: string): void {
    for (const table of [this.nodes, this.refused, this.captures]) {
      table.set(name, undefined);
    }
    for (const nodes of [this.#counting, this.#copying, this.#unsupported, this.#revoked]) {
      nodes.set(name, []);
    }
    this.previous.changed(name);
    this.#taken.delete(name);
  }

  #reportOf(node: LiveNode | undefined, programRevision: number | undefined): ObservedNode {
    const { live } = this.#parts;
    const hasCounted = node?.counters.peers !== undefined;
    return {
      connected: node?.connected ?? false,
      sent: node?.readings.sent ?? NOT_SENT,
      arrivedBefore: node?.readings.arrivedBefore ?? NOT_ARRIVED,
      surplus: node?.readings.surplusSince(live.now() - 2 * LATELY_MS) ?? new Map(),
      problems: node ? problemsForPolicies(node) : [],
      hasCounted,
      ...(node && { readingOf: (ifindex: number) => node.traffic.reading(ifindex, live.steady()) }),
      ...(programRevision !== undefined && { programRevision }),
      ...(node?.appliedRevision !== undefined && { appliedRevision: node.appliedRevision }),
      ...(hasCounted && node?.countersAt !== undefined && { countersAt: node.countersAt }),
    };
  }

  #countersOf(uid: string): PolicyCounters | undefined {
    const nodes = this.#counting.nodesOf(uid)?.flatMap((name) => this.#parts.live.get(name) ?? []);
    return nodes && countersFrom(nodes.map(({ name, counters }) => [name, counters.counted(uid)]));
  }

  #unsupportedBy(id: string): readonly Unsupported[] | undefined {
    return this.#unsupported
      .nodesOf(id)
      ?.flatMap((node) =>
        unsupportedOn(this.nodes.get(node) ?? NOT_HEARD).flatMap((one) =>
          one.interface === id ? [{ node, message: one.message }] : [],
        ),
      );
  }

  /** The interfaces that were on a node: those that it was believed to have, and its edges. */
  #interfacesOf({ name, devices }: LiveNode): Set<string> {
    const { claims } = this.#parts.live;
    const edges = (this.cluster.edges.get(name) ?? []).map((edge) => edge.interface);
    const guests = devices.flatMap(({ identity }) => identity?.id ?? []).filter((id) => claims.hasHad(name, id));
    return new Set([...edges, ...guests]);
  }
}

function takenOf(node: LiveNode | undefined, programRevision: number | undefined): Taken {
  return {
    node,
    programRevision,
    connected: node?.connected,
    appliedRevision: node?.appliedRevision,
    counters: node?.counters,
    version: node?.counters.version,
    countersAt: node?.countersAt,
    readings: node?.readings.version,
    captures: node?.captures,
    copying: node?.copying,
    revoked: node?.revoked,
    rejection: node?.rejection,
    refusedCounters: node?.refusedCounters,
    refusedUnderlay: node?.refusedUnderlay,
    contests: node?.contests ?? NO_PROBLEMS,
    problems: node?.problems ?? NO_PROBLEMS,
  };
}

/** Whether a node is as it was taken over. Nearly all are, each time: so no object is made for it. */
function isTaken(before: Taken, node: LiveNode | undefined, programRevision: number | undefined): boolean {
  return (
    before.node === node &&
    before.programRevision === programRevision &&
    (node === undefined ||
      (before.version === node.counters.version &&
        before.counters === node.counters &&
        before.readings === node.readings.version &&
        before.countersAt === node.countersAt &&
        before.connected === node.connected &&
        before.appliedRevision === node.appliedRevision &&
        before.captures === node.captures &&
        before.copying === node.copying &&
        before.revoked === node.revoked &&
        before.rejection === node.rejection &&
        before.refusedCounters === node.refusedCounters &&
        before.refusedUnderlay === node.refusedUnderlay &&
        isSameProblems(before.contests, node.contests) &&
        isSameProblems(before.problems, node.problems)))
  );
}

/** Each planning gives each node a list of contests, which is empty nearly always. */
function isSameProblems(a: readonly NodeProblem[], b: readonly NodeProblem[]): boolean {
  return a === b || a.length + b.length === 0;
}

/** Whether statuses cannot tell two reports apart. What guests read is told together with counters. */
function isSameNode(a: ObservedNode, b: ObservedNode): boolean {
  return (
    a.connected === b.connected &&
    a.programRevision === b.programRevision &&
    a.appliedRevision === b.appliedRevision &&
    a.hasCounted === b.hasCounted &&
    a.countersAt === b.countersAt &&
    a.sent === b.sent &&
    isSameMap(a.arrivedBefore!, b.arrivedBefore!) &&
    isSameMap(a.surplus!, b.surplus!) &&
    (a.problems.length + b.problems.length === 0 || isDeepStrictEqual(a.problems, b.problems))
  );
}

function isSameMap(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  return a === b || (a.size === b.size && a.keys().every((key) => a.get(key) === b.get(key)));
}
