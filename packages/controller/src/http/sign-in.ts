/** /api/v1/sign-in: signing in at a provider of OpenID Connect. */
import { Problem } from '@mirrorplane/contract';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import * as z from 'zod';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { Begun } from '../sso/begun.ts';
import type { OpenIdProvider } from '../sso/openid-provider.ts';
import { refused } from '../sso/refused.ts';
import { SIGN_IN_PATH } from '../sso/sign-in-ways.ts';
import { signInProven } from './begin-session.ts';
import { addressOf } from './mutation.ts';
import { type Answer, type Route, route } from './route.ts';
import { refuseOtherOrigin } from './who.ts';

const tag = 'session';
/**
 * The cookie of a browser whose person is at a provider, or came back and was refused. By TLS its
 * name has the prefix of the session's: no other host can plant the sign-in of somebody else.
 */
const COOKIE = 'mirrorplane_sign_in';
const TLS_COOKIE = `__Host-${COOKIE}`;
/** Milliseconds that a person has at the provider, and below it that a refusal can be read. */
const BEGUN_MS = 10 * 60 * 1000;
const REFUSAL_MS = 60 * 1000;

const Way = z
  .object({
    name: z.string().meta({ description: 'Users that come by it are named NAME:… after it.' }),
    title: z.string(),
    kind: z.enum(['openid', 'directory']).meta({
      description:
        'openid: begin with POST /api/v1/sign-in/{way}. directory: POST /api/v1/session with user and password.',
    }),
    endSession: z.string().optional().meta({ description: 'Where signing out goes on at the provider.' }),
  })
  .meta({ id: 'SignInWay' });

const Ways = z
  .object({
    ways: z.array(Way),
    refusal: Problem.optional().meta({
      description: 'Why the sign-in that this browser began last was refused. It is told once.',
    }),
  })
  .meta({ id: 'SignInWays', examples: [{ ways: [{ name: 'keycloak', title: 'Example Corp', kind: 'openid' }] }] });

const Location = z
  .object({ location: z.string().meta({ description: 'Send the browser there, within ten minutes.' }) })
  .meta({ id: 'SignInLocation' });

/**
 * The cookie comes back with the browser from the provider, so it is `SameSite=Lax`. It is no
 * credential: it says which sign-in this browser has begun.
 */
function cookie({ signInWays }: Services, value: string, ms: number): string {
  const where = isByTls(signInWays) ? '; Path=/; Secure' : `; Path=${SIGN_IN_PATH}`;
  return `${nameOf(signInWays)}=${value}${where}; HttpOnly; SameSite=Lax; Max-Age=${ms / 1000}`;
}

/** Whether browsers reach the console by TLS. */
function isByTls({ address }: Services['signInWays']): boolean {
  return address?.startsWith('https:') ?? false;
}

function nameOf(signInWays: Services['signInWays']): string {
  return isByTls(signInWays) ? TLS_COOKIE : COOKIE;
}

function cookieOf({ headers }: FastifyRequest, { signInWays }: Services): string {
  const name = nameOf(signInWays);
  const pairs = (headers.cookie ?? '').split(';').map((pair) => pair.trim());
  return pairs.find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1) ?? '';
}

function list(request: FastifyRequest, services: Services): Answer {
  const { providers, directories, sealer } = services.signInWays;
  const ways = [
    ...[...providers.values()].map((provider) => {
      const { name, title } = provider.way;
      const endSession = provider.endSession();
      return { name, title, kind: 'openid', ...(endSession !== undefined && { endSession }) };
    }),
    ...directories.map(({ way: { name, title } }) => ({ name, title, kind: 'directory' })),
  ];
  const refusal = sealer.open('refusal', Problem, cookieOf(request, services));
  return refusal === undefined
    ? { body: { ways } }
    : { headers: { 'set-cookie': cookie(services, '', 0) }, body: { ways, refusal } };
}

async function begin(way: string, request: FastifyRequest, services: Services): Promise<Answer> {
  const { signInWays, tries, refusedSignIns } = services;
  refuseOtherOrigin(request, true);
  const provider = signInWays.providers.get(way);
  if (provider === undefined) {
    const known = [...signInWays.providers.keys()].join(', ');
    throw new ProblemError(
      'NOT_FOUND',
      `there is no way to sign in "${way}": ${known === '' ? 'there is none' : `use ${known}`}`,
    );
  }
  const { origin } = request.headers;
  if (origin !== undefined && origin !== signInWays.address) {
    const detail = `${provider.way.title} sends browsers back to ${signInWays.address}: open the console at this address`;
    throw new ProblemError('SIGN_IN_REFUSED', detail);
  }
  const address = addressOf(request);
  if (!tries.take(address)) {
    const message = 'too many tries to sign in from this address: wait a minute, and try again';
    refusedSignIns.add({ request: 'signIn', reason: 'TRIES_EXCEEDED', message, address });
    throw new ProblemError('TRIES_EXCEEDED', message);
  }
  const { location, begun } = await provider.begin();
  const sealed = signInWays.sealer.seal('begun', begun, BEGUN_MS);
  return { headers: { 'set-cookie': cookie(services, sealed, BEGUN_MS) }, body: { location } };
}

