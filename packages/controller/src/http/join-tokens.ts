/** /api/v1/join-tokens, and tokens of one node: what lets an agent join. */
import { JoinTokenInfo, JoinTokenSpec, Name, NodeToken } from '@mirrorplane/contract';
import * as z from 'zod';
import {
  deleteTokens,
  issueToken,
  type StoredToken,
  TOKEN_LIFETIME_MS,
  type TokenRequest,
  validTokens,
} from '../auth/join-tokens.ts';
import { require } from './judges.ts';
import { isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { type Change, found, type MutationCall, MutationQuery, mutate } from './mutation.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { NOTHING, type Route, route } from './route.ts';

const path = '/api/v1/join-tokens';
const tag = 'nodes';
const needs = 'nodes';

const TOKENS: ListSpec<JoinTokenInfo> = {
  keyName: 'id',
  key: ({ id }) => id,
  sort: { expiresAt: ({ expiresAt }) => expiresAt },
  texts: ({ node, pool, createdBy }) => [node, pool, createdBy],
  filter: {
    node: ({ node }, value) => node !== undefined && isValue(node, value),
    pool: ({ pool }, value) => pool !== undefined && isValue(pool, value),
  },
};

function infoOf({ id, record }: StoredToken): JoinTokenInfo {
  const { node, pool, uses = 1, createdAt, createdBy, expiresAt, fingerprint } = record;
  return {
    id,
    node,
    pool,
    uses,
    createdAt: createdAt === undefined ? undefined : new Date(createdAt).toISOString(),
    createdBy,
    expiresAt: new Date(expiresAt).toISOString(),
    authority: fingerprint,
  };
}

/** What a token is for, in the audit log and in events. */
function ownerOf({ node, pool }: { node?: string | undefined; pool?: string | undefined }): string {
  return pool === undefined ? `nodes/${node}` : `pools/${pool}`;
}

/** The node or the pool that a token is for, for the scope of the right. */
function thingOf({ node, pool }: { node?: string | undefined; pool?: string | undefined }): ['node' | 'pool', string] {
  return pool === undefined ? ['node', node!] : ['pool', pool];
}

/** Makes a token. It is shown this one time. */
function issue(
  { services, who, query, judge }: MutationCall,
  request: Pick<TokenRequest, 'node' | 'pool' | 'uses' | 'lifetimeMs'>,
): Change {
  const { view, authority, endClock } = services;
  const { node, pool } = request;
  require(judge, needs, ...thingOf(request));
  if (pool === undefined) {
    found(view.get('nodes', node!), 'node', node!);
  } else {
    found(view.get('pools', pool), 'pool', pool);
  }
  const { fingerprint } = authority;
  const made = { createdBy: who.name, maker: who.person ?? who.owner, fingerprint, now: endClock() };
  const { id, token, record, ops } = issueToken(view, { ...request, ...made });
  const shown = { id, token, expiresAt: new Date(record.expiresAt).toISOString() };
  return { ops, status: 201, body: () => (query.dryRun === 'true' ? {} : shown), hasRevision: false };
}

const MADE = [
  { status: 201, description: 'A token. It is not shown again.', schema: NodeToken },
  { status: 200, description: 'Dry run: empty, because no token was created.', schema: NOTHING },
];

export const joinTokenRoutes: Route[] = [
  route({
    method: 'post',
    path: '/api/v1/nodes/{name}/token',
    tag,
    needs,
    about: 'node',
    summary: 'Create a join token for the agent of a node, for one use within 24 hours',
    params: z.object({ name: Name.meta({ description: 'Name of the node.' }) }),
    query: MutationQuery,
    refuses: ['NOT_FOUND'],
    responses: MADE,
    handle: (call) => {
      const { name } = call.params;
      const request = { node: name, lifetimeMs: TOKEN_LIFETIME_MS };
      return mutate(call, 'token', `nodes/${name}`, () => issue(call, request));
    },
  }),
  route({
    method: 'post',
    path,
    tag,
    needs,
    about: 'handler',
    summary: 'Create a join token for a node or for a resource pool',
    query: MutationQuery,
    body: JoinTokenSpec,
    refuses: ['NOT_FOUND'],
    responses: MADE,
    handle: (call) => {
      const { node, pool, uses, lifetimeSeconds } = call.body;
      const request = { node, pool, uses, lifetimeMs: lifetimeSeconds * 1000 };
      return mutate(call, 'token', ownerOf(request), () => issue(call, request));
    },
  }),
  route({
    method: 'get',
    path,
    tag,
    needs,
    about: 'handler',
    summary: 'List the join tokens that can be used',
    query: pageQuery(TOKENS),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Tokens without their secrets.', schema: listOf(JoinTokenInfo) }],
    handle: ({ query, services, judge, who }) => {
      const all = validTokens(services, services.endClock());
      const items = all.filter(({ record }) => judge.may(needs, ...thingOf(record))).map(infoOf);
      return { body: pageOf(items, TOKENS, query, listOptions(services, who)) };
    },
  }),
  route({
    method: 'delete',
    path: `${path}/{id}`,
    tag,
    needs,
    about: 'handler',
    summary: 'Revoke a join token',
    params: z.object({ id: z.string().max(64).meta({ description: 'Id of the token.' }) }),
    query: MutationQuery,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 204, description: 'No agent can join with it any more.' }],
    handle: (call) => {
      const { view, endClock } = call.services;
      const { id } = call.params;
      return mutate(call, 'revoke', `joinTokens/${id}`, () => {
        const { judge } = call;
        const seen = validTokens(call.services, endClock()).filter(({ record }) =>
          judge.may(needs, ...thingOf(record)),
        );
        found(
          seen.find((one) => one.id === id),
          'join token',
          id,
        );
        return { ops: deleteTokens(view, (one) => one.id === id) };
      });
    },
  }),
];
