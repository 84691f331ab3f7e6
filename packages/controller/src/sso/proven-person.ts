/** A person whom a provider or a directory has proven, and the name that the person has here. */
import type { Grant } from '@mirrorplane/contract';
import { refused } from './refused.ts';

export interface ProvenPerson {
  /** Name of the user here: `WAY:NAME`. */
  name: string;
  /** Name for people. */
  displayName?: string;
  source: 'oidc' | 'ldap';
  /** What stays the same when the person is renamed, as the provider or the directory has it. */
  subject: string;
  grants: Grant[];
}

/** The longest name for people, in characters. */
const MAX_DISPLAY_NAME = 128;

/** The field `displayName`, where a claim or an attribute is one. */
export function displayName(value: unknown): { displayName?: string } {
  const usable =
    typeof value === 'string' && value !== '' && value.length <= MAX_DISPLAY_NAME && /^\P{Cc}*$/u.test(value);
  return usable ? { displayName: value } : {};
}

/** What a name of a person may be, so that it is a name of a user (`UserName`). */
const NAME = /^[a-z0-9]([-a-z0-9._@+]{0,94}[a-z0-9])?$/;

/**
 * The name of a user: the name of the way to sign in, a colon, and the person's name there. No name
 * of a local user or a token has a colon, so nobody takes the name of another.
 * @param name as the provider or the directory has it. It is used in lower case
 * @param from who gives the name, for the message
 * @throws SignInRefused where it cannot be a name
 */
export function userName(way: string, name: unknown, from: string): string {
  const plain = typeof name === 'string' ? name.toLowerCase() : '';
  if (!NAME.test(plain)) {
    throw refused(
      'SIGN_IN_REFUSED',
      `${from} gives you no name that can be used here: a name has letters a to z, digits and . _ @ + -, with a letter or digit at both ends, and at most 96 of them`,
    );
  }
  return `${way}:${plain}`;
}

/**
 * Refuses a person without a grant, and says so.
 * @param groups all groups of the person, shown to that person
 * @throws SignInRefused
 */
export function requireGrants(person: ProvenPerson, title: string, groups: readonly string[]): ProvenPerson {
  if (person.grants.length > 0) {
    return person;
  }
  const some = groups.slice(0, 5).map((group) => `"${group.slice(0, 64)}"`);
  const more = groups.length > some.length ? ` and ${groups.length - some.length} more` : '';
  const said =
    groups.length === 0
      ? 'it names no group of yours'
      : `none of your groups has rights here: ${some.join(', ')}${more}`;
  throw refused(
    'SIGN_IN_REFUSED',
    `${title} knows you, but ${said}. Ask an administrator of Mirrorplane to give one of your groups a grant`,
  );
}
