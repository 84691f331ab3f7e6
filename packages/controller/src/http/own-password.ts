/** Users with a password of ours, who give it again before they change what they sign in with. */
import { originOf } from '../auth/origin.ts';
import { matchesHash } from '../people/argon2.ts';
import type { Attempt } from '../people/attempts.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { UserRecord } from '../store/records.ts';
import { addressOf, found } from './mutation.ts';
import type { Call } from './route.ts';

/** The largest body of a request with a password or a code, bytes. */
export const SECRET_BODY_LIMIT = 4096;

/** A try of a person who has signed in: strangers have no part in its bounds. */
export function attemptOfSelf({ request }: Pick<Call<unknown, unknown, unknown>, 'request'>, user: string): Attempt {
  return { user, origin: `self ${originOf(addressOf(request))}`, isKnown: true };
}

/** The user, who signs in with a password of ours. @throws ProblemError NOT_FOUND, USER_SOURCE */
export function localUser({ view }: Services, name: string): UserRecord {
  const { value } = found(view.get('users', name), 'user', name);
  if (value.source !== 'local') {
    throw new ProblemError('USER_SOURCE', `"${name}" signs in with ${value.source}, and has no password here`);
  }
  return value;
}

/**
 * Checks the password of who asks again, so that an open browser is not enough to take an account.
 * @throws ProblemError FIELD_INVALID if it is wrong, TRIES_EXCEEDED
 */
export async function requirePassword(
  { request, services }: Call<unknown, unknown, unknown>,
  user: UserRecord,
  { field, password }: { field: string; password: string | undefined },
): Promise<void> {
  const { people } = services;
  if (password === undefined) {
    refuseField(field, `"${field}" is missing: give your password of today`);
  }
  const attempt = attemptOfSelf({ request }, user.name);
  if (!people.attempts.take(attempt)) {
    throw new ProblemError('TRIES_EXCEEDED', 'too many tries with a wrong password: wait a minute, and try again');
  }
  const isRight = await people.lanes.run('known', user.name, () => matchesHash(password, user.passwordHash ?? ''));
  if (!isRight) {
    const message = 'the password that was asked for again is wrong';
    const address = addressOf(request);
    services.refusedSignIns.add({ request: 'signIn', reason: 'UNAUTHENTICATED', message, address, user: user.name });
    refuseField(field, `"${field}": this is not your password`);
  }
  people.attempts.succeeded(attempt);
}
