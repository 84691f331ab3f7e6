/** The node programs that planning makes, and the parts that they are put together from. */
import type { Capture, Delivery, NodeProgram, Termination } from '@mirrorplane/contract';
import { byText } from './order.ts';

/** A node program, before the controller numbers it. */
export type PlannedProgram = Omit<NodeProgram, 'revision'>;

/**
 * What one policy has in the program of one node. Lists are sorted by id. Nobody changes them:
 * programs share them.
 */
export interface PolicyPart {
  /** uid of the policy. */
  policy: string;
  captures: readonly Capture[];
  deliveries: readonly Delivery[];
  terminations: readonly Termination[];
}

/** What is in the program of a node alone. */
export type OwnPart = Omit<PlannedProgram, 'captures' | 'deliveries' | 'terminations'>;

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

/** Captures, deliveries or terminations of a part. */
export type SharedList = readonly (Capture | Delivery | Termination)[];

const partsOfPrograms = new WeakMap<object, readonly PolicyPart[]>();

/**
 * Puts a program together.
 * @param parts one for each policy, in any order. Empty ones are left out
 */
export function programOf(own: OwnPart, parts: Iterable<PolicyPart>): PlannedProgram {
  const sorted = sortedParts([...parts].filter((part) => !isEmpty(part)));
  const program = {
    ...own,
    captures: sorted.flatMap(({ captures }) => captures),
    deliveries: sorted.flatMap(({ deliveries }) => deliveries),
    terminations: sorted.flatMap(({ terminations }) => terminations),
  };
  partsOfPrograms.set(program, sorted);
  return program;
}

/**
 * The parts of a program, sorted by policy. Programs share a part that is the same in both, so
 * that what differs is found without a look into equal parts.
 */
export function partsOf(program: PlannedProgram): readonly PolicyPart[] {
  const known = partsOfPrograms.get(program) ?? divide(program);
  partsOfPrograms.set(program, known);
  return known;
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

/** What is not of policies. */
export function ownOf(program: PlannedProgram): OwnPart {
  const { captures: _, deliveries: __, terminations: ___, ...own } = program;
  return own;
}

/** Gives a program its revision. Its parts stay the same objects. */
export function numbered(program: PlannedProgram, revision: number): NodeProgram {
  const result = { ...program, revision };
  partsOfPrograms.set(result, partsOf(program));
  return result;
}

function divide(program: PlannedProgram): readonly PolicyPart[] {
  const parts = new Map<string, { captures: Capture[]; deliveries: Delivery[]; terminations: Termination[] }>();
  const part = (uid: string) => {
    const found = parts.get(uid) ?? { captures: [], deliveries: [], terminations: [] };
    parts.set(uid, found);
    return found;
  };
  for (const capture of program.captures) {
    part(capture.policy).captures.push(capture);
  }
  for (const delivery of program.deliveries) {
    part(delivery.policy).deliveries.push(delivery);
  }
  for (const termination of program.terminations) {
    part(termination.policy).terminations.push(termination);
  }
  return sortedParts([...parts].map(([policy, lists]) => ({ policy, ...lists })));
}

/** Ids begin with the uid and a slash, so this is the order of ids too. */
function sortedParts(parts: readonly PolicyPart[]): PolicyPart[] {
  return parts.toSorted((a, b) => byText(`${a.policy}/`, `${b.policy}/`));
}

function isEmpty({ captures, deliveries, terminations }: PolicyPart): boolean {
  return captures.length + deliveries.length + terminations.length === 0;
}

/** Whether two parts have the same lists: the same objects. */
export function samePart(a: PolicyPart, b: PolicyPart): boolean {
  return a.captures === b.captures && a.deliveries === b.deliveries && a.terminations === b.terminations;
}

/** JSON of a list of a part, which is made once. */
export const textOf: (list: SharedList) => string = remembered(JSON.stringify);
