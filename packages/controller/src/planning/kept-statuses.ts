/**
 * The statuses of all policies, without their sources, kept from one moment to the next. A status is
 * made again only where something that it was made of has changed.
 */
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

export class KeptStatuses {
  readonly #parts: StatusParts;
  readonly #observation: KeptObservation;
  /** By uid. */
  readonly #kept = new Map<string, Kept>();
  #sorted: readonly PolicyOutline[] = [];

  constructor(parts: StatusParts) {
    this.#parts = parts;
    this.#observation = new KeptObservation(parts);
  }

  /** What nodes report, up to date. */
  observation(): Observation {
    return this.#observation.update();
  }

  /** The whole status of one policy. */
  one(stored: Stored<PolicyRecord>): PolicyStatus {
    const policy = toPolicy(stored);
    return statusOf(policy, planOf(policy, this.#parts), this.observation());
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
    for (const _ of this.refresh()) {
      // All at once.
    }
    return this.#sorted;
  }

  /**
   * Makes the statuses that have changed, one at each step, so that others have their turn between
   * two steps. @returns at its end: all policies by name
   */
  *refresh(): Generator<undefined, readonly PolicyOutline[]> {
    this.#observation.update();
    const policies = allPoliciesOf(this.#parts.view);
    let differs = this.#forgetOthers(policies);
    for (const policy of policies) {
      const before = this.#kept.get(policy.uid)?.outline;
      if (this.#look(policy)) {
        differs ||= this.#kept.get(policy.uid)!.outline !== before;
        yield;
      }
    }
    if (differs) {
      this.#sorted = [...this.#kept.values()].map(({ outline }) => outline).sort((a, b) => (a.name < b.name ? -1 : 1));
    }
    return this.#sorted;
  }

  /** Everything is made again with the next look: what follows from time alone is told by nobody. */
  spoil(): void {
    for (const { computation } of this.#kept.values()) {
      this.#observation.tracker.spoil(computation);
    }
  }

  #forgetOthers(policies: readonly Policy[]): boolean {
    const uids = new Set(policies.map(({ uid }) => uid));
    const gone = [...this.#kept.keys()].filter((uid) => !uids.has(uid));
    for (const uid of gone) {
      this.#observation.tracker.drop(this.#kept.get(uid)!.computation);
      this.#kept.delete(uid);
    }
    return gone.length > 0;
  }

  /** @returns whether the status was made */
  #look(policy: Policy): boolean {
    const { tracker } = this.#observation;
    const plan = planOf(policy, this.#parts);
    const kept = this.#kept.get(policy.uid);
    if (kept && kept.policy === policy && kept.plan === plan && !tracker.isStale(kept.computation)) {
      return false;
    }
    const computation = kept?.computation ?? new Computation();
    const outline = tracker.run(computation, () => outlineOf(policy, plan, this.#observation));
    this.#kept.set(policy.uid, { policy, plan, computation, outline });
    return true;
  }
}
