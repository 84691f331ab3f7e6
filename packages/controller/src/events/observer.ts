/** Sees what changes by itself, agents and interfaces and the states of policies, and tells of it. */
import type { EventDraft, EventsMessage, NodeProblem, NodeProgram, PolicyStatus } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { tellContests } from '../inventory/contests.ts';
import type { Planned, Planning } from '../planning/planning.ts';
import { judgedNode } from '../reports/found-problems.ts';
import { GRACE_MS, type LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { agentEvent } from './agent-events.ts';
import { HandoverCosts } from './handover-costs.ts';
import { interfaceStep, type Whereabouts } from './interface-changes.ts';
import type { EventLog } from './log.ts';
import { NodeProblems } from './node-problems.ts';
import { PoliciesOfNodes, PolicyNames } from './policy-names.ts';
import { PolicyStates } from './policy-states.ts';

/** Milliseconds of quiet before states are compared, so that a step in between is not told; and the longest wait. */
const QUIET_MS = 150;
const LONGEST_MS = 1000;
/** Milliseconds between comparisons that only counters ask for. */
const COUNTERS_MS = 5000;
/** Milliseconds between comparisons that nothing asks for: time itself brings the end of certificates. */
const PASSING_MS = 60_000;
/** Comparing takes at most one part in so many of the time. */
const SHARE = 10;

interface Parts {
  events: EventLog;
  view: View;
  live: LiveNodes;
  planning: Planning;
  log: Logger;
  /** Milliseconds since 1970. */
  clock: () => number;
  /** The status of every policy now. */
  statuses: () => PolicyStatus[];
}

export class EventObserver {
  readonly #parts: Parts;
  readonly #names = new PolicyNames();
  readonly #policies = new PoliciesOfNodes();
  readonly #costs = new HandoverCosts();
  readonly #states: PolicyStates;
  readonly #problems = new NodeProblems();
  readonly #interfaces = new Map<string, Whereabouts>();
  /** After a start, nodes whose agents may be about to come back: until the grace is over their absence is no news. */
  readonly #awaited: Set<string>;
  readonly #grace: NodeJS.Timeout;
  readonly #counting: NodeJS.Timeout;
  readonly #passing: NodeJS.Timeout;
  #first = true;
  #timer: NodeJS.Timeout | undefined;
  #askedAt: number | undefined;
  #notBefore = 0;
  #countersSeen = '';
  #closed = false;

  /** To be made before the first planning: what that one finds is where everything stands. */
  constructor(parts: Parts) {
    const { view, live, planning, events, clock } = parts;
    this.#parts = parts;
    this.#states = new PolicyStates(new Date(clock()).toISOString());
    this.#states.resume(
      [...view.all('policies').values()].map(({ value }) => value),
      events.newestFirst(),
    );
    this.#problems.resume(new Set(view.all('nodes').keys()), events.newestFirst());
    this.#awaited = new Set([...live.all().keys()].filter((name) => view.get('nodes', name)));
    this.#grace = setTimeout(() => {
      this.#awaited.clear();
      this.#ask();
    }, GRACE_MS).unref();
    planning.onPlanned((planned) => this.#planned(planned));
    this.#counting = setInterval(() => this.#counted(), COUNTERS_MS).unref();
    this.#passing = setInterval(() => this.#ask(), PASSING_MS).unref();
  }

  /** The agent of the node is connected. */
  connected(node: string): void {
    const version = this.#parts.live.get(node)?.agentVersion;
    this.#tellOfNode('nodeConnected', node, `the agent is connected${version === undefined ? '' : `, ${version}`}`);
  }

  /** It is connected no more. */
  disconnected(node: string): void {
    this.#tellOfNode('nodeDisconnected', node, 'the agent is not connected any more');
  }

  /** An agent of the node was turned away. */
  rejected(node: string, { code, message }: NodeProblem): void {
    const object = { kind: 'node', name: node } as const;
    const cause = { kind: 'controller', name: 'controller' } as const;
    void this.#parts.events.note({ kind: 'nodeRejected', object, code, message, cause });
    this.#ask();
  }

  /** The agent of the node has reported what its kernel runs. */
  reported(node: string): void {
    this.#awaited.delete(node);
    this.#ask();
  }

  /** Takes what an agent tells. @returns the number of the last event, when all up to it are kept */
  take(node: string, { epoch, events }: EventsMessage): Promise<number> {
    const { events: log, view, live, planning, clock } = this.#parts;
    this.#names.learn(view);
    this.#policies.learn(node, planning.planned?.programs.get(node));
    const teller = {
      node,
      hasInterface: (id: string) => live.hasHad(node, id),
      policyName: (uid: string) => (this.#policies.has(node, uid) ? this.#names.get(uid) : undefined),
      isNode: (name: string) => view.get('nodes', name) !== undefined,
      heardBefore: live.get(node)?.heardBefore,
      now: clock(),
    };
    return log.take(node, epoch, events, (event) => {
      const draft = agentEvent(event, teller);
      if (draft === undefined) {
        return undefined;
      }
      const measured = this.#costs.take(draft);
      // Behind the event that completes it.
      if (measured.length > 0) {
        setImmediate(() => void this.#parts.events.note(...measured));
      }
      return draft;
    });
  }

  /** Takes over in which policies the node has a part now. */
  learn(node: string, program: NodeProgram): void {
    this.#policies.learn(node, program);
  }

  /** Whether the node has, or had, a part in the policy. */
  hasPart(node: string, uid: string): boolean {
    this.#policies.learn(node, this.#parts.planning.planned?.programs.get(node));
    return this.#policies.has(node, uid);
  }

  /** Whether a program of the node has, or had, a capture, delivery or termination with this id. */
  wasTold(node: string, id: string): boolean {
    return this.#policies.hasPart(node, id);
  }

  /** The node reports counters that cannot be its own. */
  countersRefused(name: string, message: string): void {
    const object = { kind: 'node', name } as const;
    const cause = { kind: 'controller', name: 'controller' } as const;
    void this.#parts.events.note({ kind: 'countersRefused', object, code: 'COUNTERS_REFUSED', message, cause });
    this.#ask();
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#policies.forget(node);
    this.#parts.events.forget(node);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    clearTimeout(this.#grace);
    clearInterval(this.#counting);
    clearInterval(this.#passing);
  }

  #tellOfNode(kind: EventDraft['kind'], name: string, message: string): void {
    if (!this.#closed) {
      void this.#parts.events.note({ kind, object: { kind: 'node', name }, message, cause: { kind: 'agent', name } });
      this.#ask();
    }
  }

  #planned({ inventory }: Planned): void {
    this.#names.learn(this.#parts.view);
    const drafts: EventDraft[] = [];
    const present = new Set<string>();
    for (const item of inventory.interfaces) {
      const { events, next } = interfaceStep(this.#interfaces.get(item.id), item);
      present.add(item.id);
      if (!this.#first) {
        drafts.push(...events);
      }
      this.#interfaces.set(item.id, next);
    }
    for (const id of this.#interfaces.keys()) {
      if (!present.has(id)) {
        this.#interfaces.delete(id);
      }
    }
    // What stood already when the controller was started is no news.
    const contested = tellContests(inventory.contests, this.#parts.live);
    drafts.push(...(this.#first ? [] : contested));
    this.#first = false;
    void this.#parts.events.note(...drafts);
    this.#ask();
  }

  #counted(): void {
    const seen = [...this.#parts.live.all().values()].map(({ countersAt }) => countersAt).join();
    if (seen !== this.#countersSeen) {
      this.#countersSeen = seen;
      this.#ask();
    }
  }

  /** Compares soon, once for all that asks until then. */
  #ask(): void {
    if (this.#closed) {
      return;
    }
    const now = performance.now();
    this.#askedAt ??= now;
    const at = Math.max(Math.min(now + QUIET_MS, this.#askedAt + LONGEST_MS), this.#notBefore);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#compare(), at - now).unref();
  }

  #compare(): void {
    this.#askedAt = undefined;
    const now = performance.now();
    const { view, live, events, statuses, log } = this.#parts;
    try {
      const judged = statuses().flatMap((status) => {
        const policy = view.get('policies', status.name)?.value;
        return policy ? [{ status, createdAt: policy.createdAt, updatedAt: policy.updatedAt }] : [];
      });
      const nodes = [...view.all('nodes').keys()].flatMap((name) => live.get(name) ?? []);
      const changes = this.#states.changes(judged, now, this.#awaited);
      void events.note(
        ...changes,
        ...this.#problems.changes(
          nodes.map((node) => judgedNode(node, live.now())),
          now,
        ),
      );
    } catch (error) {
      log.error({ err: error }, 'states of policies and nodes not compared');
    }
    const took = performance.now() - now;
    this.#notBefore = now + took * SHARE;
    if (this.#states.unsettled || this.#problems.unsettled) {
      this.#timer = setTimeout(() => this.#ask(), LONGEST_MS).unref();
    }
  }
}
