/**
 * The tokens of the API: `admin-token` may do everything, `read-token` may read. They are made at
 * the first start, and whoever may read the data folder has them.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';
import type { Grant } from '@mirrorplane/contract';

/** A token that is valid, and whose it is. */
export interface ApiToken {
  /** For the audit log. */
  name: string;
  grants: readonly Grant[];
  /** SHA-256 of the token, hexadecimal. */
  digest: string;
}

/** The tokens in files, by name, and what they allow. */
const FILE_TOKENS: Record<string, readonly Grant[]> = {
  admin: [{ role: 'admin' }],
  read: [{ role: 'viewer' }],
};

export interface ApiTokens {
  /**
   * The token that was presented, in a time that does not depend on it; undefined: it is not valid.
   */
  find(presented: string): ApiToken | undefined;
  /** Whether a token with this digest is valid, as `ApiToken` has it. */
  isValid(digest: string): boolean;
}

/**
 * Reads DATA/admin-token and DATA/read-token, or makes them: 32 random bytes in base64url, readable
 * by the owner alone.
 * @throws Error where a file holds no token
 */
export function openApiTokens(dataDir: string): ApiTokens {
  const tokens = Object.entries(FILE_TOKENS).map(([name, grants]): ApiToken => {
    return { name, grants, digest: sha256(openToken(path.join(dataDir, `${name}-token`))) };
  });
  return {
    find: (presented) => {
      const digest = Buffer.from(sha256(presented));
      // All are compared, whatever the first one says.
      return tokens.filter((token) => timingSafeEqual(digest, Buffer.from(token.digest)))[0];
    },
    isValid: (digest) => tokens.some((token) => token.digest === digest),
  };
}

function openToken(file: string): string {
  if (!existsSync(file)) {
    replaceFileSync(file, `${newSecret()}\n`);
  }
  const token = readFileSync(file, 'utf8').trim();
  if (token.length < 32) {
    throw new Error(`${file} holds no token; remove the file and start again to get a new one`);
  }
  return token;
}

/** The token in an Authorization header, or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(header ?? '')?.[1];
}

/** 32 random bytes in base64url: nobody guesses it. */
export function newSecret(): string {
  return randomBytes(32).toString('base64url');
}

/** SHA-256 of a secret, hexadecimal: what is kept of it. */
export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
