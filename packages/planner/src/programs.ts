/** The node programs that planning makes, and the parts that they are put together from. */
import {
  ownOf,
  type PlannedProgram,
  type PolicyPart,
  partsOf,
  programOf,
  type SharedList,
} from '@mirrorplane/contract';

export {
  numbered,
  type OwnPart,
  type PlannedProgram,
  type PolicyPart,
  partsOf,
  programOf,
  type SharedList,
} from '@mirrorplane/contract';

/** What the controller knows about the program in a node's kernel. */
export interface InForce {
  /** The program that the node has confirmed. Undefined: its content is unknown. */
  confirmed?: PlannedProgram;
  /** The program that the node was sent last. Undefined: unknown. */
  last?: PlannedProgram;
  /** All programs that the node may run: the confirmed one, and all that it was sent since. */
  possible: readonly PlannedProgram[];
  connected: boolean;
}

/**
 * A pair of nodes with ERSPAN between them: `delivery` in the program of `from`, `termination` in
 * that of `to`.
 */
export interface PathPlan {
  from: string;
  to: string;
  delivery: string;
  termination: string;
}

/** A function of programs or parts of them that is computed once for each. They do not change. */
export function remembered<T extends object, R>(compute: (of: T) => R): (of: T) => R {
  const results = new WeakMap<T, { result: R }>();
  return (of) => {
    const known = results.get(of) ?? { result: compute(of) };
    results.set(of, known);
    return known.result;
  };
}

const byPolicy = remembered((parts: readonly PolicyPart[]) => new Map(parts.map((part) => [part.policy, part])));

/** The part of a policy in a program. Undefined: it has none. */
export function partOf(program: PlannedProgram, policy: string): PolicyPart | undefined {
  return byPolicy(partsOf(program)).get(policy);
}

/** Ids of a list of a part. Programs that share the list share them. */
export const idsOf: (list: SharedList) => ReadonlySet<string> = remembered(
  (list: SharedList) => new Set(list.map(({ id }) => id)),
);

/**
 * The same program with other parts in place of some. `change` returns the same object for each
 * part that stays.
 */
export function withParts(program: PlannedProgram, change: (part: PolicyPart) => PolicyPart): PlannedProgram {
  const before = partsOf(program);
  const parts = before.map(change);
  if (parts.every((part, index) => part === before[index])) {
    return program;
  }
  return programOf(ownOf(program), parts);
}

/** The same program with parts of more policies. */
export function withMore(program: PlannedProgram, parts: readonly PolicyPart[]): PlannedProgram {
  return programOf(ownOf(program), [...partsOf(program), ...parts]);
}

/** Whether two parts have the same lists: the same objects. */
export function samePart(a: PolicyPart, b: PolicyPart): boolean {
  return a.captures === b.captures && a.deliveries === b.deliveries && a.terminations === b.terminations;
}

/** JSON of a list of a part, which is made once. */
export const textOf: (list: SharedList) => string = remembered(JSON.stringify);
