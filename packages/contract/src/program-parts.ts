/**
 * The parts that a node program is put together from: one for each policy, and what is the node's
 * own. Nobody changes a program or a part: programs share parts, and what is the same object is the
 * same content.
 */
import type { Capture, Delivery, NodeProgram, Termination } from './program.ts';

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

/** Captures, deliveries or terminations of a part. */
export type SharedList = readonly (Capture | Delivery | Termination)[];

/** A function of programs or parts of them that is computed once for each. They do not change. */
export function remembered<T extends object, R>(compute: (of: T) => R): (of: T) => R {
  const results = new WeakMap<T, { result: R }>();
  return (of) => {
    const known = results.get(of);
    if (known) {
      return known.result;
    }
    const result = compute(of);
    results.set(of, { result });
    return result;
  };
}

const partsOfPrograms = new WeakMap<object, readonly PolicyPart[]>();
const ownsOfPrograms = new WeakMap<object, OwnPart>();

type Lists = Pick<PlannedProgram, 'captures' | 'deliveries' | 'terminations'>;

/** A list of a program, joined when it is asked for first. A controller asks for parts alone. */
const joinedWhenAsked = (name: keyof Lists): PropertyDescriptor => ({
  configurable: true,
  enumerable: true,
  get(this: object) {
    const value = (partsOfPrograms.get(this) ?? []).flatMap((part): SharedList => part[name]);
    Object.defineProperty(this, name, { value, configurable: true, enumerable: true, writable: true });
    return value;
  },
});

const LISTS: Readonly<Record<keyof Lists, PropertyDescriptor>> = {
  captures: joinedWhenAsked('captures'),
  deliveries: joinedWhenAsked('deliveries'),
  terminations: joinedWhenAsked('terminations'),
};

/** @param parts sorted */
function joined<O extends OwnPart>(own: O, parts: readonly PolicyPart[]): O & Lists {
  const program = Object.defineProperties({ ...own }, LISTS) as O & Lists;
  partsOfPrograms.set(program, parts);
  return program;
}

/**
 * Puts a program together.
 * @param parts one for each policy, in any order. Empty ones are left out
 */
export function programOf(own: OwnPart, parts: Iterable<PolicyPart>): PlannedProgram {
  const sorted = sortedParts([...parts].filter((part) => !isEmpty(part)));
  const program = joined(own, sorted);
  ownsOfPrograms.set(program, own);
  return program;
}

/**
 * The parts of a program, sorted by policy. Programs share a part that is the same in both, so
 * that what differs is found without a look into equal parts.
 */
export function partsOf(program: PlannedProgram): readonly PolicyPart[] {
  const known = partsOfPrograms.get(program);
  if (known) {
    return known;
  }
  const parts = divide(program);
  partsOfPrograms.set(program, parts);
  return parts;
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

/** What is not of policies, in the order of its fields. */
export function ownOf(program: PlannedProgram): OwnPart {
  const known = ownsOfPrograms.get(program);
  if (known) {
    return known;
  }
  const { captures: _, deliveries: __, terminations: ___, ...own } = program;
  delete (own as Partial<NodeProgram>).revision;
  return own;
}

/** Gives a program its revision. Its parts stay the same objects. */
export function numbered(program: PlannedProgram, revision: number): NodeProgram {
  const own = ownOf(program);
  const result = joined({ ...own, revision }, partsOf(program));
  ownsOfPrograms.set(result, own);
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

/** By code unit. Ids begin with the uid and a slash, so this is the order of ids too. */
function sortedParts(parts: readonly PolicyPart[]): PolicyPart[] {
  const key = ({ policy }: PolicyPart) => `${policy}/`;
  return parts.toSorted((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0));
}

function isEmpty({ captures, deliveries, terminations }: PolicyPart): boolean {
  return captures.length + deliveries.length + terminations.length === 0;
}
