/** The token of the administrator: made at the first start, read by whoever may read the data folder. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync } from '@mirrorplane/base';

/** Tells whether a presented token is the right one, in a time that does not depend on it. */
export type TokenCheck = (presented: string) => boolean;

/** Reads DATA/admin-token, or makes it: 32 random bytes in base64url, readable by the owner alone. */
export function openAdminToken(dataDir: string): TokenCheck {
  const file = path.join(dataDir, 'admin-token');
  if (!existsSync(file)) {
    replaceFileSync(file, `${randomBytes(32).toString('base64url')}\n`);
  }
  const token = readFileSync(file, 'utf8').trim();
  if (token.length < 32) {
    throw new Error(`${file} holds no token; remove the file and start again to get a new one`);
  }
  const expected = sha256(token);
  return (presented) => timingSafeEqual(sha256(presented), expected);
}

/** The token in an Authorization header, or undefined. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^bearer +(\S+)\s*$/i.exec(header ?? '')?.[1];
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}
