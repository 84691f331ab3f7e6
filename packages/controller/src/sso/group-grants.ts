/** Which grants a person has by the groups of a provider or a directory. */
import type { Grant } from '@mirrorplane/contract';

/** Groups of one person that are looked at. */
export const MAX_GROUPS_OF_PERSON = 2000;
/** The longest name of a group, in characters. */
const MAX_GROUP = 512;

/**
 * The groups in a claim: a list of names, or one name. A name that is no text, or too long, is left
 * out, because no grant can be meant for it. Undefined: the claim has another form, or is missing.
 */
export function groupsIn(claim: unknown): string[] | undefined {
  const list = typeof claim === 'string' ? [claim] : claim;
  if (!Array.isArray(list)) {
    return undefined;
  }
  return list
    .slice(0, MAX_GROUPS_OF_PERSON)
    .filter((group): group is string => typeof group === 'string' && group !== '' && group.length <= MAX_GROUP);
}

/**
 * The grants of all groups, each once.
 * @param map group to grants, as the file of `--sign-in` has it
 * @param same how names of groups are compared: the names are put through it on both sides
 */
export function grantsOf(
  groups: readonly string[],
  map: Readonly<Record<string, readonly Grant[]>>,
  same: (group: string) => string = (group) => group,
): Grant[] {
  const theirs = new Set(groups.map(same));
  const grants = Object.entries(map)
    .filter(([group]) => theirs.has(same(group)))
    .flatMap(([, granted]) => granted);
  return [...new Map(grants.map((grant) => [JSON.stringify(grant), grant])).values()];
}
