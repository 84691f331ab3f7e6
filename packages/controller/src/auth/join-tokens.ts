/**
 * Join tokens: a secret that lets an agent ask for its certificate. A token is for one node, or for
 * a resource pool: then it registers the nodes that join with it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { allows, formatJoinToken } from '@mirrorplane/contract';
import type { TokenRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';
import type { Owner, Principal } from './principal.ts';

/** Lifetime of a join token where none is asked for, milliseconds. */
export const TOKEN_LIFETIME_MS = 24 * 60 * 60 * 1000;
/** Characters of the digest that name a token. */
const ID_LENGTH = 12;

/** What a new token is for. */
export type TokenRequest = Pick<TokenRecord, 'node' | 'pool' | 'uses' | 'createdBy' | 'maker'> & {
  lifetimeMs: number;
  /** Of the authority that the token names. */
  fingerprint: string;
  /** Milliseconds since 1970. */
  now: number;
};

/** A token, without its secret. */
export interface StoredToken {
  id: string;
  record: TokenRecord;
}

/** Makes a token, and the operations that store it. They also delete expired tokens. */
export function issueToken(
  view: View,
  { lifetimeMs, now, ...request }: TokenRequest,
): StoredToken & { token: string; ops: Operation[] } {
  const secret = randomBytes(32).toString('base64url');
  const digest = digestOf(secret);
  const record: TokenRecord = { ...request, createdAt: now, expiresAt: now + lifetimeMs };
  const ops: Operation[] = [{ type: 'put', key: keyOf('tokens', digest), value: record }];
  for (const [other, { value }] of view.all('tokens')) {
    if (value.expiresAt <= now) {
      ops.push({ type: 'delete', key: keyOf('tokens', other) });
    }
  }
  return { id: idOf(digest), record, token: formatJoinToken({ secret, fingerprint: request.fingerprint }), ops };
}

/** What the validity of tokens needs to be known of: who has made them. */
export interface TokenSight {
  view: View;
  people: { credentials: { byOwner(owner: Owner): Pick<Principal, 'grants'> | undefined } };
}

/**
 * Whether who made the token could make it now: is neither disabled nor deleted, and may still admit
 * that node, or nodes to that pool. One of an older controller does not say who made it.
 */
function isBacked({ maker, node, pool }: TokenRecord, { view, people }: TokenSight): boolean {
  const principal = maker && people.credentials.byOwner(maker);
  const target = pool ?? view.get('nodes', node!)?.value.pool;
  return (
    maker === undefined ||
    (principal !== undefined && target !== undefined && allows(principal.grants, 'nodes', { pool: target }))
  );
}

/** The tokens that can be used, the one first that ends first. @param now milliseconds since 1970 */
export function validTokens(sight: TokenSight, now: number): StoredToken[] {
  return [...sight.view.all('tokens')]
    .filter(([, { value }]) => value.expiresAt > now && isBacked(value, sight))
    .map(([digest, { value }]) => ({ id: idOf(digest), record: value }))
    .sort((a, b) => a.record.expiresAt - b.record.expiresAt || (a.id < b.id ? -1 : 1));
}

/**
 * A token that can be used for the node, and the operation that uses it once. Undefined if it is
 * unknown, used up, expired, or for another node, or who made it could not make it now.
 */
export function redeemToken(
  sight: TokenSight,
  node: string,
  secret: string,
  now: number,
): (StoredToken & { op: Operation }) | undefined {
  const digest = digestOf(secret);
  const record = sight.view.get('tokens', digest)?.value;
  if (!record || record.expiresAt <= now || (record.node !== undefined && record.node !== node)) {
    return undefined;
  }
  if (!isBacked(record, sight)) {
    return undefined;
  }
  const id = idOf(digest);
  const uses = (record.uses ?? 1) - 1;
  const key = keyOf('tokens', digest);
  return { id, record, op: uses > 0 ? { type: 'put', key, value: { ...record, uses } } : { type: 'delete', key } };
}

/** Operations that delete the tokens for which `matches` is true. */
export function deleteTokens(view: View, matches: (token: StoredToken) => boolean): Operation[] {
  return [...view.all('tokens')]
    .filter(([digest, { value }]) => matches({ id: idOf(digest), record: value }))
    .map(([digest]) => ({ type: 'delete', key: keyOf('tokens', digest) }));
}

/** Operations that delete all tokens for a node, and the one that has let it in. */
export function revokeTokens(view: View, node: string): Operation[] {
  const joinToken = view.get('certificates', node)?.value.joinToken;
  return deleteTokens(view, ({ id, record }) => record.node === node || id === joinToken);
}

/**
 * The secret has 256 random bits. So a plain hash cannot be inverted, and the time of a look-up
 * reveals nothing.
 */
export function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** The name of a token. A part of the digest tells nothing of the secret. */
export function idOf(digest: string): string {
  return digest.slice(0, ID_LENGTH);
}
