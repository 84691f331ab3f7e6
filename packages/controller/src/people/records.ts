/** Makes and reads records of users and their tokens. Pure. */
import { randomBytes } from 'node:crypto';
import type { ApiTokenInfo, User } from '@mirrorplane/contract';
import type { ApiTokenRecord, SignInRecord, UserRecord } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf, type Stored, type View } from '../store/view.ts';

/** Addresses of a user that are remembered. */
const MAX_ORIGINS = 8;

/** A stamp: what was begun with another one has ended. */
export function newStamp(): string {
  return randomBytes(8).toString('hex');
}

/** A user as others see it: without hashes and secrets. */
export function userInfo({ value, revision }: Stored<UserRecord>, view: View): User {
  const { name, displayName, source, grants, disabled, createdAt, createdBy } = value;
  const lastSignInAt = view.get('signIns', name)?.value.at;
  return {
    name,
    ...(displayName !== undefined && { displayName }),
    source,
    grants: [...grants],
    disabled,
    hasPassword: value.passwordHash !== undefined,
    mustChangePassword: value.mustChangePassword === true,
    totp: value.totp !== undefined,
    recoveryCodes: value.recoveryCodes?.length ?? 0,
    createdAt,
    createdBy,
    ...(lastSignInAt !== undefined && { lastSignInAt }),
    revision,
  };
}

/** A token as others see it: without its digest. */
export function tokenInfo(record: ApiTokenRecord, lastUsedAt: string | undefined): ApiTokenInfo {
  const { name, source, maker, grants, createdAt, from, expiresAt } = record;
  return {
    name,
    source,
    user: 'file' in maker ? maker.file : maker.user,
    grants: [...grants],
    createdAt,
    from,
    ...(expiresAt !== undefined && { expiresAt }),
    ...(lastUsedAt !== undefined && { lastUsedAt }),
  };
}

/** Tokens of a user, or of a token in a file, with their digests. */
export function tokensOf(view: View, isMaker: (maker: ApiTokenRecord['maker']) => boolean): string[] {
  return [...view.all('apiTokens')].filter(([, { value }]) => isMaker(value.maker)).map(([digest]) => digest);
}

/** Operations that remove tokens. */
export function removeTokens(digests: readonly string[]): Operation[] {
  return digests.flatMap((digest) => [
    { type: 'delete', key: keyOf('apiTokens', digest) },
    { type: 'delete', key: keyOf('tokenUses', digest) },
  ]);
}

/**
 * A user who has changed in a way that ends what was begun before, as another password or other
 * grants: with a new stamp, and without tokens.
 */
export function withNewStamp(user: UserRecord, view: View): { user: UserRecord; ops: Operation[] } {
  const renewed = { ...user, stamp: newStamp() };
  const tokens = tokensOf(view, (maker) => 'user' in maker && maker.user === user.name);
  return {
    user: renewed,
    ops: [{ type: 'put', key: keyOf('users', user.name), value: renewed }, ...removeTokens(tokens)],
  };
}

/**
 * What is kept of a sign-in.
 * @param step of a code that was used; absent: none was
 */
export function signInRecord(
  last: SignInRecord | undefined,
  origin: string,
  at: string,
  step = last?.totpStep ?? 0,
): SignInRecord {
  const origins = [origin, ...(last?.origins ?? []).filter((one) => one !== origin)].slice(0, MAX_ORIGINS);
  return { at, origins, totpStep: step };
}
