/** Remembers the policies in which a node has or had a part, because agents report an end later. */
import type { NodeProgram } from '@mirrorplane/contract';

/** The most earlier policies that are remembered for a node. */
const MAX_FORMER_OF_NODE = 4096;

/** For each node: policies, and ids of their parts, in its current and earlier programs. */
export class NodeParts {
  readonly #planned: (node: string) => NodeProgram | undefined;
  readonly #uids = new Map<string, Set<string>>();
  /** Ids of captures, deliveries and terminations by node. */
  readonly #parts = new Map<string, Set<string>>();
  readonly #learned = new WeakSet<NodeProgram>();

  /** @param planned the program of a node in the last plan, which the node may already have */
  constructor(planned: (node: string) => NodeProgram | undefined) {
    this.#planned = planned;
  }

  /** Adds the parts of a node's program. */
  learn(node: string, program: NodeProgram): void {
    if (this.#learned.has(program)) {
      return;
    }
    this.#learned.add(program);
    const parts = [...program.captures, ...program.deliveries, ...program.terminations];
    addNewest(
      this.#uids,
      node,
      parts.map(({ policy }) => policy),
    );
    addNewest(
      this.#parts,
      node,
      parts.map(({ id }) => id),
    );
  }

  /** Whether a program of the node has, or had, a capture, delivery or termination with this id. */
  wasTold(node: string, id: string): boolean {
    return this.#parts.get(node)?.has(id) ?? false;
  }

  /** Whether the node has, or had, a part in the policy. */
  hasPolicy(node: string, uid: string): boolean {
    const program = this.#planned(node);
    if (program) {
      this.learn(node, program);
    }
    return this.#uids.get(node)?.has(uid) ?? false;
  }

  /** The node is deleted. */
  forget(node: string): void {
    this.#uids.delete(node);
    this.#parts.delete(node);
  }
}

/** Adds present items, and forgets the oldest absent ones beyond MAX_FORMER_OF_NODE. */
function addNewest(of: Map<string, Set<string>>, node: string, present: readonly string[]): void {
  const all = of.get(node) ?? new Set<string>();
  of.set(node, all);
  for (const one of present) {
    all.delete(one);
    all.add(one);
  }
  const keep = new Set(present).size + MAX_FORMER_OF_NODE;
  for (const one of all) {
    if (all.size <= keep) {
      return;
    }
    all.delete(one);
  }
}
