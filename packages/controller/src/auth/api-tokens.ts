/**
 * The tokens of the API: `admin-token` may do everything, `read-token` may read. They are made at the first start, and
 * whoever may read the data folder has them.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';

/** What a token allows. */
export type Rights = 'admin' | 'read';

/** Gives the rights of a presented token, in a time that does not depend on it; undefined: it is not valid. */
export type TokenCheck = (presented: string) => Rights | undefined;

/**
 * Reads DATA/admin-token and DATA/read-token, or makes them: 32 random bytes in base64url, readable by the owner alone.
 * @throws Error where a file holds no token
 */
export function openApiTokens(dataDir: string): TokenCheck {
  const [admin, read] = ['admin-token', 'read-token'].map((name) => sha256(openToken(path.join(dataDir, name))));
  return (presented) => {
    const digest = sha256(presented);
    // Both are compared, whatever the first one says.
    const [isAdmin, mayRead] = [timingSafeEqual(digest, admin!), timingSafeEqual(digest, read!)];
    return isAdmin ? 'admin' : mayRead ? 'read' : undefined;
  };
}

function openToken(file: string): string {
  if (!existsSync(file)) {
    replaceFileSync(file, `${randomBytes(32).toString('base64url')}\n`);
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

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
