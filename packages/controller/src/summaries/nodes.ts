/** Nodes in a few fields each, however many devices they have. */
import { MAX_SUMMARY_ITEMS, type NodeState, type NodeSummary } from '@mirrorplane/contract';
import type { History } from '../history/history.ts';
import { rateOf } from '../history/rates.ts';
import { endingOn } from '../planning/ending.ts';
import { nodeProblems, shownProblem } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { NodeRecord } from '../store/records.ts';
import type { Stored, View } from '../store/view.ts';

interface Parts {
  view: View;
  live: LiveNodes;
  history: History;
}

/**
 * A node, and what its agent has said. Of many nodes, few are shown: a summary is made each time that
 * it is asked for.
 */
export class NodeEntry {
  readonly #stored: Stored<NodeRecord>;
  readonly #parts: Parts;
  readonly #node: LiveNode | undefined;

  constructor(stored: Stored<NodeRecord>, parts: Parts) {
    this.#stored = stored;
    this.#parts = parts;
    this.#node = parts.live.get(stored.value.name);
  }

  get name(): string {
    return this.#stored.value.name;
  }

  get pool(): string {
    return this.#stored.value.pool;
  }

  get domain(): string | undefined {
    return this.#parts.view.get('pools', this.pool)?.value.domain;
  }

  get state(): NodeState {
    return stateOfNode(this.#node, this.#parts.view.get('programs', this.name)?.value.revision);
  }

  get reported(): Pick<Partial<LiveNode>, 'underlay' | 'kernel' | 'agentVersion' | 'lastSeenAt'> {
    return this.#node ?? {};
  }

  get interfaceCount(): number {
    return this.#node?.granted.size ?? 0;
  }

  get problemCount(): number {
    return this.#node ? nodeProblems(this.#node, this.#parts.live.now()).length : 0;
  }

  /** The first problems, as the summary has them. */
  get problems(): NodeSummary['problems'] {
    return this.#node ? shownProblems(this.#node, this.#parts) : [];
  }

  get summary(): NodeSummary {
    return summaryOf(this.#stored, this.#parts);
  }
}

/** All nodes that are registered. */
export function nodeEntries(parts: Parts): NodeEntry[] {
  return [...parts.view.all('nodes').values()].map((stored) => new NodeEntry(stored, parts));
}

function shownProblems(node: LiveNode, { live }: Parts): NodeSummary['problems'] {
  return nodeProblems(node, live.now()).slice(0, MAX_SUMMARY_ITEMS).map(shownProblem);
}

function summaryOf(
  { value: { name, pool }, revision }: Stored<NodeRecord>,
  { view, live, history }: Parts,
): NodeSummary {
  const node = live.get(name);
  const track = history.node(name);
  const domain = view.get('pools', pool)?.value.domain;
  const programRevision = view.get('programs', name)?.value.revision;
  const problems = node ? nodeProblems(node, live.now()) : [];
  return {
    name,
    pool,
    ...(domain !== undefined && { domain }),
    state: stateOfNode(node, programRevision),
    ...reportedOf(node),
    ...(programRevision !== undefined && { programRevision }),
    problems: problems.slice(0, MAX_SUMMARY_ITEMS).map(shownProblem),
    problemCount: problems.length,
    deviceCount: node?.devices.length ?? 0,
    interfaceCount: node?.granted.size ?? 0,
    captureCount: (node?.captures ?? []).filter(({ state }) => state === 'capturing').length,
    rates: {
      copied: rateOf(track, 'copied'),
      delivered: rateOf(track, 'delivered'),
      sent: rateOf(track, 'sent'),
      arrived: rateOf(track, 'arrived'),
    },
    budgets: node?.budgets.slice() ?? [],
    endingCount: node ? endingOn(node, view).length : 0,
    revision,
  };
}

/** @param programRevision of the program that it should run */
export function stateOfNode(node: LiveNode | undefined, programRevision: number | undefined): NodeState {
  if (!node?.connected) {
    return 'disconnected';
  }
  const isBehind = node.appliedRevision === undefined || node.appliedRevision < (programRevision ?? 0);
  return isBehind ? 'pending' : 'ready';
}

const REPORTED = [
  'underlay',
  'agentVersion',
  'kernel',
  'hook',
  'lastSeenAt',
  'certificateEndsAt',
  'appliedRevision',
] as const satisfies readonly (keyof LiveNode & keyof NodeSummary)[];

/** What the agent has said, as far as it has. */
function reportedOf(node: LiveNode | undefined): Partial<NodeSummary> {
  const known = REPORTED.filter((field) => node?.[field] !== undefined);
  return Object.fromEntries(known.map((field) => [field, node![field]]));
}
