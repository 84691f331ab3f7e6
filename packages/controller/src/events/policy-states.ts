/** Compares the states of policies with those that were told last. Pure but for what it remembers. */
import {
  type Event,
  type EventCause,
  type EventDraft,
  MAX_EVENT_REASONS,
  type PolicyState,
  type PolicyStatus,
  type StatusReason,
} from '@mirrorplane/contract';

interface Told {
  name: string;
  state: PolicyState;
  /** Codes and places of the reasons: their messages hold numbers that change all the time. */
  reasons: string;
  nodes: ReadonlySet<string>;
  /** `updatedAt` of the policy; undefined: not known, for it was told before this controller started. */
  updatedAt: string | undefined;
}

/** A policy with its status. */
export interface Judged {
  status: PolicyStatus;
  /** ISO 8601. */
  createdAt: string;
  updatedAt: string;
}

export class PolicyStates {
  readonly #told = new Map<string, Told>();
  readonly #since: string;

  /** @param since when the controller started, ISO 8601 */
  constructor(since: string) {
    this.#since = since;
  }

  /** Remembers what an earlier controller has told, so that a start by itself is no change. */
  resume(policies: Iterable<{ uid: string; name: string; createdAt: string }>, newestFirst: Iterable<Event>): void {
    const byName = new Map([...policies].map((policy) => [policy.name, policy]));
    for (const { kind, object, at, state, reasons = [], count } of newestFirst) {
      const policy = kind === 'policyStateChanged' ? byName.get(object.name) : undefined;
      // One that was created since then bears the name only.
      if (policy && state && at >= policy.createdAt && !this.#told.has(policy.uid)) {
        const nodes = nodesOf(reasons);
        const told = { name: object.name, state, reasons: digest(reasons, count ?? reasons.length), nodes };
        this.#told.set(policy.uid, { ...told, updatedAt: undefined });
      }
    }
  }

  /** The events that lead from what was told to what is now. Policies that are not among them are forgotten. */
  changes(judged: readonly Judged[]): EventDraft[] {
    const present = new Set(judged.map(({ status }) => status.uid));
    for (const uid of this.#told.keys()) {
      if (!present.has(uid)) {
        this.#told.delete(uid);
      }
    }
    return judged.flatMap(({ status, createdAt, updatedAt }): EventDraft[] => {
      const { uid, name, state } = status;
      const before = this.#told.get(uid);
      const reasons = status.reasons.slice(0, MAX_EVENT_REASONS);
      const now: Told = {
        name,
        state,
        reasons: digest(reasons, status.reasons.length),
        nodes: nodesOf(reasons),
        updatedAt,
      };
      this.#told.set(uid, now);
      if (before?.state === state && before.reasons === now.reasons) {
        return [];
      }
      const [first] = reasons;
      const byOperator = before ? (before.updatedAt ?? updatedAt) !== updatedAt : createdAt >= this.#since;
      return [
        {
          kind: 'policyStateChanged',
          object: { kind: 'policy', name },
          message: messageOf(status, before),
          cause: byOperator ? { kind: 'operator', name: 'admin' } : observedBy(now.nodes, before?.nodes),
          state,
          ...(before && { previousState: before.state }),
          ...(first && { code: first.code, reasons }),
          ...(status.reasons.length > reasons.length && { count: status.reasons.length }),
        },
      ];
    });
  }
}

function messageOf({ state, reasons }: PolicyStatus, before: Told | undefined): string {
  const step = before === undefined || before.state === state ? state : `${before.state} to ${state}`;
  const [first] = reasons;
  if (!first) {
    return step;
  }
  const more = reasons.length > 1 ? ` (and ${reasons.length - 1} more)` : '';
  return `${step}: ${first.message}${more}`;
}

/** The agent of the one node that the reasons that came or went are about; else the controller. */
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
