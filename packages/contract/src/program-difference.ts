/** What differs between two programs of one node, and how it is put into the earlier one. Pure. */
import { MAX_PROGRAM_PARTS } from './bounds.ts';
import type { NodeProgram } from './program.ts';
import { ownDigest, partDigest, programDigest } from './program-digest.ts';
import type { HeldParts, HeldProgram, ProgramDifference } from './program-messages.ts';
import { numbered, ownOf, type PolicyPart, partsOf, programOf } from './program-parts.ts';

/** Characters of the digest of a part in a list of parts. Two parts that share them are found by the whole digest. */
const SHORT_DIGEST = 16;

/** A program by its revision and content. */
export function heldProgram(program: NodeProgram): HeldProgram {
  return { revision: program.revision, digest: programDigest(program) };
}

/** Whether two programs have the same revision and content. */
export function isSameProgram(a: HeldProgram, b: HeldProgram): boolean {
  return a.revision === b.revision && a.digest === b.digest;
}

/** The parts of a program by their content. */
export function heldParts(program: NodeProgram): HeldParts {
  const parts = partsOf(program).map((part) => ({ policy: part.policy, digest: shortDigest(part) }));
  return { ...heldProgram(program), parts };
}

/**
 * What makes `now` of `before`.
 * @param before a program, or what is known of the parts of one
 * @returns undefined: no part stays, or there are too many, so `now` is sent whole
 */
export function differenceOf(before: NodeProgram | HeldParts, now: NodeProgram): ProgramDifference | undefined {
  const isKnown = 'node' in before;
  const earlier = new Map<string, PolicyPart | { digest: string }>(
    (isKnown ? partsOf(before) : before.parts).map((part) => [part.policy, part]),
  );
  const all = partsOf(now);
  const parts = all.filter((part) => !isSamePart(earlier.get(part.policy), part));
  const stay = new Set(all.map(({ policy }) => policy));
  const gone = [...earlier.keys()].filter((policy) => !stay.has(policy));
  if (parts.length === all.length || parts.length > MAX_PROGRAM_PARTS || gone.length > MAX_PROGRAM_PARTS) {
    return undefined;
  }
  const isOwnSame = isKnown && ownDigest(before) === ownDigest(now);
  return {
    base: isKnown ? heldProgram(before) : { revision: before.revision, digest: before.digest },
    result: heldProgram(now),
    ...(!isOwnSame && { own: ownOf(now) }),
    parts,
    gone,
  };
}

/** Puts a difference into a program. @returns undefined: it was made of another program, or for one */
export function withDifference(before: NodeProgram, difference: ProgramDifference): NodeProgram | undefined {
  const { base, result, own, parts, gone } = difference;
  if (!isSameProgram(heldProgram(before), base)) {
    return undefined;
  }
  const all = new Map(partsOf(before).map((part) => [part.policy, part]));
  for (const policy of gone) {
    all.delete(policy);
  }
  for (const part of parts) {
    all.set(part.policy, part);
  }
  const after = numbered(programOf(own ?? ownOf(before), all.values()), result.revision);
  return isSameProgram(heldProgram(after), result) ? after : undefined;
}

function isSamePart(before: PolicyPart | { digest: string } | undefined, now: PolicyPart): boolean {
  if (before === undefined || before === now) {
    return before === now;
  }
  return 'digest' in before ? before.digest === shortDigest(now) : partDigest(before) === partDigest(now);
}

function shortDigest(part: PolicyPart): string {
  return partDigest(part).slice(0, SHORT_DIGEST);
}
