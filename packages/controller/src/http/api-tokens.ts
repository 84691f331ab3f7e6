/** /api/v1/tokens: API tokens of users, those of `mirrorplane login`, and those in files. */
import { ApiTokenCreate, ApiTokenCreated, ApiTokenInfo, allows, Name } from '@mirrorplane/contract';
import * as z from 'zod';
import { forbidden } from '../access/refusal.ts';
import { newSecret, sha256 } from '../auth/api-tokens.ts';
import { covers } from '../people/covers.ts';
import { TOKEN_PREFIX } from '../people/credentials.ts';
import { FILE_TOKENS, type FileTokenName } from '../people/file-tokens.ts';
import { removeTokens, tokenInfo, tokensOf } from '../people/records.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import type { ApiTokenRecord } from '../store/records.ts';
import { keyOf, type View } from '../store/view.ts';
import { grantWarnings } from './judges.ts';
import type { ListSpec } from './list-spec.ts';
import { addressOf, type Change, found, MutationQuery, mutate } from './mutation.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { type Route, route } from './route.ts';
import { requireCover } from './users.ts';
import type { Who } from './who.ts';

const Params = z.object({ name: Name.meta({ description: 'Name of the token.' }) });
const path = '/api/v1/tokens';
const tag = 'users';
/** Tokens of one user. */
export const MAX_TOKENS_OF_USER = 64;

const TOKENS: ListSpec<ApiTokenInfo> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: {
    user: ({ user }) => user,
    expiresAt: ({ expiresAt }) => expiresAt,
    lastUsedAt: ({ lastUsedAt }) => lastUsedAt,
  },
  texts: ({ user, source, from, grants }) => [user, source, from, ...grants.map(({ role }) => role)],
  filter: { user: ({ user }, value) => user === value, source: ({ source }, value) => source === value },
};

/** All tokens that are valid, or that have only expired. */
function* allTokens({ view, people }: Services): Generator<ApiTokenInfo> {
  for (const { name, grants } of people.files.all()) {
    yield { name, source: 'file', user: name, grants: [...grants] };
  }
  for (const [digest, { value }] of view.all('apiTokens')) {
    yield tokenInfo(value, people.uses.lastUse(digest));
  }
}

/** By whom a token is made. @throws ProblemError FORBIDDEN for a token that would live on by itself */
export function makerOf(who: Who): ApiTokenRecord['maker'] {
  if (who.person) {
    return who.person;
  }
  if (who.kind === 'fileToken') {
    return { file: who.token! };
  }
  throw new ProblemError(
    'FORBIDDEN',
    'a token cannot make tokens: sign in, in the console or with "mirrorplane login"',
  );
}

/** @throws ProblemError ALREADY_EXISTS, or UNAVAILABLE where there are too many */
export function requireRoom(view: View, name: string, maker: ApiTokenRecord['maker']): void {
  const isTaken = [...view.all('apiTokens').values()].some(({ value }) => value.name === name);
  if (isTaken || FILE_TOKENS.includes(name as FileTokenName)) {
    throw new ProblemError('ALREADY_EXISTS', `there is a token "${name}" already: choose another name`);
  }
  if (tokensOf(view, (one) => JSON.stringify(one) === JSON.stringify(maker)).length >= MAX_TOKENS_OF_USER) {
    throw new ProblemError('UNAVAILABLE', `you have ${MAX_TOKENS_OF_USER} tokens: revoke one first`);
  }
}

/**
 * The end of a token, ISO 8601. Undefined: never. One that a token makes ends with it at the latest.
 * @param latest when the token that makes it ends, ISO 8601
 * @throws ProblemError FIELD_INVALID
 */
function endOf({ expiresAt }: ApiTokenCreate, now: number, latest: string | undefined): string | undefined {
  if (expiresAt === 'never') {
    return latest;
  }
  const at = Date.parse(expiresAt);
  if (!(at > now)) {
    refuseField(
      'expiresAt',
      `"expiresAt": ${expiresAt} is past: for the controller it is ${new Date(now).toISOString()}. Give a later time, or never`,
    );
  }
  return new Date(latest === undefined ? at : Math.min(at, Date.parse(latest))).toISOString();
}

/** When the token ends by which somebody asks. Undefined: it is none, or it does not end. */
function endOfAsker({ owner }: Who, view: View): string | undefined {
  return 'token' in owner ? view.get('apiTokens', owner.token)?.value.expiresAt : undefined;
}

