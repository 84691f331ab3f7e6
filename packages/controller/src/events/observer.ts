/** Reports changes that no operator makes: of agents, interfaces, and states of policies. */
import { inTurnsBeside } from '@mirrorplane/base';
import type { EventDraft, NodeProblem } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import type { Planned, Planning } from '../planning/planning.ts';
import { judgedNode } from '../reports/found-problems.ts';
import { GRACE_MS, type LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';
import { ComparisonTimer } from './comparison-timer.ts';
import { InterfaceWatch } from './interface-watch.ts';
import type { EventLog } from './log.ts';
import { NodeProblems } from './node-problems.ts';
import { lastChangeOf } from './policy-changes.ts';
import { PolicyStates } from './policy-states.ts';

/** Milliseconds between comparisons after new counters. */
const COUNTERS_MS = 5000;
/** Milliseconds between comparisons without a request, because certificates end by time alone. */
const PASSING_MS = 60_000;

interface Parts {
  events: EventLog;
  view: View;
  live: LiveNodes;
  planning: Planning;
  log: Logger;
  /** Milliseconds since 1970. */
  clock: () => number;
  statuses: KeptStatuses;
}

export class EventObserver {
  readonly #parts: Parts;
  readonly #states: PolicyStates;
  readonly #problems = new NodeProblems();
  readonly #interfaces: InterfaceWatch;
  readonly #comparisons = new ComparisonTimer(() => this.#compare());
  /**
   * After a start: nodes whose agents may come back soon. Their absence is not reported during the
   * grace period.
   */
  readonly #awaited: Set<string>;
  readonly #grace: NodeJS.Timeout;
  readonly #counting: NodeJS.Timeout;
  readonly #passing: NodeJS.Timeout;
  #countersSeen = '';
  #closed = false;

  /** Must be made before the first planning, whose result is the initial state. */
  constructor(parts: Parts) {
    const { view, live, planning, events, clock } = parts;
    this.#parts = parts;
    this.#interfaces = new InterfaceWatch(live);
    this.#states = new PolicyStates(new Date(clock()).toISOString());
    this.#states.resume(
      [...view.all('policies').values()].map(({ value }) => value),
      events.newestFirst(),
    );
    this.#problems.resume(new Set(view.all('nodes').keys()), events.newestFirst());
    this.#awaited = new Set([...live.all().keys()].filter((name) => view.get('nodes', name)));
    this.#grace = setTimeout(() => {
      this.#awaited.clear();
      this.#comparisons.ask();
    }, GRACE_MS).unref();
    planning.onPlanned((planned) => this.#planned(planned));
    this.#counting = setInterval(() => this.#counted(), COUNTERS_MS).unref();
    this.#passing = setInterval(() => {
      this.#parts.statuses.spoil();
      this.#comparisons.ask();
    }, PASSING_MS).unref();
  }

  /** The agent of the node is connected. */
  connected(node: string): void {
    const version = this.#parts.live.get(node)?.agentVersion;
    this.#tellOfNode('nodeConnected', node, `the agent is connected${version === undefined ? '' : `, ${version}`}`);
  }

  /** The agent of the node has disconnected. */
  disconnected(node: string): void {
    this.#tellOfNode('nodeDisconnected', node, 'the agent is no longer connected');
  }

  /** An agent of the node was refused. */
  rejected(node: string, problem: NodeProblem): void {
    this.#tellRefused('nodeRejected', node, problem);
  }

  /** The agent of the node has reported what its kernel runs. */
  reported(node: string): void {
    this.#awaited.delete(node);
    this.#comparisons.ask();
  }

  /** The node has reported counters that cannot be its own. */
  countersRefused(node: string, message: string): void {
    this.#tellRefused('countersRefused', node, { code: 'COUNTERS_REFUSED', message });
  }

  close(): void {
    this.#closed = true;
    this.#comparisons.close();
    clearTimeout(this.#grace);
    clearInterval(this.#counting);
    clearInterval(this.#passing);
  }

  #tellOfNode(kind: EventDraft['kind'], name: string, message: string): void {
    if (!this.#closed) {
      void this.#parts.events.note({ kind, object: { kind: 'node', name }, message, cause: { kind: 'agent', name } });
      this.#comparisons.ask();
    }
  }

  #tellRefused(kind: EventDraft['kind'], name: string, { code, message }: NodeProblem): void {
    const object = { kind: 'node', name } as const;
    const cause = { kind: 'controller', name: 'controller' } as const;
    void this.#parts.events.note({ kind, object, code, message, cause });
    this.#comparisons.ask();
  }

  #planned({ inventory }: Planned): void {
    void this.#parts.events.noteAll(this.#interfaces.changes(inventory));
    this.#comparisons.ask();
  }

  #counted(): void {
    const seen = [...this.#parts.live.all().values()].map(({ countersAt }) => countersAt).join();
    if (seen !== this.#countersSeen) {
      this.#countersSeen = seen;
      this.#comparisons.ask();
    }
  }

  /** Resolves with whether a change is waiting until it has lasted long enough. */
  async #compare(): Promise<boolean> {
    const { view, live, events, statuses, log } = this.#parts;
    try {
      const current = await inTurnsBeside(statuses.refresh());
      if (this.#closed) {
        return false;
      }
      const now = performance.now();
      const judged = current.flatMap((status) => {
        const policy = view.get('policies', status.name)?.value;
        const changedBy = () => lastChangeOf(status.name, events.newestFirst());
        return policy ? [{ status, createdAt: policy.createdAt, updatedAt: policy.updatedAt, changedBy }] : [];
      });
      const nodes = [...view.all('nodes').keys()].flatMap((name) => live.get(name) ?? []);
      const changes = this.#states.changes(judged, now, this.#awaited);
      const problems = nodes.map((node) => judgedNode(node, live.now()));
      void events.noteAll([...changes, ...this.#problems.changes(problems, now)]);
    } catch (error) {
      log.error({ err: error }, 'states of policies and nodes not compared');
    }
    return this.#states.unsettled || this.#problems.unsettled;
  }
}
