/** Which policies there are, and in which of them a node has a part: also those of before, for agents tell of an end later. */
import type { NodeProgram } from '@mirrorplane/contract';
import type { View } from '../store/view.ts';

/** How many policies that were deleted are remembered by name. */
const MAX_FORMER = 1000;

/** Names of policies by uid, also of those that were deleted while this controller ran: agents tell of their end later. */
export class PolicyNames {
  readonly #names = new Map<string, string>();

  /** Takes over what the view has now. */
  learn(view: View): void {
    const policies = view.all('policies');
    for (const { value } of policies.values()) {
      this.#names.set(value.uid, value.name);
    }
    for (const uid of this.#names.keys()) {
      if (this.#names.size <= policies.size + MAX_FORMER) {
        return;
      }
      const name = this.#names.get(uid)!;
      if (policies.get(name)?.value.uid !== uid) {
        this.#names.delete(uid);
      }
    }
  }

  get(uid: string): string | undefined {
    return this.#names.get(uid);
  }
}

/** Policies that were in the program of a node and are not now, of which it is remembered. */
const MAX_FORMER_OF_NODE = 4096;

/** The policies that a node has, or had, a part in, and what of them it was told. */
export class PoliciesOfNodes {
  readonly #uids = new Map<string, Set<string>>();
  /** Ids of captures, deliveries and terminations by node. */
  readonly #parts = new Map<string, Set<string>>();
  readonly #learned = new WeakSet<NodeProgram>();

  /** Takes over what is in the program of the node. */
  learn(node: string, program: NodeProgram | undefined): void {
    if (program === undefined || this.#learned.has(program)) {
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
  hasPart(node: string, id: string): boolean {
    return this.#parts.get(node)?.has(id) ?? false;
  }

  has(node: string, uid: string): boolean {
    return this.#uids.get(node)?.has(uid) ?? false;
  }

  forget(node: string): void {
    this.#uids.delete(node);
    this.#parts.delete(node);
  }
}

/** Adds what is present, and forgets what went first, but for MAX_FORMER_OF_NODE of it. */
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
