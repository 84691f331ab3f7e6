/**
 * The files of the authority, below the data folder:
 * - `ca.key`, `ca.crt`: the authority that all agents know.
 * - `next-ca.key`, `next-ca.crt`: while it is rotated, the one that takes its place.
 * - `former-ca.crt`: certificates of earlier authorities, without their keys. What these have signed
 *   can still be verified.
 *
 * Each step is one rename, so a controller that is killed at any moment finds the state before a
 * step or after it.
 */
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import type { KeyPair } from './issuer.ts';

export class AuthorityFiles {
  readonly #folder: string;

  /** @param folder the data folder */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The authority that all agents know. Undefined: there is none yet. */
  get current(): KeyPair | undefined {
    return this.#read('ca');
  }

  /** The authority that takes its place. Undefined: it is not rotated. */
  get next(): KeyPair | undefined {
    return this.#read('next-ca');
  }

  /** Certificates of earlier authorities, PEM, the oldest first. */
  get former(): string {
    const file = this.#path('former-ca.crt');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Ends what a killed controller has begun. Call it first. */
  repair(): void {
    if (existsSync(this.#path('next-ca.crt')) && !existsSync(this.#path('next-ca.key'))) {
      // The key was renamed already.
      this.#rename('next-ca.crt', 'ca.crt');
    } else if (existsSync(this.#path('next-ca.key')) && !existsSync(this.#path('next-ca.crt'))) {
      rmSync(this.#path('next-ca.key'));
    }
  }

  /** Writes the first authority. */
  writeCurrent(pair: KeyPair): void {
    this.#write('ca', pair);
  }

  /** Writes the authority that takes the place of the current one: the rotation begins. */
  writeNext(pair: KeyPair): void {
    this.#write('next-ca', pair);
  }

  /** Drops the current authority: the rotation ends. Its key is lost. */
  drop(): void {
    const { certificate } = this.current!;
    if (!this.former.includes(certificate)) {
      replaceFileSync(this.#path('former-ca.crt'), this.former + certificate, { mode: 0o644 });
    }
    this.#rename('next-ca.key', 'ca.key');
    this.#rename('next-ca.crt', 'ca.crt');
  }

  #read(name: 'ca' | 'next-ca'): KeyPair | undefined {
    const [certificate, key] = [this.#path(`${name}.crt`), this.#path(`${name}.key`)];
    if (!existsSync(certificate)) {
      return undefined;
    }
    return { certificate: readFileSync(certificate, 'utf8'), key: readFileSync(key, 'utf8') };
  }

  /** The certificate is written last, so that it never exists without its key. */
  #write(name: 'ca' | 'next-ca', { certificate, key }: KeyPair): void {
    replaceFileSync(this.#path(`${name}.key`), key);
    replaceFileSync(this.#path(`${name}.crt`), certificate);
  }

  #rename(from: string, to: string): void {
    renameSync(this.#path(from), this.#path(to));
    syncFolder(this.#folder);
  }

  #path(name: string): string {
    return path.join(this.#folder, name);
  }
}
