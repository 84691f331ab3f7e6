/**
 * The key of the cluster: DATA/cluster.key, the same on every controller. It seals what controllers
 * share in etcd: AES-256-GCM, bound to the name of its key there. Each value has a key of its own,
 * made of this one and of random bytes, so that no two values share a key and a nonce.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { replaceFileSync } from '@mirrorplane/base';
import { readSecretFile } from '@mirrorplane/daemon';

const KEY_BYTES = 32;
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

/** Path of the key. */
export const clusterKeyFile = (data: string) => path.join(data, 'cluster.key');

export class ClusterKey {
  readonly #secret: Buffer;

  private constructor(secret: Buffer) {
    this.#secret = secret;
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
    const secret = Buffer.from(readSecretFile(file, 'the key of the cluster'), 'base64');
    if (secret.length !== KEY_BYTES) {
      throw new Error(`${file} holds no key: it has to be ${KEY_BYTES} bytes in base64`);
    }
    return new ClusterKey(secret);
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

  /**
   * Seals a text.
   * @param name of the key in etcd: it is opened for no other one
   * @param isLong true: it is compressed. Not for secrets: their length would say something of them
   */
  seal(name: string, text: string, isLong = false): Buffer {
    const body = isLong ? deflateRawSync(text, { level: 1 }) : Buffer.from(text);
    const salt = randomBytes(SALT_BYTES);
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#keyOf(salt), nonce).setAAD(Buffer.from(name));
    const how = Buffer.from([isLong ? DEFLATED : PLAIN]);
    return Buffer.concat([
      Buffer.from([SEALED]),
      salt,
      nonce,
      cipher.update(how),
      cipher.update(body),
      cipher.final(),
      cipher.getAuthTag(),
    ]);
  }

  /** Opens a value. @throws SealError if it was changed, is of another key, or of another name */
  open(name: string, value: Buffer): string {
    const from = 1 + SALT_BYTES + NONCE_BYTES;
    try {
      if (value[0] !== SEALED || value.length <= from + TAG_BYTES) {
        throw new Error('it is not sealed');
      }
      const nonce = value.subarray(1 + SALT_BYTES, from);
      const decipher = createDecipheriv(CIPHER, this.#keyOf(value.subarray(1, 1 + SALT_BYTES)), nonce, {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(name)).setAuthTag(value.subarray(-TAG_BYTES));
      const all = Buffer.concat([decipher.update(value.subarray(from, -TAG_BYTES)), decipher.final()]);
      const body = all.subarray(1);
      return (all[0] === DEFLATED ? inflateRawSync(body, { maxOutputLength: MOST_BYTES }) : body).toString();
    } catch {
      throw new SealError(
        `the value of /mirrorplane/shared/${name} in etcd cannot be opened with cluster.key: it was changed, or is the value of another key. Nothing was overwritten. Find out who has written to etcd; "mirrorplane store restore" writes a backup in its place`,
      );
    }
  }

  #keyOf(salt: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update('mirrorplane shared 1').update(salt).digest();
  }
}