const create = route({
  method: 'post',
  path,
  tag,
  needs: 'signIn',
  summary:
    'Create an API token. It ends when you are disabled, or have another password or other grants, and at the latest with the token that makes it',
  query: MutationQuery,
  body: ApiTokenCreate,
  refuses: ['FORBIDDEN', 'ALREADY_EXISTS', 'UNAVAILABLE'],
  responses: [{ status: 201, description: 'The token, which is shown only here.', schema: ApiTokenCreated }],
  handle: (call) => {
    const { body, services, who, request, query } = call;
    const { view, clock, endClock } = services;
    const secret = TOKEN_PREFIX + newSecret();
    const key = keyOf('apiTokens', sha256(secret));
    return mutate(call, 'create', `apiTokens/${body.name}`, () => {
      const maker = makerOf(who);
      const grants = body.grants ?? who.grants;
      if (grants.length === 0) {
        throw new ProblemError('FORBIDDEN', 'you have no grants, so a token would have none');
      }
      if (!covers(who.grants, grants)) {
        throw new ProblemError('FORBIDDEN', 'the token would allow more than you may do yourself: give it less');
      }
      requireRoom(view, body.name, maker);
      const value: ApiTokenRecord = {
        name: body.name,
        source: 'api',
        maker,
        grants,
        createdAt: new Date(clock()).toISOString(),
        from: addressOf(request),
        expiresAt: endOf(body, endClock(), endOfAsker(who, view)),
      };
      return {
        ops: [{ type: 'put', key, value }],
        key,
        status: 201,
        hasRevision: false,
        body: () => ({
          token: query.dryRun === 'true' ? '' : secret,
          info: tokenInfo(value, undefined),
          ...grantWarnings(body.grants ?? [], call),
        }),
      };
    });
  },
});

/** What revokes a token. @throws ProblemError NOT_FOUND, FORBIDDEN */
function revocation(name: string, who: Who, { view, people, clock }: Services): Change {
  if (people.files.has(name)) {
    if (!allows(who.grants, 'access')) {
      throw forbidden('access', `apiTokens/${name}`);
    }
    requireCover(who, [...people.files.all()].find((file) => file.name === name)!.grants, 'the token allows');
    const at = new Date(clock()).toISOString();
    const made = tokensOf(view, (maker) => 'file' in maker && maker.file === name);
    const put = { type: 'put', key: keyOf('revokedFiles', name), value: { at, by: who.name } } as const;
    return { ops: [put, ...removeTokens(made)] };
  }
  const entry = [...view.all('apiTokens')].find(([, { value }]) => value.name === name);
  const [digest, { value }] = found(entry, 'token', name);
  const isItself = 'token' in who.owner && who.owner.token === digest;
  if (!isItself && !isOwn(value.maker, who)) {
    // As for one that does not exist: names of others are not told.
    found(allows(who.grants, 'access') || undefined, 'token', name);
    requireCover(who, value.grants, 'the token allows');
  }
  return { ops: removeTokens([digest]), key: keyOf('apiTokens', digest) };
}

function isOwn(maker: ApiTokenRecord['maker'], { kind, name, person }: Who): boolean {
  return 'file' in maker ? kind === 'fileToken' && maker.file === name : maker.user === person?.user;
}

export const apiTokenRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'signIn',
    summary: 'List API tokens: yours, or with the right "access" all',
    query: pageQuery(TOKENS),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Tokens by name, without their secrets.', schema: listOf(ApiTokenInfo) }],
    handle: ({ query, services, who }) => {
      const seesAll = allows(who.grants, 'access');
      const items = [...allTokens(services)].filter(
        ({ user, source }) => seesAll || (source !== 'file' && user === who.person?.user),
      );
      return { body: pageOf(items, TOKENS, query, listOptions(services, who)) };
    },
  }),
  create,
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'signIn',
    summary: 'Revoke an API token: yours, or with the right "access" any. A token in a file is not made again',
    params: Params,
    query: MutationQuery,
    refuses: ['NOT_FOUND', 'FORBIDDEN'],
    responses: [{ status: 204, description: 'Revoked. What was open by it has ended.' }],
    handle: async (call) => {
      const { params, services, who, query } = call;
      const { people, view } = services;
      const isFile = people.files.has(params.name);
      const answer = await mutate(call, 'revoke', `apiTokens/${params.name}`, () =>
        revocation(params.name, who, services),
      );
      if (isFile && query.dryRun !== 'true' && view.get('revokedFiles', params.name)) {
        people.files.revoked(params.name as FileTokenName);
      }
      await people.endInvalid();
      return answer;
    },
  }),
];
