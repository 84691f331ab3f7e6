/** Which policies there are, and in which of them a node has a part: also those of before, for agents tell of an end later. */
import type { NodeProgram } from '@mirrorplane/contract';
import type { View } from '../view.ts';

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

/** Uids of the policies that a node has, or had, a part in. */
export class PoliciesOfNodes {
  readonly #uids = new Map<string, Set<string>>();
  readonly #learned = new WeakSet<NodeProgram>();

  /** Takes over what is in the program of the node. */
  learn(node: string, program: NodeProgram | undefined): void {
    if (program === undefined || this.#learned.has(program)) {
      return;
    }
    this.#learned.add(program);
    const uids = this.#uids.get(node) ?? new Set<string>();
    this.#uids.set(node, uids);
    const present = [program.captures, program.deliveries, program.terminations].flatMap((list) =>
      list.map(({ policy }) => policy),
    );
    for (const uid of present) {
      uids.delete(uid);
      uids.add(uid);
    }
    const keep = new Set(present).size + MAX_FORMER_OF_NODE;
    for (const uid of uids) {
      if (uids.size <= keep) {
        return;
      }
      uids.delete(uid);
    }
  }

  has(node: string, uid: string): boolean {
    return this.#uids.get(node)?.has(uid) ?? false;
  }

  forget(node: string): void {
    this.#uids.delete(node);
  }
}
