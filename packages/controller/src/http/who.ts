/** Identifies the sender of a request. Only this file reads the token or the cookie. */
import { allows, type Right } from '@mirrorplane/contract';
import type { FastifyRequest } from 'fastify';
import { forbidden } from '../access/refusal.ts';
import { bearerToken } from '../auth/api-tokens.ts';
import type { Principal } from '../auth/principal.ts';
import { csrfOf, type Session } from '../auth/sessions.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';

/** The sender of a request. */
export interface Who extends Principal {
  /** The credential: a token in the request, or the cookie of a session. */
  by: 'token' | { session: Session; csrfToken: string };
}

/**
 * What a route needs: a right (for which objects, the route judges), only to be signed in, or
 * nothing.
 */
export type Needs = Right | 'signIn' | 'nothing';

/**
 * The cookie of a session. By TLS its name has a prefix with which browsers take it only from this
 * host and by TLS: no page of another host or of plain HTTP can plant one.
 */
export const COOKIE = 'mirrorplane_session';
export const TLS_COOKIE = `__Host-${COOKIE}`;
/** The header that a change by a session must have. */
export const CSRF_HEADER = 'x-mirrorplane-csrf';

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined for a route without authentication. */
    who?: Who;
  }
}

/**
 * @param needs what the sender must have
 * @throws ProblemError UNAUTHENTICATED, FORBIDDEN or CSRF_REFUSED
 */
export function whoOf(request: FastifyRequest, services: Services, needs: Exclude<Needs, 'nothing'>): Who {
  const who = byToken(request, services) ?? bySession(request, services);
  if (who === undefined) {
    throw new ProblemError('UNAUTHENTICATED', whyNobody(request));
  }
  // Also for a refusal: the audit log has who it was.
  request.who = who;
  // This applies to a dry run too, because it shows the result of a change and takes as long.
  if (needs !== 'signIn' && !allows(who.grants, needs)) {
    throw forbidden(needs);
  }
  return who;
}

function byToken({ headers }: FastifyRequest, { people }: Services): Who | undefined {
  const presented = bearerToken(headers.authorization);
  const principal = presented === undefined ? undefined : people.credentials.byToken(presented);
  if (principal) {
    people.uses.note(principal);
  }
  return principal && { ...principal, by: 'token' };
}

function bySession(request: FastifyRequest, { sessions, people }: Services): Who | undefined {
  const secret = cookieOf(request);
  const session =
    secret === undefined || request.headers.authorization !== undefined ? undefined : sessions.use(secret);
  const principal = session && people.credentials.byOwner(session.owner);
  if (!principal) {
    return undefined;
  }
  const csrfToken = csrfOf(secret!);
  refuseForged(request, csrfToken);
  return { ...principal, by: { session, csrfToken } };
}

function whyNobody(request: FastifyRequest): string {
  if (request.headers.authorization === undefined && cookieOf(request) !== undefined) {
    return 'the session is over: sign in again';
  }
  const what =
    bearerToken(request.headers.authorization) === undefined
      ? 'the request has no bearer token'
      : 'the bearer token is not valid';
  return `${what}: sign in with "mirrorplane login", or send an API token, such as the content of the file admin-token in the data directory`;
}

/** The name of the cookie between this sender and the controller. */
export function cookieNameFor({ sender }: FastifyRequest): string {
  return sender.byTls ? TLS_COOKIE : COOKIE;
}

/** The secret in the cookie of a request. */
function cookieOf(request: FastifyRequest): string | undefined {
  const name = cookieNameFor(request);
  const pairs = (request.headers.cookie ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
}

/**
 * A browser sends the cookie with every request of any page to this controller. Requests of a page
 * of another origin are refused, and a change needs a header that such a page does not know.
 */
function refuseForged(request: FastifyRequest, csrfToken: string): void {
  const changes = !['GET', 'HEAD'].includes(request.method);
  refuseOtherOrigin(request, changes);
  if (changes && request.headers[CSRF_HEADER] !== csrfToken) {
    throw new ProblemError(
      'CSRF_REFUSED',
      'a change by a session needs the header X-Mirrorplane-CSRF: send csrfToken of GET /api/v1/session in it',
    );
  }
}

/**
 * Refuses requests that a browser sends for a page of another origin.
 * @param strict also refuses requests without an origin
 */
export function refuseOtherOrigin(request: FastifyRequest, strict: boolean): void {
  const { 'sec-fetch-site': site, origin } = request.headers;
  const same =
    site === undefined
      ? origin === undefined
        ? !strict
        : isOwnOrigin(origin, request)
      : ['same-origin', 'none'].includes(String(site));
  if (!same) {
    const from = origin === undefined ? '' : ` ${origin}`;
    throw new ProblemError(
      'CSRF_REFUSED',
      `the request comes from a page of another origin${from}: use the console, or a token`,
    );
  }
}

/**
 * A proxy may use another name for this controller than the browser. A trusted one reports the
 * browser's name. A page by plain HTTP is another origin than one by TLS.
 */
function isOwnOrigin(origin: string, { sender, headers }: FastifyRequest): boolean {
  const { host, protocol } = URL.canParse(origin) ? new URL(origin) : {};
  return host !== undefined && host === (sender.host ?? headers.host) && (!sender.byTls || protocol === 'https:');
}
