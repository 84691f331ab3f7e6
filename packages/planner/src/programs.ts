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
  idsOf,
  numbered,
  type OwnPart,
  type PlannedProgram,
  type PolicyPart,
  partOf,
  partsOf,
  programOf,
  remembered,
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

const texts = new WeakMap<SharedList, WeakRef<{ text: string }>>();

/**
 * JSON of a list of a part. All nodes that have the list are told the same text, so it is kept until the
 * next collection of all garbage: texts of a large cluster that nobody asks for would take tens of MiB.
 */
export function textOf(list: SharedList): string {
  const known = texts.get(list)?.deref();
  if (known) {
    return known.text;
  }
  const text = JSON.stringify(list);
  texts.set(list, new WeakRef({ text }));
  return text;
}
