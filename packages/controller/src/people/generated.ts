/** Secrets that the controller makes for people: easy to read, easy to type, impossible to guess. */
import { createHash, randomInt } from 'node:crypto';

/** Letters and digits without those that look alike, and without vowels, so that no words appear. */
const ALPHABET = 'bcdfghjkmnpqrstvwxz23456789';
/** Consonants in capitals (RFC 8628, 6.1). */
const CODE_ALPHABET = 'BCDFGHJKLMNPQRSTVWXZ';

/** A password of 24 characters, 114 bits, in six groups. */
export function newPassword(): string {
  return grouped(ALPHABET, 6, 4);
}

/** A recovery code of 16 characters, 76 bits, in four groups. */
export function newRecoveryCode(): string {
  return grouped(ALPHABET, 4, 4);
}

/** A code that a person reads from one screen and types at another: 8 characters, 34 bits. */
export function newUserCode(): string {
  return grouped(CODE_ALPHABET, 2, 4);
}

/** A code as a person has typed it: in capitals, with one hyphen. Undefined: it is none. */
export function userCodeOf(text: string): string | undefined {
  const letters = text.toUpperCase().replaceAll(/[^A-Z]/g, '');
  return letters.length === 8 ? `${letters.slice(0, 4)}-${letters.slice(4)}` : undefined;
}

/** What is kept of a recovery code, also if it is typed with spaces or in capitals. */
export function recoveryDigest(text: string): string {
  return createHash('sha256')
    .update(text.toLowerCase().replaceAll(/[^a-z0-9]/g, ''))
    .digest('hex');
}

function grouped(alphabet: string, groups: number, length: number): string {
  const letter = () => alphabet[randomInt(alphabet.length)]!;
  return Array.from({ length: groups }, () => Array.from({ length }, letter).join('')).join('-');
}
