/** Secrets in requests, and what is kept of them. */
import { createHash, randomBytes } from 'node:crypto';

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
