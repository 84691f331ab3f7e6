/** /api/v1/device-logins: `mirrorplane login`, which a person confirms in the console. */
import {
  DeviceAnswer,
  DeviceDecision,
  DevicePoll,
  DeviceRequest,
  DeviceStart,
  DeviceStarted,
} from '@mirrorplane/contract';
import * as z from 'zod';
import { newSecret, sha256 } from '../auth/api-tokens.ts';
import { TOKEN_PREFIX } from '../people/credentials.ts';
import type { DeviceLogin } from '../people/device-logins.ts';
import { userCodeOf } from '../people/generated.ts';
import { tokenInfo } from '../people/records.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { ApiTokenRecord } from '../store/records.ts';
import { keyOf } from '../store/view.ts';
import { requireRoom } from './api-tokens.ts';
import { addressOf, MutationQuery, mutate } from './mutation.ts';
import { type Route, route } from './route.ts';
import type { Who } from './who.ts';

const path = '/api/v1/device-logins';
const tag = 'session';
const BODY_LIMIT = 4096;
/** Page of the console where a code is typed. */
const PAGE = '/device';
/** Seconds between two questions of a command. */
const INTERVAL_S = 2;
/** Milliseconds that a token of `mirrorplane login` is good for. */
const LOGIN_MS = 7 * 24 * 60 * 60 * 1000;

const Params = z.object({
  code: z.string().max(64).meta({ description: 'The code that the command shows, as in WDJB-MJHT.' }),
});

function iso(time: number): string {
  return new Date(time).toISOString();
}

/**
 * A session that was begun with a token proves no person: tokens of logins would renew each other.
 * @throws ProblemError FORBIDDEN unless a person asks, in a browser
 */
function requirePerson({ by, person, owner }: Who): NonNullable<Who['person']> {
  if (by === 'token' || !person || 'token' in owner) {
    throw new ProblemError(
      'FORBIDDEN',
      'a login is confirmed in the console, by a person who has signed in with a password or by single sign-on',
    );
  }
  return person;
}

/**
 * The login that waits for this code. A person may try few codes, so that nobody finds a code of
 * somebody else.
 * @throws ProblemError NOT_FOUND, TRIES_EXCEEDED
 */
function waitingLogin({ people }: Services, user: string, code: string): DeviceLogin {
  const text = userCodeOf(code);
  const login = text === undefined ? undefined : people.devices.waiting(text);
  if (login) {
    return login;
  }
  if (!people.attempts.takeCode({ user, origin: 'device', isKnown: true })) {
    throw new ProblemError('TRIES_EXCEEDED', 'too many wrong codes: wait a minute, and try again');
  }
  throw new ProblemError('NOT_FOUND', `no login waits for the code "${code}", or not any more: check the code`);
}

/** A name for the token that is free. */
function tokenName({ host }: DeviceLogin, digest: string): string {
  const label = (host ?? '')
    .split('.')[0]!
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-+|-+$/g, '')
    .slice(0, 40);
  return ['login', ...(label === '' ? [] : [label]), digest.slice(0, 8)].join('-');
}

const begin = route({
  method: 'post',
  path,
  tag,
  needs: 'nothing',
  bodyLimit: BODY_LIMIT,
  summary: 'Begin a login of the command line',
  body: DeviceStart,
  refuses: ['TRIES_EXCEEDED'],
  responses: [
    { status: 201, description: 'A code for the person, and a secret for the command.', schema: DeviceStarted },
  ],
  handle: ({ body, request, services }) => {
    const { people, tries } = services;
    const address = addressOf(request);
    const begun = tries.take(address) ? people.devices.begin(address, body.host) : undefined;
    if (!begun) {
      throw new ProblemError('TRIES_EXCEEDED', 'too many logins wait for consent: wait a minute, and try again');
    }
    const { deviceCode, login } = begun;
    const { userCode, expiresAt } = login;
    return { body: { deviceCode, userCode, path: PAGE, expiresAt: iso(expiresAt), interval: INTERVAL_S } };
  },
});

