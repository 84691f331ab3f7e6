/**
 * The WireGuard keys of this node. They are made here, kept in a file that only the agent may read,
 * and given to the kernel. Nothing else sees a private key: no option, no log, no message.
 */
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { replaceFile } from '@mirrorplane/base';
import * as z from 'zod';
import { MAX_TUNNELS } from '../datapath/datapath.ts';

/** A key of this node. */
export interface NodeKey {
  /** 32 bytes. */
  privateKey: Buffer;
  /** 32 bytes, base64. */
  publicKey: string;
  /** Which device has the key: 0 or 1. */
  slot: number;
  /** Milliseconds since 1970. */
  madeAt: number;
}

/** Milliseconds after which a node gets another key. */
export const KEY_LIFE_MS = 30 * 24 * 60 * 60 * 1000;
/** Milliseconds for which a key that is no longer used stays. A program that names it may be on its way. */
export const KEY_REST_MS = 10 * 60 * 1000;

/** Bytes of a key. */
const KEY_BYTES = 32;
/** PKCS #8 of an X25519 key, before its 32 bytes (RFC 8410, section 7). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b656e04220420', 'hex');

const File = z.object({
  keys: z
    .array(
      z.object({
        privateKey: z.base64().length(44),
        slot: z
          .number()
          .int()
          .min(0)
          .max(MAX_TUNNELS - 1),
        madeAt: z.number(),
      }),
    )
    .max(MAX_TUNNELS),
});

/** Makes a key. @param now milliseconds since 1970 */
export function makeKey(slot: number, now: number): NodeKey {
  const { privateKey } = generateKeyPairSync('x25519');
  return keyOf(privateKey.export({ type: 'pkcs8', format: 'der' }).subarray(-KEY_BYTES), slot, now);
}

function keyOf(privateKey: Buffer, slot: number, madeAt: number): NodeKey {
  const secret = createPrivateKey({ key: Buffer.concat([PKCS8_HEAD, privateKey]), format: 'der', type: 'pkcs8' });
  return { privateKey, publicKey: publicPart(secret), slot, madeAt };
}

function publicPart(secret: KeyObject): string {
  const der = createPublicKey(secret).export({ type: 'spki', format: 'der' });
  return der.subarray(-KEY_BYTES).toString('base64');
}

/**
 * The keys that the node should have, the newest last. The first one is made, an old one gets a
 * successor in the other slot, and goes after nothing has used it for a while.
 * @param used public keys that the program in force names. Undefined: it is not known
 * @param now milliseconds since 1970
 * @returns the same array if nothing has to change
 */
export function renewKeys(
  keys: readonly NodeKey[],
  used: ReadonlySet<string> | undefined,
  now: number,
): readonly NodeKey[] {
  const newest = keys.at(-1);
  if (newest === undefined) {
    return [makeKey(0, now)];
  }
  const [older] = keys;
  if (older !== newest) {
    const rests = used !== undefined && !used.has(older!.publicKey) && now - newest.madeAt >= KEY_REST_MS;
    return rests ? [newest] : keys;
  }
  return now - newest.madeAt >= KEY_LIFE_MS ? [newest, makeKey(1 - newest.slot, now)] : keys;
}

/** The file with the keys. */
export class KeyFile {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  /** Empty if there is no file. @throws Error if it has no keys that can be read */
  async load(): Promise<NodeKey[]> {
    let content: string;
    try {
      content = await readFile(this.#path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
        return [];
      }
      throw error;
    }
    try {
      const { keys } = File.parse(JSON.parse(content));
      return keys.map(({ privateKey, slot, madeAt }) => keyOf(Buffer.from(privateKey, 'base64'), slot, madeAt));
    } catch {
      // The cause may quote the content.
      throw new Error(`${this.#path} has no keys of this version: remove it, and the agent makes another key`);
    }
  }

  /** Resolves when the keys are on disk. Only then may others be told of them. */
  async save(keys: readonly NodeKey[]): Promise<void> {
    const content = keys.map(({ privateKey, slot, madeAt }) => ({
      ...{ privateKey: privateKey.toString('base64'), slot, madeAt },
    }));
    await replaceFile(this.#path, JSON.stringify({ keys: content }));
  }
}
