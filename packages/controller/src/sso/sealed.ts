/**
 * Small data that a browser keeps for the controller: nobody else can read, change or make it. So
 * sign-ins that are under way take no memory here, and strangers cannot push each other out.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import * as z from 'zod';

const CIPHER = 'aes-256-gcm';
const IV_BYTES = 12;
const TAG_BYTES = 16;

const Sealed = z.object({ until: z.number(), what: z.unknown() });

/** Seals with a key that is made at the start: after a restart, what was sealed is not known. */
export class Sealer {
  readonly #key = randomBytes(32);
  readonly #clock: () => number;

  /** @param clock milliseconds since 1970 */
  constructor(clock: () => number) {
    this.#clock = clock;
  }

  /** @param purpose only `open` with the same purpose opens it @param ms how long it can be opened */
  seal(purpose: string, what: unknown, ms: number): string {
    const iv = randomBytes(IV_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, iv).setAAD(Buffer.from(purpose));
    const text = JSON.stringify({ until: this.#clock() + ms, what });
    return Buffer.concat([iv, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url');
  }

  /** What was sealed. Undefined: it was not sealed here for this purpose, or is too old. */
  open<S extends z.ZodType>(purpose: string, schema: S, sealed: string): z.output<S> | undefined {
    const bytes = Buffer.from(sealed, 'base64url');
    if (bytes.length < IV_BYTES + TAG_BYTES) {
      return undefined;
    }
    const decipher = createDecipheriv(CIPHER, this.#key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(purpose)).setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const text = Buffer.concat([decipher.update(bytes.subarray(IV_BYTES, -TAG_BYTES)), decipher.final()]).toString(
        'utf8',
      );
      const { until, what } = Sealed.parse(JSON.parse(text));
      return this.#clock() < until ? schema.safeParse(what).data : undefined;
    } catch {
      return undefined;
    }
  }
}
