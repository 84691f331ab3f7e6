/**
 * Tells programs and their parts apart by content. Both ends of a connection compute the same of
 * the same JSON, so an agent keeps what it gets as it came. Each list is hashed once.
 */
import { createHash } from 'node:crypto';
import { ownOf, type PlannedProgram, type PolicyPart, partsOf, type SharedList } from './program-parts.ts';

const lists = new WeakMap<SharedList, string>();
const parts = new WeakMap<PolicyPart, string>();
const owns = new WeakMap<PlannedProgram, string>();
const programs = new WeakMap<PlannedProgram, string>();

/**
 * @returns SHA-256 in hex of a program without its revision. Equal programs have the same one,
 * whether or not they share objects
 */
export function programDigest(program: PlannedProgram): string {
  return once(programs, program, () => digestOf([ownDigest(program), ...partsOf(program).flatMap(nameAndDigest)]));
}

/** @returns SHA-256 in hex of what is not of policies, and not the revision */
export function ownDigest(program: PlannedProgram): string {
  return once(owns, program, () => digestOf([JSON.stringify(ownOf(program))]));
}

/** @returns SHA-256 in hex of the lists of a part */
export function partDigest(part: PolicyPart): string {
  const { captures, deliveries, terminations } = part;
  return once(parts, part, () => digestOf([captures, deliveries, terminations].map(listDigest)));
}

function nameAndDigest(part: PolicyPart): string[] {
  return [JSON.stringify(part.policy), partDigest(part)];
}

function listDigest(list: SharedList): string {
  return once(lists, list, () => digestOf([JSON.stringify(list)]));
}

function digestOf(texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) {
    hash.update(text);
  }
  return hash.digest('hex');
}

function once<T extends object>(known: WeakMap<T, string>, of: T, make: () => string): string {
  const found = known.get(of);
  if (found !== undefined) {
    return found;
  }
  const made = make();
  known.set(of, made);
  return made;
}
