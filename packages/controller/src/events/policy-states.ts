/**
 * Compares the states of policies with those that were last reported. No I/O; it only keeps state.
 */
import {
  type Event,
  type EventCause,
  type EventDraft,
  MAX_EVENT_REASONS,
  type PolicyState,
  type PolicyStatus,
  type StatusReason,
} from '@mirrorplane/contract';

/** Milliseconds that nodes may be behind before this is reported. */
const PENDING_MS = 5000;

/** What of a status is reported. */
type Reported = Pick<PolicyStatus, 'uid' | 'name' | 'state' | 'reasons'>;

interface Told {
  name: string;
  state: PolicyState;
  /**
   * Codes and places of the reasons. Messages are left out, because their numbers change all the
   * time.
   */
  reasons: string;
  nodes: ReadonlySet<string>;
  /**
   * `updatedAt` of the policy. Undefined: unknown, because the state was reported before this
   * controller started.
   */
  updatedAt: string | undefined;
}

/** A policy with its status. */
export interface Judged {
  status: Reported;
  /** ISO 8601. */
  createdAt: string;
  updatedAt: string;
  /** Who made the last change of the policy. Undefined: it is not known any more. */
  changedBy?: () => EventCause | undefined;
}

export class PolicyStates {
  readonly #told = new Map<string, Told>();
  /** uid of a policy to the time since when its nodes are behind, milliseconds. */
  readonly #pending = new Map<string, number>();
  readonly #since: string;

  /** @param since start of the controller, ISO 8601 */
  constructor(since: string) {
    this.#since = since;
  }

  /** Remembers the reports of an earlier controller, so that a start alone is no change. */
  resume(policies: Iterable<{ uid: string; name: string; createdAt: string }>, newestFirst: Iterable<Event>): void {
    const byName = new Map([...policies].map((policy) => [policy.name, policy]));
    for (const { kind, object, at, state, reasons = [], count } of newestFirst) {
      const policy = kind === 'policyStateChanged' ? byName.get(object.name) : undefined;
      // A policy that was created later only has the same name.
      if (policy && state && at >= policy.createdAt && !this.#told.has(policy.uid)) {
        const nodes = nodesOf(reasons);
        const told = { name: object.name, state, reasons: digest(reasons, count ?? reasons.length), nodes };
        this.#told.set(policy.uid, { ...told, updatedAt: undefined });
      }
    }
  }

  /** True while a change is not reported yet, because it may not last. */
  get unsettled(): boolean {
    return this.#pending.size > 0;
  }

  /**
   * Events for changes since the last report. Policies that are not in the list are forgotten.
   * @param now milliseconds of a monotonic clock
   * @param awaited nodes whose agents should come back soon; policies of such nodes are not
   * reported yet
   */
  changes(judged: readonly Judged[], now: number, awaited: ReadonlySet<string>): EventDraft[] {
    const present = new Set(judged.map(({ status }) => status.uid));
    for (const map of [this.#told, this.#pending]) {
      for (const uid of map.keys()) {
        if (!present.has(uid)) {
          map.delete(uid);
        }
      }
    }
    return judged.flatMap(({ status, createdAt, updatedAt, changedBy }): EventDraft[] => {
      const { uid, name, state } = status;
      if (this.#isPassing(status, now) || waitsFor(status, awaited)) {
        return [];
      }
      const before = this.#told.get(uid);
      const reasons = status.reasons.slice(0, MAX_EVENT_REASONS);
      const is: Told = {
        name,
        state,
        reasons: digest(reasons, status.reasons.length),
        nodes: nodesOf(reasons),
        updatedAt,
      };
      this.#told.set(uid, is);
      if (before?.state === state && before.reasons === is.reasons) {
        return [];
      }
      const [first] = reasons;
      const isChanged = before ? (before.updatedAt ?? updatedAt) !== updatedAt : createdAt >= this.#since;
      return [
        {
          kind: 'policyStateChanged',
          object: { kind: 'policy', name },
          message: messageOf(status, before),
          cause: (isChanged ? changedBy?.() : undefined) ?? observedBy(is.nodes, before?.nodes),
          state,
          ...(before && { previousState: before.state }),
          ...(first && { code: first.code, reasons }),
          ...(status.reasons.length > reasons.length && { count: status.reasons.length }),
        },
      ];
    });
  }

  /** A node usually applies a new program within a moment. A delay is reported only if it lasts. */
  #isPassing({ uid, state, reasons }: Reported, now: number): boolean {
    if (state !== 'degraded' || !reasons.every(({ code }) => code === 'NODE_PENDING')) {
      this.#pending.delete(uid);
      return false;
    }
    const since = this.#pending.get(uid) ?? now;
    this.#pending.set(uid, since);
    return now - since < PENDING_MS;
  }
}

function waitsFor({ reasons }: Reported, awaited: ReadonlySet<string>): boolean {
  return reasons.some(({ code, node }) => {
    return node !== undefined && awaited.has(node) && (code === 'NODE_DISCONNECTED' || code === 'NODE_PENDING');
  });
}

function messageOf({ state, reasons }: Reported, before: Told | undefined): string {
  const step = before === undefined || before.state === state ? state : `${before.state} to ${state}`;
  const [first] = reasons;
  if (!first) {
    return step;
  }
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
  return `${step}: ${first.message}${more}`;
}

/**
 * The cause of a change: the agent of a node if all changed reasons are about this node, else the
 * controller.
 */
function observedBy(now: ReadonlySet<string>, before: ReadonlySet<string> = new Set()): EventCause {
  const changed = now.symmetricDifference(before);
  const [node, ...more] = changed.size > 0 ? changed : now;
  return node !== undefined && more.length === 0
    ? { kind: 'agent', name: node }
    : { kind: 'controller', name: 'controller' };
}

function digest(reasons: readonly StatusReason[], count: number): string {
  const places = reasons.map(({ code, interface: id = '', node = '' }) => `${code} ${id} ${node}`);
  return JSON.stringify([count, ...new Set(places.sort())]);
}

function nodesOf(reasons: readonly StatusReason[]): Set<string> {
  return new Set(reasons.flatMap(({ node }) => node ?? []));
}
