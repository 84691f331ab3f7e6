/** Remembers the policies in which a node has or had a part, because agents report an end later. */
import { type NodeProgram, policyOfId } from '@mirrorplane/contract';
import { idsOf, type PolicyPart, partOf, partsOf } from '@mirrorplane/planner';
import type { Planning } from './planning.ts';

/** The most earlier policies, and the most ids of earlier parts, that are remembered for a node. */
const MAX_FORMER_OF_NODE = 4096;

/** Where programs are planned. */
type Plans = Pick<Planning, 'planned' | 'onPlanned'>;

/** What is remembered of a node. */
interface Known {
  /** The last program that was learned. */
  program: NodeProgram;
  /** Policies of earlier programs, the latest last. */
  uids: Set<string>;
  /** Ids of captures, deliveries and terminations of earlier programs, the latest last. */
  ids: Set<string>;
}

/** For each node: policies, and ids of their parts, in its current and earlier programs. */
export class NodeParts {
  readonly #planning: Plans;
  readonly #known = new Map<string, Known>();

  /**
   * Learns from every plan, the first one too. A node may have a program that this controller has
   * never sent it: the same one, from before a restart of the controller.
   */
  constructor(planning: Plans) {
    this.#planning = planning;
    planning.onPlanned(({ programs }) => {
      for (const [node, program] of programs) {
        this.learn(node, program);
      }
    });
  }

  /** Adds the parts of a node's program. */
  learn(node: string, program: NodeProgram): void {
    const known = this.#known.get(node);
    if (known === undefined) {
      this.#known.set(node, { program, uids: new Set(), ids: new Set() });
      return;
    }
    if (known.program === program) {
      return;
    }
    for (const part of partsOf(known.program)) {
      const now = partOf(program, part.policy);
      if (now !== part) {
        addNewest(known.ids, leavingIds(part, now));
      }
      if (now === undefined) {
        addNewest(known.uids, [part.policy]);
      }
    }
    known.program = program;
  }

  /** Whether a program of the node has, or had, a capture, delivery or termination with this id. */
  wasTold(node: string, id: string): boolean {
    const known = this.#known.get(node);
    if (known === undefined) {
      return false;
    }
    const part = partOf(known.program, policyOfId(id) ?? '');
    return known.ids.has(id) || (part !== undefined && lists(part).some((list) => idsOf(list).has(id)));
  }

  /** Whether the node has, or had, a part in the policy. */
  hasPolicy(node: string, uid: string): boolean {
    const program = this.#planning.planned?.programs.get(node);
    if (program) {
      this.learn(node, program);
    }
    const known = this.#known.get(node);
    return known !== undefined && (known.uids.has(uid) || partOf(known.program, uid) !== undefined);
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#known.delete(node);
  }
}

function lists({ captures, deliveries, terminations }: PolicyPart) {
  return [captures, deliveries, terminations];
}

/** Ids of a part that its successor has not. */
function leavingIds(part: PolicyPart, now: PolicyPart | undefined): string[] {
  const stay = now ? lists(now).map(idsOf) : [];
  return lists(part).flatMap((list, at) =>
    stay[at] === idsOf(list) ? [] : [...idsOf(list)].filter((id) => !stay[at]?.has(id)),
  );
}

/** Adds items as the latest ones, and forgets the oldest. */
function addNewest(all: Set<string>, items: readonly string[]): void {
  for (const item of items) {
    all.delete(item);
    all.add(item);
  }
  for (const item of all) {
    if (all.size <= MAX_FORMER_OF_NODE) {
      return;
    }
    all.delete(item);
  }
}
