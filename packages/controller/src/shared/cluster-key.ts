/**
 * The key of the cluster: DATA/cluster.key, the same on every controller. It seals what controllers
 * share in etcd: AES-256-GCM, bound to the name of its key there. Each value has a key of its own,
 * made of this one and of random bytes, so that no two values share a key and a nonce.
 *
 * The file has a key a line. The first one seals. A new key comes below it, with `next:` before it,
 * and only opens: so it can be copied to all controllers before any value needs it. Then it takes the
 * first place, and the former one is below it until nothing is sealed with that any more.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { replaceFileSync } from '@mirrorplane/base';
import { readSecretFile } from '@mirrorplane/daemon';
import { replaceOwned } from '../store/owned-file.ts';
import { clusterKeyFile } from '../store/store-file.ts';

const KEY_BYTES = 32;
/** Before a key that does not seal yet. */
const NEXT = 'next:';
/** A key that seals, and one that does not any more, or not yet. */
const LINES = /^(\S+)(?:\s+(next:)?(\S+))?$/;
const SALT_BYTES = 16;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const CIPHER = 'aes-256-gcm';
/** The first byte of a sealed value, and of what is in it: how it is written. */
const SEALED = 1;
const PLAIN = 0;
const DEFLATED = 1;
/** The most bytes that a value may have when it is open. */
const MOST_BYTES = 64 << 20;

/** A value cannot be opened. */
export class SealError extends Error {
  override name = 'SealError';
}

export class ClusterKey {
  /** The first one seals, all open. */
  readonly #secrets: readonly Buffer[];
  /** Whether the second one is a new key. */
  readonly hasNext: boolean;

  private constructor(secrets: readonly Buffer[], hasNext: boolean) {
    this.#secrets = secrets;
    this.hasNext = hasNext;
  }

  /**
   * Reads the key. Undefined: there is none.
   * @throws Error if others can read the file, or it holds no key
   */
  static read(data: string): ClusterKey | undefined {
    const file = clusterKeyFile(data);
    if (!existsSync(file)) {
      return undefined;
    }
    const [, first, next, second] = LINES.exec(readSecretFile(file, 'the key of the cluster')) ?? [];
    const secrets = [first, second].flatMap((text) => (text === undefined ? [] : [Buffer.from(text, 'base64')]));
    if (secrets.length === 0 || !secrets.every(({ length }) => length === KEY_BYTES)) {
      throw new Error(`${file} holds no key: it has to be ${KEY_BYTES} bytes in base64, or two such lines`);
    }
    return new ClusterKey(secrets, next !== undefined);
  }

  /** Makes the key, readable by its owner only. */
  static make(data: string): ClusterKey {
    replaceFileSync(clusterKeyFile(data), ClusterKey.newText());
    return ClusterKey.read(data)!;
  }

  /** What the file of a new key has. */
  static newText(): string {
    return `${randomBytes(KEY_BYTES).toString('base64')}\n`;
  }

  /** Whether the key before is in the file, too. */
  get hasFormer(): boolean {
    return this.#secrets.length > 1 && !this.hasNext;
  }

  /** The text of a file with a new key below this one. */
  textWithNext(): string {
    return `${this.textAlone()}${NEXT}${ClusterKey.newText()}`;
  }

  /** The text of a file with all keys. */
  text(): string {
    const [first, second] = this.#secrets.map((secret) => secret.toString('base64'));
    return second === undefined ? `${first}\n` : `${first}\n${this.hasNext ? NEXT : ''}${second}\n`;
  }

  /** The text of a file with the first key alone. */
  textAlone(): string {
    return `${this.#secrets[0]!.toString('base64')}\n`;
  }

  /** These keys, with the next one in the first place. @throws Error if there is none */
  withNextFirst(): ClusterKey {
    if (!this.hasNext) {
      throw new Error('there is no next key');
    }
    return new ClusterKey([...this.#secrets].reverse(), false);
  }

  /**
   * Seals a text.
   * @param name of the key in etcd: it is opened for no other one
   * @param isLong true: it is compressed. Not for secrets: their length would say something of them
   */
  seal(name: string, text: string, isLong = false): Buffer {
    const body = isLong ? deflateRawSync(text, { level: 1 }) : Buffer.from(text);
    return this.#sealBody(name, Buffer.concat([Buffer.from([isLong ? DEFLATED : PLAIN]), body]));
  }

  /** Opens a value. @throws SealError if it was changed, is of another key, or of another name */
  open(name: string, value: Buffer): string {
    try {
      const all = this.#secrets.map((secret) => bodyOf(secret, name, value)).find((one) => one !== undefined)!;
      const body = all.subarray(1);
      return (all[0] === DEFLATED ? inflateRawSync(body, { maxOutputLength: MOST_BYTES }) : body).toString();
    } catch {
      throw sealError(name);
    }
  }

  /** Whether the first key has sealed a value. */
  hasSealed(name: string, value: Buffer): boolean {
    return bodyOf(this.#secrets[0]!, name, value) !== undefined;
  }

  /**
   * Seals a value again that the key before has sealed.
   * @returns undefined: the first key has sealed it
   * @throws SealError as `open`
   */
  sealAgain(name: string, value: Buffer): Buffer | undefined {
    if (this.hasSealed(name, value)) {
      return undefined;
    }
    const body = this.#secrets.slice(1).flatMap((secret) => bodyOf(secret, name, value) ?? [])[0];
    if (body === undefined) {
      throw sealError(name);
    }
    return this.#sealBody(name, body);
  }

  /** @param all how the text is written, and the text */
  #sealBody(name: string, all: Buffer): Buffer {
    const salt = randomBytes(SALT_BYTES);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, keyOf(this.#secrets[0]!, salt), nonce).setAAD(Buffer.from(name));
    const sealed = [cipher.update(all), cipher.final()];
    return Buffer.concat([Buffer.from([SEALED]), salt, nonce, ...sealed, cipher.getAuthTag()]);
  }
}

/** Writes the file. It gets the owner of the data directory, so root may call this for the controller. */
export function writeClusterKey(data: string, text: string): void {
  replaceOwned(clusterKeyFile(data), text);
}

/** What a value has, if this secret has sealed it with this name. */
function bodyOf(secret: Buffer, name: string, value: Buffer): Buffer | undefined {
  const from = 1 + SALT_BYTES + NONCE_BYTES;
  if (value[0] !== SEALED || value.length <= from + TAG_BYTES) {
    return undefined;
  }
  try {
    const key = keyOf(secret, value.subarray(1, 1 + SALT_BYTES));
    const nonce = value.subarray(1 + SALT_BYTES, from);
    const decipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(name)).setAuthTag(value.subarray(-TAG_BYTES));
    return Buffer.concat([decipher.update(value.subarray(from, -TAG_BYTES)), decipher.final()]);
  } catch {
    return undefined;
  }
}

function sealError(name: string): SealError {
  return new SealError(
    `the value of /mirrorplane/shared/${name} in etcd cannot be opened with cluster.key: it was changed, or is the value of another key. Nothing was overwritten. Find out who has written to etcd; "mirrorplane store restore" writes a backup in its place`,
  );
}

function keyOf(secret: Buffer, salt: Buffer): Buffer {
  return createHmac('sha256', secret).update('mirrorplane shared 1').update(salt).digest();
}
