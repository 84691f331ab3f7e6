/**
 * Plans again and again, at the cost of what has changed. It remembers what it has planned for each
 * policy and each node, and what that was made of. The result does not depend on what it remembers.
 */
import type { Inventory, Policy } from '@mirrorplane/contract';
import { handoverNodes, homeNode } from './cluster.ts';
import { type Push, pushOf } from './copy-vlans.ts';
import { KeptSessions } from './kept-sessions.ts';
import { NodePrograms, type StandbyItem } from './node-programs.ts';
import { byText } from './order.ts';
import { type Placement, place } from './place.ts';
import type { Plan } from './planned.ts';
import { endOf, type PlannedPolicy, planPolicy } from './policy-parts.ts';
import type { Allocated, Chance, SessionDemand, Sessions } from './sessions.ts';
import { Computation, Tracker } from './tracked.ts';
import { isSameText, TrackedCluster } from './tracked-cluster.ts';

/** What is planned for one policy, and what it follows from. */
interface Kept {
  policy: Policy;
  /** Reads what `placed` follows from. */
  placing: Computation;
  placed: Placed;
  /** Reads what `result` follows from, apart from `placed` and `numbers`. */
  carrying: Computation;
  result?: PlannedPolicy;
  numbers: string;
  /** Where `numbers` are from. */
  allocated?: Allocated;
}

/** What follows from a policy and the inventory, before numbers are allocated. */
interface Placed {
  placement: Placement;
  demand: SessionDemand;
  push: Push | undefined;
  /** Nodes with an edge that is a source. */
  mirroring: string[];
  standby: StandbyItem[];
}

/** Numbers that are not stored yet, and what they follow from. */
interface Prepared {
  of: readonly unknown[];
  allocated: Allocated;
}

/** What a plan also depends on; see `plan`. */
export interface PlanOptions {
  sessions?: Sessions | undefined;
  origins?: ReadonlyMap<string, string> | undefined;
  chance?: Chance | undefined;
}

export class Planner {
  #tracker = new Tracker();
  #cluster = new TrackedCluster(this.#tracker);
  /** By uid, sorted. */
  #kept = new Map<string, Kept>();
  #nodes = new NodePrograms();
  #sessions = new KeptSessions();
  /** Numbers of the last `prepare`, which are those of the next plan if nothing differs. */
  #prepared: Prepared | undefined;

  /**
   * Plans all policies, as `plan` does. Objects of a plan are those of the plan before where
   * nothing differs: programs, parts of programs, and results of policies.
   * @param inventory its objects are not changed later. Equal objects may be other ones
   */
  plan(policies: readonly Policy[], inventory: Inventory, options: PlanOptions = {}): Plan {
    try {
      return this.#plan(policies, inventory, options);
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /**
   * Does most of what `plan` with the same would do, one policy at each step, so that others have their
   * turn between two steps. The next `plan` has to do the rest, and what differs by then.
   */
  *prepare(policies: readonly Policy[], inventory: Inventory, options: PlanOptions = {}): Generator<undefined> {
    try {
      const allocated = yield* this.#planPolicies(policies, inventory, options);
      this.#prepared = { of: this.#preparedOf(options), allocated };
    } catch (error) {
      this.#forget();
      throw error;
    }
  }

  /** Nothing that is half done is remembered. */
  #forget(): void {
    this.#tracker = new Tracker();
    this.#cluster = new TrackedCluster(this.#tracker);
    this.#kept = new Map();
    this.#nodes = new NodePrograms();
    this.#sessions = new KeptSessions();
    this.#prepared = undefined;
  }

  /** What numbers follow from, apart from the time. */
  #preparedOf({ sessions, chance }: PlanOptions): readonly unknown[] {
    return [sessions, chance?.cutOffs, ...this.#kept.values().map(({ placed }) => placed.demand)];
  }

  #plan(policies: readonly Policy[], inventory: Inventory, options: PlanOptions): Plan {
    const steps = this.#planPolicies(policies, inventory, options);
    let step = steps.next();
    while (!step.done) {
      step = steps.next();
    }
    this.#prepared = undefined;
    const all = [...this.#kept.values()];
    const programs = this.#nodes.programs(
      this.#cluster,
      all.map(({ placed }) => placed),
    );
    return {
      programs,
      sessions: step.value.sessions,
      policies: new Map(all.map(({ policy, result }) => [policy.uid, result!.plan])),
    };
  }

