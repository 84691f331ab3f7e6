/** Persons whom another system has proven: OpenID Connect, or LDAP. */
import { ProblemError } from '../problems/problems.ts';
import type { ProvenPerson } from '../sso/proven-person.ts';
import type { UserRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type View } from '../store/view.ts';
import type { People } from './people.ts';
import { newStamp, signInRecord, withNewStamp } from './records.ts';

/**
 * The user, as the other system knows it today. Other grants than before end what the user had
 * open.
 * @returns undefined: the user is disabled
 * @throws ProblemError SIGN_IN_REFUSED if the name is of somebody else
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
  return people.changing(recordOf(person, view)?.name ?? person.name, change);
}

function refresh(person: ProvenPerson, view: View, time: string): { user: UserRecord; ops: Operation[] } {
  const { source, subject, displayName, grants } = person;
  const before = recordOf(person, view);
  const name = before?.name ?? person.name;
  if (!before) {
    const user: UserRecord = {
      name,
      displayName,
      source,
      subject,
      grants,
      disabled: false,
      stamp: newStamp(),
      createdAt: time,
      createdBy: source,
    };
    return { user, ops: [{ type: 'put', key: keyOf('users', name), value: user }] };
  }
  if (before.source !== source || before.subject !== subject) {
    const detail = `there is a user "${name}" already who is somebody else: ask an administrator to delete it first`;
    throw new ProblemError('SIGN_IN_REFUSED', detail);
  }
  const user: UserRecord = { ...before, displayName, grants };
  if (JSON.stringify(before.grants) !== JSON.stringify(grants)) {
    return withNewStamp(user, view);
  }
  const isSame = before.displayName === displayName;
  return { user, ops: isSame ? [] : [{ type: 'put', key: keyOf('users', name), value: user }] };
}

/**
 * The record of a person: by what stays the same, so that a person who is renamed is the same user,
 * else by name. So nobody gets round being disabled by another name, or takes what somebody else
 * had under theirs.
 */
function recordOf({ source, name, subject }: ProvenPerson, view: View): UserRecord | undefined {
  const way = name.slice(0, name.indexOf(':') + 1);
  const users = [...view.all('users').values()].map(({ value }) => value);
  const same = users.find((user) => user.source === source && user.subject === subject && user.name.startsWith(way));
  return same ?? view.get('users', name)?.value;
}
