/** Signing in with a user name, a password and, if the user has set it up, a second factor. */
import { originOf } from '../auth/origin.ts';
import { ProblemError } from '../problems/problems.ts';
import type { ProvenPerson } from '../sso/proven-person.ts';
import type { UserRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf } from '../store/view.ts';
import { matchesHash, NOBODYS_HASH } from './argon2.ts';
import type { Attempt } from './attempts.ts';
import { recoveryDigest } from './generated.ts';
import type { People } from './people.ts';
import { refreshedUser } from './proven.ts';
import { signInRecord } from './records.ts';
import { stepOf } from './totp.ts';

export interface PasswordSignIn {
  user: string;
  password: string;
  /** A code of the authenticator app, or a recovery code. */
  code?: string | undefined;
  /** Of the browser. */
  address: string;
  /** Called before it is refused. `user` is given only if there is such a user. */
  refused: (code: SignInCode, message: string, user: string | undefined) => void;
}

/** Why a sign-in is refused. */
export type SignInCode = 'TRIES_EXCEEDED' | 'UNAUTHENTICATED' | 'TOTP_REQUIRED';

/**
 * The user, when name, password and code are right.
 * @throws ProblemError UNAUTHENTICATED, TOTP_REQUIRED or TRIES_EXCEEDED
 */
export async function signInByPassword(given: PasswordSignIn, people: People): Promise<UserRecord> {
  const { view } = people;
  const name = given.user.trim().toLowerCase();
  const origin = originOf(given.address);
  const attempt: Attempt = { user: name, origin, isKnown: people.isKnown(name, origin) };
  const refuse = (code: SignInCode, message: string): never => {
    given.refused(code, message, view.get('users', name) && name);
    throw new ProblemError(code, message);
  };
  if (!people.attempts.take(attempt)) {
    return refuse('TRIES_EXCEEDED', 'too many tries to sign in: wait a minute, and try again');
  }
  const before = view.get('users', name)?.value;
  const isRight = await people.lanes.run(attempt.isKnown ? 'known' : 'stranger', `${name} ${origin}`, () =>
    // As long for a user that does not exist as for one with another password.
    matchesHash(given.password, before?.passwordHash ?? NOBODYS_HASH),
  );
  // Outside of the lane, where a slow directory would hold up local users.
  const proven = await check(isRight, { name, password: given.password, user: before }, people);
  if (proven === undefined || before?.disabled) {
    return refuse('UNAUTHENTICATED', WRONG);
  }
  if (proven === 'local' && before!.totp && given.code === undefined) {
    return refuse('TOTP_REQUIRED', 'the password is right: give the code of your authenticator app, too');
  }
  if (proven === 'local' && before!.totp && !people.attempts.takeCode(attempt)) {
    return refuse('TRIES_EXCEEDED', 'too many tries with a code: wait a minute, and try again');
  }
  const user =
    proven === 'local'
      ? await noteSignIn({ stamp: before!.stamp, name, origin, code: given.code }, people)
      : await refreshedUser(proven, origin, people);
  if (user === undefined) {
    return refuse('UNAUTHENTICATED', WRONG);
  }
  people.attempts.succeeded(attempt);
  await people.firstPassword.usedBy(name);
  return user;
}

const WRONG =
  'the user, the password or the code is wrong: check them, and try again. An administrator can give a new password';

/** A local user is asked for nowhere else. */
async function check(
  isRight: boolean,
  { name, password, user }: { name: string; password: string; user: UserRecord | undefined },
  people: People,
): Promise<'local' | ProvenPerson | undefined> {
  if (user?.source === 'local') {
    return isRight ? 'local' : undefined;
  }
  return people.elsewhere(name, password);
}

interface Proof {
  name: string;
  origin: string;
  /** Of the user whose password was right. */
  stamp: string;
  code: string | undefined;
}

/**
 * Checks the second factor and notes the sign-in, at once, so that no code is good twice.
 * @returns undefined: the code is wrong, or the user has changed meanwhile
 */
function noteSignIn({ name, origin, stamp, code }: Proof, people: People): Promise<UserRecord | undefined> {
  const { decisions, view, clock } = people;
  return decisions.decide(() => {
    const user = view.get('users', name)?.value;
    const now = clock();
    const last = view.get('signIns', name)?.value;
    const nothing = { ops: [], result: () => undefined };
    if (!user || user.disabled || user.stamp !== stamp) {
      return nothing;
    }
    const second = user.totp ? secondFactor(user, code, { lastStep: last?.totpStep ?? 0, now }) : {};
    if (second === undefined) {
      return nothing;
    }
    const noted = signInRecord(last, origin, new Date(now).toISOString(), second.step);
    const ops: Operation[] = [{ type: 'put', key: keyOf('signIns', name), value: noted }];
    if (second.user) {
      ops.push({ type: 'put', key: keyOf('users', name), value: second.user });
    }
    return { ops, result: () => user };
  });
}

/** What a good code changes: the last step, or the recovery codes that are left. Undefined: it is wrong. */
function secondFactor(
  user: UserRecord,
  code: string | undefined,
  time: { lastStep: number; now: number },
): { step?: number; user?: UserRecord } | undefined {
  if (code === undefined) {
    return undefined;
  }
  const step = stepOf(code, user.totp!.secret, time);
  if (step !== undefined) {
    return { step };
  }
  const digest = recoveryDigest(code);
  const left = user.recoveryCodes?.filter((one) => one !== digest) ?? [];
  return left.length < (user.recoveryCodes?.length ?? 0) ? { user: { ...user, recoveryCodes: left } } : undefined;
}
