/**
 * The statuses of all policies, without their sources, kept from one moment to the next. A status is
 * made again only where something that it was made of has changed.
 */
import { atOnce } from '@mirrorplane/base';
import type { Policy, PolicyStatus } from '@mirrorplane/contract';
import { Computation, type Observation, type PolicyOutline, type PolicyPlan } from '@mirrorplane/planner';
import { allPoliciesOf, toPolicy } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { KeptObservation } from './kept-observation.ts';
import { outlineOf, planOf, type StatusParts, statusOf } from './policy-status.ts';

interface Kept {
  policy: Policy;
  plan: PolicyPlan;
  /** Reads what the outline follows from, apart from policy and plan. */
  computation: Computation;
  outline: PolicyOutline;
}

/**
 * Milliseconds of CPU time that a reader of many policies spends on statuses that have changed since
 * they were made last. In a cluster of some fifty policies that is all of them.
 */
export const FRESH_MS = 10;

/** How often statuses are made in steps that differ again when the steps are done. */
const MOST_ROUNDS = 3;

export class KeptStatuses {
  readonly #parts: StatusParts;
  readonly #observation: KeptObservation;
  /** By uid. */
  readonly #kept = new Map<string, Kept>();
  #sorted: readonly PolicyOutline[] = [];
  /** Whether a status has changed since `#sorted` was made. */
  #differs = false;
  /** Place of the policy that `freshen` has looked at last. */
  #next = -1;
  /** The plan when the observation was brought up to date last. */
  #planned: unknown;

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#observation = new KeptObservation(parts);
  }

  /** What nodes report, up to date. */
  observation(): Observation {
    return this.#observe();
  }

  /** The whole status of one policy. */
  one(stored: Stored<PolicyRecord>): PolicyStatus {
    const policy = toPolicy(stored);
    return statusOf(policy, planOf(policy, this.#parts), this.observation());
  }

  /** The same without its sources. The same object where nothing differs. */
  outline(stored: Stored<PolicyRecord>): PolicyOutline {
    const policy = toPolicy(stored);
    this.#observe();
    if (this.#isStale(policy)) {
      this.#make(policy);
    }
    return this.#kept.get(policy.uid)!.outline;
  }

  /**
   * The whole statuses of policies by name, made one after the other.
   * @param isWanted which policies, by their names
   */
  *whole(isWanted: (name: string) => boolean): Generator<PolicyStatus> {
    const observation = this.observation();
    const policies = allPoliciesOf(this.#parts.view).filter(({ name }) => isWanted(name));
    for (const policy of policies.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      yield statusOf(policy, planOf(policy, this.#parts), observation);
    }
  }

  /** All policies by name, as they are now. The same objects, and the same list, where nothing differs. */
  all(): readonly PolicyOutline[] {
    return atOnce(this.refresh());
  }

  /**
   * Makes the statuses that have changed, one at each step, so that others have their turn between
   * two steps. @returns at its end: as `kept`
   */
  *refresh(): Generator<undefined, readonly PolicyOutline[]> {
    yield* this.#observeInSteps();
    for (const { name } of allPoliciesOf(this.#parts.view)) {
      const policy = this.#policy(name);
      if (policy && this.#isStale(policy)) {
        this.#make(policy);
        yield;
      }
    }
    return yield* this.#keptInSteps();
  }

  /**
   * The same as long as it takes so much CPU time. The next call goes on behind the last status that
   * was made.
   * @param ms milliseconds
   * @returns at its end: as `kept`
   */
  *freshen(ms: number): Generator<undefined, readonly PolicyOutline[]> {
    yield* this.#observeInSteps();
    const policies = allPoliciesOf(this.#parts.view);
    let left = ms;
    for (let looked = 0; looked < policies.length && left > 0; looked++) {
      this.#next = (this.#next + 1) % policies.length;
      const policy = this.#policy(policies[this.#next]!.name);
      if (policy && this.#isStale(policy)) {
        const began = process.threadCpuUsage();
        this.#make(policy);
        const { user, system } = process.threadCpuUsage(began);
        left -= (user + system) / 1000;
        yield;
      }
    }
    return yield* this.#keptInSteps();
  }

  /**
   * All policies by name. One that an operator has changed, or that was planned otherwise, is as it is
   * now. The others are as they were made last.
   */
  kept(): readonly PolicyOutline[] {
    const others = this.#others();
    if (others.length > 0) {
      this.#observe();
    }
    for (const policy of others) {
      this.#make(policy);
    }
    return this.#list();
  }

  /** `kept`, one status at each step. Of what changes meanwhile, only the last is made in one turn. */
  *#keptInSteps(): Generator<undefined, readonly PolicyOutline[]> {
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const others = this.#others();
      for (const { name } of others) {
        const policy = this.#policy(name);
        if (policy && !this.#isOfNow(policy)) {
          this.#make(policy);
          yield;
        }
      }
      if (others.length === 0) {
        break;
      }
    }
    return this.kept();
  }

  /** Everything is made again with the next look: what follows from time alone is told by nobody. */
  spoil(): void {
    for (const { computation } of this.#kept.values()) {
      this.#observation.tracker.spoil(computation);
    }
  }

  /** All that are kept, by name. Policies that are not there any more are forgotten. */
  #list(): readonly PolicyOutline[] {
    const uids = new Set(allPoliciesOf(this.#parts.view).map(({ uid }) => uid));
    for (const [uid, { computation }] of this.#kept) {
      if (!uids.has(uid)) {
        this.#observation.tracker.drop(computation);
        this.#kept.delete(uid);
        this.#differs = true;
      }
    }
    if (this.#differs) {
      this.#sorted = [...this.#kept.values()].map(({ outline }) => outline).sort((a, b) => (a.name < b.name ? -1 : 1));
      this.#differs = false;
    }
    return this.#sorted;
  }

  #observe(): Observation {
    this.#planned = this.#parts.planning.planned;
    return this.#observation.update();
  }

  /** With the plan that was there at its beginning: a later one is taken over when a status is made. */
  *#observeInSteps(): Generator<undefined> {
    this.#planned = this.#parts.planning.planned;
    yield* this.#observation.updateInSteps();
  }

  /** A policy as it is now: between two steps, it may be changed or deleted. */
  #policy(name: string): Policy | undefined {
    const stored = this.#parts.view.get('policies', name);
    return stored && toPolicy(stored);
  }

  /** Policies that an operator has changed, or that were planned otherwise, since their statuses were made. */
  #others(): Policy[] {
    return allPoliciesOf(this.#parts.view).filter((policy) => !this.#isOfNow(policy));
  }

  /** Whether it was made of the policy and the plan as they are now. */
  #isOfNow(policy: Policy): boolean {
    const kept = this.#kept.get(policy.uid);
    return kept?.policy === policy && kept.plan === planOf(policy, this.#parts);
  }

  #isStale(policy: Policy): boolean {
    return !this.#isOfNow(policy) || this.#observation.tracker.isStale(this.#kept.get(policy.uid)!.computation);
  }

  #make(policy: Policy): void {
    // A plan that came between two steps was made of an inventory that may be newer, too.
    if (this.#planned !== this.#parts.planning.planned) {
      this.#observe();
    }
    const plan = planOf(policy, this.#parts);
    const kept = this.#kept.get(policy.uid);
    const computation = kept?.computation ?? new Computation();
    const outline = this.#observation.tracker.run(computation, () => outlineOf(policy, plan, this.#observation));
    this.#differs ||= outline !== kept?.outline;
    this.#kept.set(policy.uid, { policy, plan, computation, outline });
  }
}
