/** Persons whom another system has proven: OpenID Connect, or LDAP. */
import { ProblemError } from '../problems/problems.ts';
import type { UserRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type View } from '../store/view.ts';
import type { People } from './people.ts';
import type { ProvenPerson } from './proven-person.ts';
import { newStamp, signInRecord, withNewStamp } from './records.ts';

/**
 * The user, as the other system knows it today. Other grants than before end what the user had
 * open.
 * @returns undefined: the user is disabled
 * @throws ProblemError USER_SOURCE
 */
export async function refreshedUser(
  person: ProvenPerson,
  origin: string,
  people: People,
): Promise<UserRecord | undefined> {
  const { decisions, view, clock } = people;
  const change = () =>
    decisions.decide(() => {
      const time = new Date(clock()).toISOString();
      const { user, ops } = refresh(person, view, time);
      if (user.disabled) {
        return { ops: [], result: () => undefined };
      }
      const noted = signInRecord(view.get('signIns', user.name)?.value, origin, time);
      return { ops: [...ops, { type: 'put', key: keyOf('signIns', user.name), value: noted }], result: () => user };
    });
  return people.changing(person.name, change);
}

function refresh(person: ProvenPerson, view: View, time: string): { user: UserRecord; ops: Operation[] } {
  const { source, name, displayName, grants } = person;
  const before = view.get('users', name)?.value;
  if (!before) {
    const user: UserRecord = {
      name,
      displayName,
      source,
      grants,
      disabled: false,
      stamp: newStamp(),
      createdAt: time,
      createdBy: source,
    };
    return { user, ops: [{ type: 'put', key: keyOf('users', name), value: user }] };
  }
  if (before.source !== source) {
    throw new ProblemError(
      'USER_SOURCE',
      `there is a user "${name}" already that signs in otherwise (${before.source}): ask an administrator to rename or delete it`,
    );
  }
  const user: UserRecord = { ...before, displayName, grants };
  if (JSON.stringify(before.grants) !== JSON.stringify(grants)) {
    return withNewStamp(user, view);
  }
  const isSame = before.displayName === displayName;
  return { user, ops: isSame ? [] : [{ type: 'put', key: keyOf('users', name), value: user }] };
}
