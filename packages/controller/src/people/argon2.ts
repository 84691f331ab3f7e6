/**
 * Argon2id of passwords (RFC 9106), as text in the PHC form
 * `$argon2id$v=19$m=…,t=…,p=…$SALT$HASH`. It runs in the thread pool of Node.js.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';

/** Minimum of the OWASP Password Storage Cheat Sheet: 19 MiB, 2 passes, 1 lane. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const HASH_BYTES = 32;

const FORM = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,64})\$([A-Za-z0-9+/]{22,128})$/;

/**
 * A hash that no password has. It takes the same time to compare with as one of a user, so that the
 * time of an answer does not tell whether there is such a user.
 */
export const NOBODYS_HASH = `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${'A'.repeat(22)}$${'A'.repeat(43)}`;

/** The hash of a password, with a new salt. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(SALT_BYTES);
  const hash = await derive(password, { salt, memory: MEMORY_KIB, passes: PASSES, lanes: LANES, bytes: HASH_BYTES });
  return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Whether a password has this hash. False where the text is no hash. */
export async function matchesHash(password: string, text: string): Promise<boolean> {
  const match = FORM.exec(text);
  if (!match) {
    return false;
  }
  const [, memory, passes, lanes, salt, hash] = match;
  const expected = Buffer.from(hash!, 'base64');
  const found = await derive(password, {
    salt: Buffer.from(salt!, 'base64'),
    memory: Number(memory),
    passes: Number(passes),
    lanes: Number(lanes),
    bytes: expected.length,
  });
  return timingSafeEqual(found, expected);
}

interface Parameters {
  salt: Buffer;
  /** KiB. */
  memory: number;
  passes: number;
  lanes: number;
  bytes: number;
}

/** Equal characters have several forms in Unicode. A password is taken in the form NFKC. */
function derive(password: string, { salt, memory, passes, lanes, bytes }: Parameters): Promise<Buffer> {
  const message = Buffer.from(password.normalize('NFKC'));
  const parameters = { message, nonce: salt, memory, passes, parallelism: lanes, tagLength: bytes };
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, key) => (error ? reject(error) : resolve(key)));
  });
}

/** Base64 without padding, as the PHC form has it. */
function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
