/** Who a request is from: the one place that looks at its token or its cookie. */
import type { FastifyRequest } from 'fastify';
import { type ApiToken, bearerToken, type Rights } from '../auth/api-tokens.ts';
import { csrfOf, type Session } from '../auth/sessions.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';

/** Who asks. */
export interface Who {
  /** For the audit log and events. */
  name: string;
  rights: Rights;
  /** How: by a token that the request has, or by the cookie of a session. */
  by: { token: ApiToken } | { session: Session; csrfToken: string };
}

/** The cookie of a session. */
export const COOKIE = 'mirrorplane_session';
/** The header that a change by a session has to have. */
export const CSRF_HEADER = 'x-mirrorplane-csrf';

declare module 'fastify' {
  interface FastifyRequest {
    /** Undefined where the route asks for nobody. */
    who?: Who;
  }
}

/**
 * @param needs rights that the request has to have
 * @throws ProblemError UNAUTHENTICATED, FORBIDDEN or CSRF_REFUSED
 */
export function whoOf(request: FastifyRequest, services: Services, needs: Rights): Who {
  const who = byToken(request, services) ?? bySession(request, services);
  if (who === undefined) {
    throw new ProblemError('UNAUTHENTICATED', whyNobody(request));
  }
  // Also a dry run: it tells what a change would do, and takes the time of one.
  if (needs === 'admin' && who.rights !== 'admin') {
    throw new ProblemError('FORBIDDEN', 'the read token allows GET only: send the admin token for changes');
  }
  return who;
}

function byToken({ headers }: FastifyRequest, { tokens }: Services): Who | undefined {
  const presented = bearerToken(headers.authorization);
  const token = presented === undefined ? undefined : tokens.find(presented);
  return token && { name: token.name, rights: token.rights, by: { token } };
}

function bySession(request: FastifyRequest, { sessions }: Services): Who | undefined {
  const secret = cookieOf(request);
  const session =
    secret === undefined || request.headers.authorization !== undefined ? undefined : sessions.use(secret);
  if (!session) {
    return undefined;
  }
  const csrfToken = csrfOf(secret!);
  refuseForged(request, csrfToken);
  return { name: session.name, rights: session.rights, by: { session, csrfToken } };
}

function whyNobody(request: FastifyRequest): string {
  if (request.headers.authorization === undefined && cookieOf(request) !== undefined) {
    return 'the session is over: sign in again';
  }
  const what =
    bearerToken(request.headers.authorization) === undefined
      ? 'the request has no bearer token'
      : 'the bearer token is not valid';
  return `${what}: send the content of the file admin-token in the data directory`;
}

/** The secret in the cookie of a request. */
function cookieOf({ headers }: FastifyRequest): string | undefined {
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${COOKIE}=`))?.slice(COOKIE.length + 1);
}

/**
 * A browser sends the cookie with whatever any page asks of this controller. A page of another origin is refused, and a
 * change needs a header that such a page does not know.
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
 * Refuses what a browser asks on behalf of a page of another origin.
 * @param strict also what does not say where it comes from
 */
export function refuseOtherOrigin({ headers }: FastifyRequest, strict: boolean): void {
  const { 'sec-fetch-site': site, origin } = headers;
  const same =
    site === undefined
      ? origin === undefined
        ? !strict
        : isOwnOrigin(origin, headers)
      : ['same-origin', 'none'].includes(String(site));
  if (!same) {
    const from = origin === undefined ? '' : ` ${origin}`;
    throw new ProblemError(
      'CSRF_REFUSED',
      `the request comes from a page of another origin${from}: use the console, or a token`,
    );
  }
}

/** A proxy may have another name for this controller than the browser has: it says which that was. */
function isOwnOrigin(origin: string, headers: FastifyRequest['headers']): boolean {
  const host = URL.canParse(origin) ? new URL(origin).host : undefined;
  return host !== undefined && [headers.host, headers['x-forwarded-host']].includes(host);
}

/** Whether the browser has come by TLS, as it or a proxy says. */
export function isByTls({ headers }: FastifyRequest): boolean {
  return headers.origin?.startsWith('https:') === true || headers['x-forwarded-proto'] === 'https';
}
