/** /api/v1/session: a browser signs in and out. */
import { PasswordText, SecondFactor, Timestamp } from '@mirrorplane/contract';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Principal } from '../auth/principal.ts';
import { type PasswordSignIn, signInByPassword } from '../people/sign-in.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { auditSession, beginSession, beginSessionOf, cookieHeader, infoOf, SessionInfo } from './begin-session.ts';
import { addressOf } from './mutation.ts';
import { type Answer, type Route, route } from './route.ts';
import { COOKIE, refuseOtherOrigin, TLS_COOKIE } from './who.ts';

const path = '/api/v1/session';
const tag = 'session';
/** The largest body of a request here, bytes. */
const BODY_LIMIT = 4096;

const Secret = z.string().min(1).max(512);

const SignIn = z
  .strictObject({
    user: z.string().min(1).max(256).optional().meta({ description: 'Name of a user. Give password, too.' }),
    password: PasswordText.optional(),
    totp: SecondFactor.optional().meta({
      description: 'A code of the authenticator app, or a recovery code. 401 TOTP_REQUIRED: the user needs one.',
    }),
    token: Secret.optional().meta({ description: 'An API token.' }),
    ticket: Secret.optional().meta({ description: 'A ticket, which is used up by this.' }),
  })
  .refine(({ user, token, ticket }) => [user, token, ticket].filter((one) => one !== undefined).length === 1, {
    message: 'give either user, token or ticket, and not several',
    path: ['token'],
  })
  .refine(
    ({ user, password, totp }) =>
      (user === undefined) === (password === undefined) && (user !== undefined || totp === undefined),
    {
      message: 'give user and password together',
      path: ['password'],
    },
  )
  .meta({ id: 'SignIn', examples: [{ user: 'alice', password: 'five words are a password' }, { token: 'hYb3…' }] });
type SignIn = z.infer<typeof SignIn>;

const Ticket = z
  .object({
    ticket: z
      .string()
      .meta({ description: 'Signs one browser in: open the address of the console with #ticket=TICKET.' }),
    expiresAt: Timestamp,
  })
  .meta({ id: 'Ticket' });

/** Whom the token or the ticket of a sign-in stands for. @throws ProblemError */
function bySecret({ token, ticket }: SignIn, request: FastifyRequest, services: Services): Principal {
  const { tries, tickets, people, refusedSignIns } = services;
  const address = addressOf(request);
  const refuse = (code: 'TRIES_EXCEEDED' | 'UNAUTHENTICATED', message: string): never => {
    refusedSignIns.add({ request: 'signIn', reason: code, message, address });
    throw new ProblemError(code, message);
  };
  if (!tries.take(address)) {
    return refuse('TRIES_EXCEEDED', 'too many tries to sign in from this address: wait a minute, and try again');
  }
  const owner = ticket === undefined ? undefined : tickets.take(ticket);
  const principal =
    ticket === undefined ? people.credentials.byToken(token!.trim()) : owner && people.credentials.byOwner(owner);
  if (principal === undefined) {
    const ofTicket =
      'the ticket is used up, or older than five minutes: create another one, or sign in with a password';
    return refuse(
      'UNAUTHENTICATED',
      ticket === undefined ? 'the token is not valid: it may be revoked or have ended. Give another one' : ofTicket,
    );
  }
  tries.succeeded(address);
  return principal;
}

async function signIn(body: SignIn, request: FastifyRequest, services: Services): Promise<Answer> {
  refuseOtherOrigin(request, false);
  const { user, password, totp } = body;
  if (user !== undefined) {
    const address = addressOf(request);
    const refused: PasswordSignIn['refused'] = (reason, message, user) =>
      services.refusedSignIns.add({ request: 'signIn', reason, message, address, ...(user !== undefined && { user }) });
    const signedIn = await signInByPassword(
      { user, password: password!, code: totp, address, refused },
      services.people,
    );
    return beginSession(signedIn, request, services);
  }
  return beginSessionOf(bySecret(body, request, services), request, services);
}

export const sessionRoutes: Route[] = [
  route({
    method: 'post',
    path,
    tag,
    needs: 'nothing',
    bodyLimit: BODY_LIMIT,
    summary: 'Sign in: get the cookie of a session for a password, a token or a ticket',
    body: SignIn,
    refuses: [
      'UNAUTHENTICATED',
      'TOTP_REQUIRED',
      'USER_SOURCE',
      'TRIES_EXCEEDED',
      'CSRF_REFUSED',
      'SIGN_IN_REFUSED',
      'SIGN_IN_AWAY',
    ],
    responses: [
      {
        status: 201,
        description: `Signed in. The cookie is in Set-Cookie: HttpOnly and SameSite=Strict. Its name is ${COOKIE}, and by TLS, then also Secure, ${TLS_COOKIE}.`,
        schema: SessionInfo,
      },
    ],
    handle: ({ body, request, services }) => signIn(body, request, services),
  }),
  route({
    method: 'get',
    path,
    tag,
    needs: 'signIn',
    summary: 'Read who has signed in',
    responses: [{ status: 200, description: 'Who has signed in, with which rights.', schema: SessionInfo }],
    handle: ({ who, services }) => ({ body: infoOf(who, services) }),
  }),
  route({
    method: 'delete',
    path,
    tag,
    needs: 'signIn',
    summary: 'Sign out',
    responses: [{ status: 204, description: 'The session is over. With a token there was none.' }],
    handle: async ({ who, request, services }) => {
      if (who.by !== 'token') {
        await services.sessions.end(who.by.session);
        await auditSession(services, request, who, 'signOut');
      }
      return { headers: cookieHeader(request, '', 0) };
    },
  }),
  route({
    method: 'post',
    path: `${path}/tickets`,
    tag,
    needs: 'signIn',
    summary: 'Create a ticket that signs one browser in',
    refuses: ['FORBIDDEN'],
    responses: [{ status: 201, description: 'A ticket. It works once, within five minutes.', schema: Ticket }],
    handle: async ({ who, request, services }) => {
      if (who.by !== 'token') {
        // Otherwise a session could extend itself for ever.
        throw new ProblemError('FORBIDDEN', 'a session cannot create tickets: send a token as bearer token');
      }
      await auditSession(services, request, who, 'ticket');
      const { ticket, expiresAt } = services.tickets.issue(who.owner, who.name);
      return { body: { ticket, expiresAt: new Date(expiresAt).toISOString() } };
    },
  }),
];
