/**
 * The files of the authority, below the data folder:
 * - `ca.key`, `ca.crt`: the authority that all agents know.
 * - `next-ca.key`, `next-ca.crt`: while it is rotated, the one that takes its place.
 * - `former-ca.crt`: certificates of earlier authorities, without their keys. What these have signed
 *   can still be verified.
 *
 * Each step is one rename, so a controller that is killed at any moment finds the state before a
 * step or after it. With etcd, a step is first one write to it, and a start makes these files again
 * by what is there.
 */
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import path from 'node:path';
import { replaceFileSync, syncFolder } from '@mirrorplane/base';
import type { FileCopies } from '../store/file-copies.ts';
import type { KeyPair } from './issuer.ts';

export class AuthorityFiles {
  readonly #folder: string;
  readonly #copies: FileCopies | undefined;

  /** @param folder the data folder @param copies has each step first */
  constructor(folder: string, copies?: FileCopies) {
    this.#folder = folder;
    this.#copies = copies;
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
  async writeCurrent(pair: KeyPair): Promise<void> {
    await this.#write('ca', pair);
  }

  /** Writes the authority that takes the place of the current one: the rotation begins. */
  async writeNext(pair: KeyPair): Promise<void> {
    await this.#write('next-ca', pair);
  }

  /** Drops the current authority: the rotation ends. Its key is lost. */
  async drop(): Promise<void> {
    const { certificate } = this.current!;
    const next = this.next!;
    const former = this.former.includes(certificate) ? this.former : this.former + certificate;
    await this.#copies?.write({
      'former-ca.crt': former,
      'ca.key': next.key,
      'ca.crt': next.certificate,
      'next-ca.key': undefined,
      'next-ca.crt': undefined,
    });
    if (this.former !== former) {
      replaceFileSync(this.#path('former-ca.crt'), former, { mode: 0o644 });
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
  async #write(name: 'ca' | 'next-ca', { certificate, key }: KeyPair): Promise<void> {
    await this.#copies?.write({ [`${name}.key`]: key, [`${name}.crt`]: certificate });
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
