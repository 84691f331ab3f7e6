/**
 * Join tokens: a secret that lets an agent ask for its certificate. A token is for one node, or for
 * a resource pool: then it registers the nodes that join with it.
 */
import { createHash, randomBytes } from 'node:crypto';
import { formatJoinToken } from '@mirrorplane/contract';
import type { TokenRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';

/** Lifetime of a join token where none is asked for, milliseconds. */
export const TOKEN_LIFETIME_MS = 24 * 60 * 60 * 1000;
/** Characters of the digest that name a token. */
const ID_LENGTH = 12;

/** What a new token is for. */
export type TokenRequest = Pick<TokenRecord, 'node' | 'pool' | 'uses' | 'createdBy'> & {
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

/** The tokens that can be used, the one first that ends first. @param now milliseconds since 1970 */
export function validTokens(view: View, now: number): StoredToken[] {
  return [...view.all('tokens')]
    .filter(([, { value }]) => value.expiresAt > now)
    .map(([digest, { value }]) => ({ id: idOf(digest), record: value }))
    .sort((a, b) => a.record.expiresAt - b.record.expiresAt || (a.id < b.id ? -1 : 1));
}

/**
 * A token that can be used for the node, and the operation that uses it once. Undefined if it is
 * unknown, used up, expired, or for another node.
 */
export function redeemToken(
  view: View,
  node: string,
  secret: string,
  now: number,
): { record: TokenRecord; op: Operation } | undefined {
  const digest = digestOf(secret);
  const record = view.get('tokens', digest)?.value;
  if (!record || record.expiresAt <= now || (record.node !== undefined && record.node !== node)) {
    return undefined;
  }
  const uses = (record.uses ?? 1) - 1;
  const key = keyOf('tokens', digest);
  return { record, op: uses > 0 ? { type: 'put', key, value: { ...record, uses } } : { type: 'delete', key } };
}

/** Operations that delete the tokens for which `matches` is true. */
export function deleteTokens(view: View, matches: (token: StoredToken) => boolean): Operation[] {
  return [...view.all('tokens')]
    .filter(([digest, { value }]) => matches({ id: idOf(digest), record: value }))
    .map(([digest]) => ({ type: 'delete', key: keyOf('tokens', digest) }));
}

/** Operations that delete all tokens of a node. */
export function revokeTokens(view: View, node: string): Operation[] {
  return deleteTokens(view, ({ record }) => record.node === node);
}

/**
 * The secret has 256 random bits. So a plain hash cannot be inverted, and the time of a look-up
 * reveals nothing.
 */
function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** The name of a token. A part of the digest tells nothing of the secret. */
function idOf(digest: string): string {
  return digest.slice(0, ID_LENGTH);
}