  /** Plans all policies that differ. @returns at its end: all numbers */
  *#planPolicies(
    policies: readonly Policy[],
    inventory: Inventory,
    options: PlanOptions,
  ): Generator<undefined, Allocated> {
    this.#cluster.update(inventory, options.origins ?? new Map());
    this.#takePolicies(policies);
    const all = [...this.#kept.values()];
    for (const kept of all) {
      if (this.#tracker.isStale(kept.placing)) {
        kept.placed = this.#place(kept);
        this.#tracker.spoil(kept.carrying);
        yield;
      }
    }
    const allocated = this.#allocate(options);
    for (const kept of all) {
      if (this.#carryOut(kept, allocated)) {
        yield;
      }
    }
    return allocated;
  }

  #allocate(options: PlanOptions): Allocated {
    const of = this.#preparedOf(options);
    const { of: before = [], allocated } = this.#prepared ?? {};
    if (allocated && before.length === of.length && before.every((one, index) => one === of[index])) {
      return allocated;
    }
    const { sessions = {}, chance } = options;
    const demands = [...this.#kept.values()].map(({ placed }) => placed.demand);
    return this.#sessions.allocate(sessions, demands, chance);
  }

  #takePolicies(policies: readonly Policy[]): void {
    const uids = new Set(policies.map(({ uid }) => uid));
    for (const [uid, kept] of this.#kept) {
      if (!uids.has(uid)) {
        this.#tracker.drop(kept.placing);
        this.#tracker.drop(kept.carrying);
        this.#nodes.replace(kept.result?.parts ?? new Map(), new Map());
        this.#kept.delete(uid);
      }
    }
    let isSorted = true;
    for (const policy of policies) {
      const kept = this.#kept.get(policy.uid);
      if (!kept) {
        isSorted = false;
        this.#kept.set(policy.uid, this.#newlyKept(policy));
      } else if (kept.policy !== policy && !isSameText(kept.policy, policy)) {
        kept.policy = policy;
        this.#tracker.spoil(kept.placing);
      }
    }
    if (!isSorted) {
      this.#kept = new Map([...this.#kept].sort(([a], [b]) => byText(a, b)));
    }
  }

  #newlyKept(policy: Policy): Kept {
    const kept: Kept = {
      policy,
      placing: new Computation(),
      placed: NOT_PLACED,
      carrying: new Computation(),
      numbers: '',
    };
    this.#tracker.spoil(kept.placing);
    return kept;
  }

  #place({ policy, placing, placed: before }: Kept): Placed {
    return this.#tracker.run(placing, () => {
      const placement = place(policy, this.#cluster);
      const demand = demandOf(placement);
      const { enabled, sources, destination } = policy;
      const push = enabled ? pushOf(policy, this.#cluster) : undefined;
      const edges = sources.flatMap((id) => this.#cluster.interfaces.get(id)?.edge?.node ?? []);
      return {
        placement,
        demand: isSameText(before.demand, demand) ? before.demand : demand,
        push: push && before.push && isSamePush(push, before.push) ? before.push : push,
        mirroring: enabled ? edges : [],
        standby: enabled ? [...sources, destination].flatMap((id) => this.#standby(id)) : [],
      };
    });
  }

  /** The nodes where an interface has a device while its guest is on another node. */
  #standby(id: string): StandbyItem[] {
    const item = this.#cluster.interfaces.get(id);
    const handovers = item ? handoverNodes(item) : [];
    return item && handovers.length > 0 ? [{ interface: id, home: homeNode(item)!, handovers }] : [];
  }

  /** @returns whether it was made again */
  #carryOut(kept: Kept, allocated: Allocated): boolean {
    const { placed, carrying, result } = kept;
    const isSettled = result !== undefined && !this.#tracker.isStale(carrying);
    if (isSettled && kept.allocated === allocated) {
      return false;
    }
    kept.allocated = allocated;
    const numbers = numbersOf(placed, allocated);
    if (isSettled && numbers === kept.numbers) {
      return false;
    }
    const next = this.#tracker.run(carrying, () => planPolicy(placed.placement, allocated, this.#cluster, kept.result));
    const plan = result && isSameText(result.plan, next.plan) ? result.plan : next.plan;
    this.#nodes.replace(result?.parts ?? new Map(), next.parts);
    kept.result = { ...next, plan };
    kept.numbers = numbers;
    return true;
  }
}

const NOT_PLACED = {} as Placed;

/** The session numbers that the parts of a policy have, as text. */
function numbersOf(
  { demand: { uid, node, handoverNodes: others = [] } }: Placed,
  { sessions, exhausted }: Allocated,
): string {
  const texts = [node, ...others].map((to) => {
    const number = to !== undefined && Object.hasOwn(sessions, to) ? sessions[to]!.policies[uid] : undefined;
    return number && `${number.session}.${number.generation}.${number.secret}`;
  });
  return `${exhausted.has(uid)} ${texts.join(' ')}`;
}

function demandOf({ policy, destinationNode, sources, destinationHandovers }: Placement): SessionDemand {
  return {
    uid: policy.uid,
    end: endOf(policy),
    node: destinationNode,
    needed: sources.some(({ captureNodes }) => captureNodes.some((node) => node !== destinationNode)),
    handoverNodes: destinationHandovers.flatMap(({ node }) => [node, destinationNode!]),
  };
}

function isSamePush({ macs, ...a }: Push, { macs: others, ...b }: Push): boolean {
  return isSameText(a, b) && isSameText(macs && [...macs], others && [...others]);
}
