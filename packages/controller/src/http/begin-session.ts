/** Begins sessions: the cookie of a browser that has signed in, and what it is told. */
import { Grant, Right, rightsOf, Timestamp, UserSource } from '@mirrorplane/contract';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { originOf } from '../auth/origin.ts';
import type { Principal } from '../auth/principal.ts';
import { csrfOf, SESSION_MS } from '../auth/sessions.ts';
import { userPrincipal } from '../people/credentials.ts';
import { refreshedUser } from '../people/proven.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { ProvenPerson } from '../sso/proven-person.ts';
import type { UserRecord } from '../store/records.ts';
import { addressOf, askedBy } from './mutation.ts';
import type { Answer } from './route.ts';
import { cookieNameFor, type Who } from './who.ts';

export const SessionInfo = z
  .object({
    name: z.string().meta({ description: 'Who has signed in, as the audit log names it.' }),
    kind: z.enum(['user', 'apiToken', 'fileToken']).meta({ description: 'By what one has signed in.' }),
    token: z.string().optional().meta({ description: 'Name of the token, if it is one.' }),
    displayName: z.string().optional(),
    source: UserSource.optional().meta({ description: 'Of a user.' }),
    mustChangePassword: z.boolean().optional().meta({
      description: 'true: there are no rights until the password is changed.',
    }),
    grants: z.array(Grant).readonly().meta({ description: 'The roles that one has, and where.' }),
    rights: z.array(Right).meta({ description: 'What one may do, somewhere at least.' }),
    by: z.enum(['session', 'token']).meta({ description: 'token: the request has a token, and needs no session.' }),
    expiresAt: Timestamp.optional().meta({
      description: 'The session ends then, or earlier: two hours after it was used last. Absent: there is none.',
    }),
    csrfToken: z.string().optional().meta({
      description: 'Changes by the session need this value in the header X-Mirrorplane-CSRF. Absent: no session.',
    }),
  })
  .meta({ id: 'Session' });
export type SessionInfo = z.infer<typeof SessionInfo>;

/** What one is told about oneself. */
export function infoOf({ name, kind, token, grants, by }: Who, { view }: Services): SessionInfo {
  const user = kind === 'user' ? view.get('users', name)?.value : undefined;
  const info: SessionInfo = {
    name,
    kind,
    ...(token !== undefined && { token }),
    ...(user?.displayName !== undefined && { displayName: user.displayName }),
    ...(user && { source: user.source }),
    ...(user?.mustChangePassword && { mustChangePassword: true }),
    grants,
    rights: rightsOf(grants),
    by: by === 'token' ? 'token' : 'session',
  };
  if (by === 'token') {
    return info;
  }
  const expiresAt = new Date(by.session.createdAt + SESSION_MS).toISOString();
  return { ...info, expiresAt, csrfToken: by.csrfToken };
}

/** The header that sets or removes a browser's cookie. */
export function cookieHeader(request: FastifyRequest, secret: string, seconds: number): Record<string, string> {
  const flags = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${request.sender.byTls ? '; Secure' : ''}`;
  return { 'set-cookie': `${cookieNameFor(request)}=${secret}; ${flags}` };
}

/** Begins a session of a user who has signed in, and notes it in the audit log. */
export function beginSession(user: UserRecord, request: FastifyRequest, services: Services): Promise<Answer> {
  return beginSessionOf(userPrincipal(user), request, services);
}

/** Begins a session of whoever a user, a token or a ticket stands for. */
export async function beginSessionOf(
  principal: Principal,
  request: FastifyRequest,
  services: Services,
): Promise<Answer> {
  const { secret, session } = await services.sessions.begin(principal.owner);
  await auditSession(services, request, principal, 'signIn');
  const info = infoOf({ ...principal, by: { session, csrfToken: csrfOf(secret) } }, services);
  return { headers: cookieHeader(request, secret, SESSION_MS / 1000), body: info };
}

/** Notes it in the audit log. Who does it without end has a budget: then one entry stands for several. */
export function auditSession(
  { refused }: Services,
  request: FastifyRequest,
  who: Principal,
  action: 'signIn' | 'signOut' | 'ticket',
): Promise<void> {
  return refused.add({ ...askedBy(who, request), action, resource: 'session', outcome: 'done' });
}

/**
 * Signs a person in whom another system has proven: makes the user or renews it, and begins a
 * session.
 * @returns the cookie, and the same body as `POST /api/v1/session`
 * @throws ProblemError UNAUTHENTICATED if the user is disabled, USER_SOURCE if it is of another
 * source
 */
export async function signInProven(person: ProvenPerson, request: FastifyRequest, services: Services): Promise<Answer> {
  const user = await refreshedUser(person, originOf(addressOf(request)), services.people);
  if (user === undefined) {
    throw new ProblemError('UNAUTHENTICATED', `the user "${person.name}" is disabled: ask an administrator`);
  }
  return beginSession(user, request, services);
}