const poll = route({
  method: 'post',
  path: `${path}/poll`,
  tag,
  needs: 'nothing',
  bodyLimit: BODY_LIMIT,
  summary: 'Ask what became of a login',
  body: DevicePoll,
  refuses: ['NOT_FOUND'],
  responses: [{ status: 200, description: 'Whether it is confirmed. The token is told once.', schema: DeviceAnswer }],
  handle: ({ body, services: { people, view } }) => {
    const outcome = people.devices.poll(body.deviceCode);
    if (outcome === undefined) {
      throw new ProblemError('NOT_FOUND', 'there is no such login, or not any more: run "mirrorplane login" again');
    }
    if (outcome.state !== 'confirmed') {
      return { body: { state: outcome.state } };
    }
    const record = view.get('apiTokens', outcome.digest)?.value;
    if (!record) {
      throw new ProblemError('NOT_FOUND', 'the login was revoked: run "mirrorplane login" again');
    }
    return { body: { state: 'confirmed', token: outcome.token, info: tokenInfo(record, undefined) } };
  },
});

const read = route({
  method: 'get',
  path: `${path}/{code}`,
  tag,
  needs: 'signIn',
  summary: 'Read a login that waits for consent: from where it was asked',
  params: Params,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'TRIES_EXCEEDED'],
  responses: [{ status: 200, description: 'The login.', schema: DeviceRequest }],
  handle: ({ params, services, who }) => {
    const login = waitingLogin(services, requirePerson(who).user, params.code);
    const { userCode, address, host, askedAt, expiresAt } = login;
    const shown = { userCode, address, ...(host !== undefined && { host }) };
    const tokenExpiresAt = iso(services.endClock() + LOGIN_MS);
    return { body: { ...shown, askedAt: iso(askedAt), expiresAt: iso(expiresAt), tokenExpiresAt } };
  },
});

const decide = route({
  method: 'post',
  path: `${path}/{code}`,
  tag,
  needs: 'signIn',
  bodyLimit: BODY_LIMIT,
  summary: 'Confirm or refuse a login of the command line',
  params: Params,
  query: MutationQuery,
  body: DeviceDecision,
  refuses: ['NOT_FOUND', 'FORBIDDEN', 'TRIES_EXCEEDED', 'ALREADY_EXISTS', 'UNAVAILABLE'],
  responses: [{ status: 204, description: 'Decided. The command gets its token.' }],
  handle: async (call) => {
    const { params, services, body, who, query } = call;
    const { view, clock } = services;
    const maker = requirePerson(who);
    const login = waitingLogin(services, maker.user, params.code);
    const secret = TOKEN_PREFIX + newSecret();
    const digest = sha256(secret);
    const key = keyOf('apiTokens', digest);
    const name = tokenName(login, digest);
    const answer = await mutate(call, body.confirm ? 'device' : 'reject', `apiTokens/${name}`, () => {
      if (!body.confirm) {
        return { ops: [] };
      }
      if (login.outcome) {
        throw new ProblemError('NOT_FOUND', 'somebody else has decided about this login');
      }
      if (who.grants.length === 0) {
        throw new ProblemError('FORBIDDEN', 'you have no grants, so a token would have none');
      }
      requireRoom(view, name, maker);
      const now = clock();
      const value: ApiTokenRecord = {
        name,
        source: 'login',
        maker,
        grants: who.grants,
        createdAt: iso(now),
        from: login.host === undefined ? login.address : `${login.address} (${login.host})`,
        expiresAt: iso(now + LOGIN_MS),
      };
      return { ops: [{ type: 'put', key, value }], key };
    });
    if (query.dryRun !== 'true') {
      login.outcome ??= body.confirm ? { state: 'confirmed', token: secret, digest } : { state: 'refused' };
    }
    return answer;
  },
});

export const deviceLoginRoutes: Route[] = [begin, poll, read, decide];
