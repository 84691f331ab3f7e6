/**
 * Tells programs apart by their content. Programs share lists, and each list is written and hashed
 * once.
 */
import { createHash } from 'node:crypto';
import { type PlannedProgram, type PolicyPart, partsOf, type SharedList, textOf } from '@mirrorplane/planner';

const lists = new WeakMap<SharedList, string>();
const parts = new WeakMap<PolicyPart, string>();
const programs = new WeakMap<PlannedProgram, string>();

/** @returns SHA-256 in hex. Equal programs have the same one, whether or not they share objects */
export function fingerprint(program: PlannedProgram): string {
  return once(programs, program, () => {
    const { captures: _, deliveries: __, terminations: ___, ...own } = program;
    return digest([JSON.stringify(own), ...partsOf(program).map(partFingerprint)]);
  });
}

function partFingerprint(part: PolicyPart): string {
  const { captures, deliveries, terminations } = part;
  return once(parts, part, () => digest([captures, deliveries, terminations].map(listFingerprint)));
}

function listFingerprint(list: SharedList): string {
  return once(lists, list, () => digest([textOf(list)]));
}

function digest(texts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const text of texts) {
    hash.update(text);
  }
  return hash.digest('hex');
}

function once<T extends object>(known: WeakMap<T, string>, of: T, make: () => string): string {
  const found = known.get(of) ?? make();
  known.set(of, found);
  return found;
}