/** The person who came back, signed in. @throws ProblemError */
async function finish(provider: OpenIdProvider, request: FastifyRequest, services: Services): Promise<Answer> {
  const { sealer, callbacks } = services.signInWays;
  const { title, name } = provider.way;
  const query = new URL(request.url, 'http://callback').searchParams;
  const begun = sealer.open('begun', Begun, cookieOf(request, services));
  if (begun === undefined || begun.way !== name) {
    const detail = `this browser has not begun to sign in by ${title}, or more than ten minutes ago: begin again`;
    throw refused('SIGN_IN_REFUSED', detail, 'callback without a cookie that is good');
  }
  if (query.get('state') !== begun.state) {
    const detail = `this is the answer to another sign-in by ${title} than the one that this browser has begun last: begin again`;
    throw refused('SIGN_IN_REFUSED', detail, 'callback with another state');
  }
  if (!callbacks.take(begun.state)) {
    throw refused(
      'SIGN_IN_REFUSED',
      `this sign-in by ${title} was finished already: begin again`,
      'callback once more',
    );
  }
  const person = await callbacks.run(name, () => provider.finish(query, begun));
  if (person === undefined) {
    throw refused('SIGN_IN_AWAY', `too many people sign in by ${title} at the moment: try again`);
  }
  return signInProven(person, request, services);
}

/** Sends the browser to the console, signed in or with a refusal to read. */
async function comeBack(way: string, request: FastifyRequest, reply: FastifyReply, services: Services) {
  const provider = services.signInWays.providers.get(way);
  if (provider === undefined) {
    return reply.callNotFound();
  }
  const address = addressOf(request);
  const cookies: string[] = [];
  try {
    const { headers } = await finish(provider, request, services);
    cookies.push(cookie(services, '', 0), headers!['set-cookie']!);
    services.tries.succeeded(address);
  } catch (error) {
    if (!(error instanceof ProblemError)) {
      throw error;
    }
    const { problem, message } = error;
    const reason = 'reason' in error ? String(error.reason) : message;
    services.log.info({ way, address, code: problem.code, reason }, 'sign-in refused');
    services.refusedSignIns.add({ request: 'signIn', reason: problem.code, message, address });
    cookies.push(cookie(services, services.signInWays.sealer.seal('refusal', problem, REFUSAL_MS), REFUSAL_MS));
  }
  return reply.code(303).headers({ location: '/', 'set-cookie': cookies }).send();
}

/**
 * Serves the address that providers send browsers back to. It is no part of the API: providers add
 * parameters of their own, and the answer is a page in any case.
 */
export function serveCallbacks(app: FastifyInstance, services: Services): void {
  app.get<{ Params: { way: string } }>(`${SIGN_IN_PATH}/:way/callback`, { exposeHeadRoute: false }, (request, reply) =>
    comeBack(request.params.way, request, reply, services),
  );
}

export const signInRoutes: Route[] = [
  route({
    method: 'get',
    path: SIGN_IN_PATH,
    tag,
    needs: 'nothing',
    summary: 'List the ways to sign in',
    responses: [{ status: 200, description: 'The ways, and why the last sign-in was refused.', schema: Ways }],
    handle: ({ request, services }) => list(request, services),
  }),
  route({
    method: 'post',
    path: `${SIGN_IN_PATH}/{way}`,
    tag,
    needs: 'nothing',
    bodyLimit: 1024,
    summary: 'Begin to sign in at a provider',
    params: z.strictObject({
      way: z.string().max(64).meta({ description: 'Name of the provider, as the list has it.' }),
    }),
    refuses: ['NOT_FOUND', 'CSRF_REFUSED', 'SIGN_IN_REFUSED', 'TRIES_EXCEEDED', 'SIGN_IN_AWAY'],
    responses: [
      {
        status: 200,
        description: `Where the provider asks the person. The cookie ${COOKIE}, by TLS ${TLS_COOKIE}, binds the sign-in to this browser.`,
        schema: Location,
      },
    ],
    handle: ({ params, request, services }) => begin(params.way, request, services),
  }),
];
