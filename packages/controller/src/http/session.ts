/** /api/v1/session: a browser signs in and out. */
import { Grant, Right, rightsOf, Timestamp } from '@mirrorplane/contract';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { ApiToken } from '../auth/api-tokens.ts';
import { csrfOf, SESSION_MS } from '../auth/sessions.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { addressOf } from './mutation.ts';
import { type Answer, type Route, route } from './route.ts';
import { COOKIE, cookieNameFor, refuseOtherOrigin, TLS_COOKIE, type Who } from './who.ts';

const path = '/api/v1/session';
const tag = 'session';
/** The largest body of a request here, bytes. */
const BODY_LIMIT = 4096;

const Secret = z.string().min(1).max(512);

const SignIn = z
  .strictObject({
    token: Secret.optional().meta({ description: 'The admin token or the read token. Give token or ticket.' }),
    ticket: Secret.optional().meta({ description: 'A ticket, which is used up by this. Give token or ticket.' }),
  })
  .refine(({ token, ticket }) => (token === undefined) !== (ticket === undefined), {
    message: 'give either token or ticket, and not both',
    path: ['token'],
  })
  .meta({ id: 'SignIn', examples: [{ token: 'hYb3…' }] });

const SessionInfo = z
  .object({
    name: z.string().meta({ description: 'Who has signed in, as the audit log names it.' }),
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
type SessionInfo = z.infer<typeof SessionInfo>;

const Ticket = z
  .object({
    ticket: z
      .string()
      .meta({ description: 'Signs one browser in: open the address of the console with #ticket=TICKET.' }),
    expiresAt: Timestamp,
  })
  .meta({ id: 'Ticket' });

function infoOf({ name, grants, by }: Who): SessionInfo {
  const rights = rightsOf(grants);
  if ('token' in by) {
    return { name, grants, rights, by: 'token' };
  }
  const expiresAt = new Date(by.session.createdAt + SESSION_MS).toISOString();
  return { name, grants, rights, by: 'session', expiresAt, csrfToken: by.csrfToken };
}

/** The header that sets or removes a browser's cookie. */
function cookieHeader(request: FastifyRequest, secret: string, seconds: number): Record<string, string> {
  const flags = `Path=/; HttpOnly; SameSite=Strict; Max-Age=${seconds}${request.sender.byTls ? '; Secure' : ''}`;
  return { 'set-cookie': `${cookieNameFor(request)}=${secret}; ${flags}` };
}

/** The token of a sign-in. @throws ProblemError */
async function signedIn(body: z.infer<typeof SignIn>, request: FastifyRequest, services: Services): Promise<ApiToken> {
  const { tries, tickets, tokens, refusedSignIns } = services;
  const address = addressOf(request);
  const refuse = (code: 'TRIES_EXCEEDED' | 'UNAUTHENTICATED', message: string): never => {
    refusedSignIns.add({ request: 'signIn', reason: code, message, address });
    throw new ProblemError(code, message);
  };
  if (!tries.take(address)) {
    return refuse('TRIES_EXCEEDED', 'too many tries to sign in from this address: wait a minute, and try again');
  }
  const token = body.ticket === undefined ? tokens.find(body.token!.trim()) : tickets.take(body.ticket);
  if (token === undefined) {
    const ofTicket = 'the ticket is used up, or older than five minutes: create another one, or sign in with the token';
    const ofToken =
      'the token is not valid: give the content of the file admin-token or read-token in the data directory';
    return refuse('UNAUTHENTICATED', body.ticket === undefined ? ofToken : ofTicket);
  }
  tries.succeeded(address);
  return token;
}

async function signIn(body: z.infer<typeof SignIn>, request: FastifyRequest, services: Services): Promise<Answer> {
  refuseOtherOrigin(request, false);
  const token = await signedIn(body, request, services);
  const { secret, session } = await services.sessions.begin(token);
  await audit(services, request, token.name, 'signIn');
  const csrfToken = csrfOf(secret);
  const info = infoOf({ name: token.name, grants: token.grants, by: { session, csrfToken } });
  return { headers: cookieHeader(request, secret, SESSION_MS / 1000), body: info };
}

function audit({ audit }: Services, request: FastifyRequest, actor: string, action: 'signIn' | 'signOut' | 'ticket') {
  const who = { actor, actorKind: 'user', address: addressOf(request) } as const;
  return audit.append({ ...who, action, resource: 'session', outcome: 'done' });
}

export const sessionRoutes: Route[] = [
  route({
    method: 'post',
    path,
    tag,
    needs: 'nothing',
    bodyLimit: BODY_LIMIT,
    summary: 'Sign in: get the cookie of a session for a token or a ticket',
    body: SignIn,
    refuses: ['UNAUTHENTICATED', 'TRIES_EXCEEDED', 'CSRF_REFUSED'],
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
    handle: ({ who }) => ({ body: infoOf(who) }),
  }),
  route({
    method: 'delete',
    path,
    tag,
    needs: 'signIn',
    summary: 'Sign out',
    responses: [{ status: 204, description: 'The session is over. With a token there was none.' }],
    handle: async ({ who, request, services }) => {
      if ('session' in who.by) {
        await services.sessions.end(who.by.session);
        await audit(services, request, who.name, 'signOut');
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
      if (!('token' in who.by)) {
        // Otherwise a session could extend itself for ever.
        throw new ProblemError('FORBIDDEN', 'a session cannot create tickets: send a token as bearer token');
      }
      await audit(services, request, who.name, 'ticket');
      const { ticket, expiresAt } = services.tickets.issue(who.by.token);
      return { body: { ticket, expiresAt: new Date(expiresAt).toISOString() } };
    },
  }),
];
