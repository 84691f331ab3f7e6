/**
 * The tokens in files: DATA/admin-token may do everything, DATA/read-token may read. They are made
 * at the first start, and whoever may read the data folder has them. A revoked one is not made
 * again.
 */
import { timingSafeEqual } from 'node:crypto';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import type { Grant } from '@mirrorplane/contract';
import { newSecret, sha256 } from '../auth/api-tokens.ts';

/** What they allow, by name. */
const GRANTS = {
  admin: [{ role: 'admin' }],
  read: [{ role: 'viewer' }],
} as const satisfies Record<string, readonly Grant[]>;
export type FileTokenName = keyof typeof GRANTS;
export const FILE_TOKENS = Object.keys(GRANTS) as FileTokenName[];

export interface FileToken {
  name: FileTokenName;
  grants: readonly Grant[];
  /** SHA-256 of the token, hexadecimal. */
  digest: string;
}

export class FileTokens {
  readonly #data: string;
  readonly #tokens = new Map<FileTokenName, FileToken>();

  /**
   * Reads the files, or makes them: 32 random bytes in base64url, readable by the owner alone.
   * @param isRevoked of the store. Such a file is removed
   * @throws Error where a file holds no token
   */
  constructor(data: string, isRevoked: (name: FileTokenName) => boolean) {
    this.#data = data;
    for (const name of FILE_TOKENS) {
      if (isRevoked(name)) {
        this.revoked(name);
      } else {
        this.#tokens.set(name, { name, grants: GRANTS[name], digest: sha256(openToken(this.#file(name))) });
      }
    }
  }

  /** Those that are valid. */
  all(): IterableIterator<FileToken> {
    return this.#tokens.values();
  }

  has(name: string): boolean {
    return this.#tokens.has(name as FileTokenName);
  }

  /** The token with this digest, in a time that does not depend on it. */
  find(digest: string): FileToken | undefined {
    const presented = Buffer.from(digest);
    // All are compared, whatever the first one says.
    return [...this.#tokens.values()].filter((token) => timingSafeEqual(presented, Buffer.from(token.digest)))[0];
  }

  /** The store says that it is revoked: the file goes. */
  revoked(name: FileTokenName): void {
    this.#tokens.delete(name);
    rmSync(this.#file(name), { force: true });
    syncFolder(this.#data);
  }

  #file(name: FileTokenName): string {
    return path.join(this.#data, `${name}-token`);
  }
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
