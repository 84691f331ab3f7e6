/** Join tokens: a secret that lets one agent ask for its certificate, once, within a day. */
import { createHash, randomBytes } from 'node:crypto';
import { formatJoinToken } from '@mirrorplane/contract';
import type { TokenRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';

/** Lifetime of a join token, milliseconds. */
export const TOKEN_LIFETIME_MS = 24 * 60 * 60 * 1000;

/** Makes a token, and the operations that store it. They also delete expired tokens. */
export function issueToken(
  view: View,
  node: string,
  fingerprint: string,
  now: number,
): { token: string; ops: Operation[] } {
  const secret = randomBytes(32).toString('base64url');
  const value: TokenRecord = { node, expiresAt: now + TOKEN_LIFETIME_MS };
  const ops: Operation[] = [{ type: 'put', key: tokenKey(secret), value }];
  for (const [digest, stored] of view.all('tokens')) {
    if (stored.value.expiresAt <= now) {
      ops.push({ type: 'delete', key: keyOf('tokens', digest) });
    }
  }
  return { token: formatJoinToken({ secret, fingerprint }), ops };
}

/**
 * The operation that uses a token up. Undefined if the token is unknown, used, expired, or for
 * another node.
 */
export function redeemToken(view: View, node: string, secret: string, now: number): Operation | undefined {
  const key = tokenKey(secret);
  const record = view.get('tokens', digestOf(secret))?.value;
  return record && record.node === node && record.expiresAt > now ? { type: 'delete', key } : undefined;
}

/** Operations that delete all tokens of a node. */
export function revokeTokens(view: View, node: string): Operation[] {
  return [...view.all('tokens')]
    .filter(([, { value }]) => value.node === node)
    .map(([digest]) => ({ type: 'delete', key: keyOf('tokens', digest) }));
}

function tokenKey(secret: string): string {
  return keyOf('tokens', digestOf(secret));
}

/**
 * The secret has 256 random bits. So a plain hash cannot be inverted, and the time of a look-up
 * reveals nothing.
 */
function digestOf(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
