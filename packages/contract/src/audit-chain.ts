/**
 * The chain of the audit log. Each line has a number and the SHA-256 of the line before it. A line
 * that is a checkpoint is signed with the key of the controller's authority, and so are by it all
 * lines before it. docs/audit.md says how to verify the same with openssl.
 */
import { createHash, type KeyObject, verify, X509Certificate } from 'node:crypto';
import type { AuditSeal } from './audit-seal.ts';
import { certificatesIn, fingerprintOf } from './certificate-text.ts';

/** `prev` of the first line of a chain. */
export const NO_LINE = '0'.repeat(64);
/** Lines after which the controller signs at the latest. */
export const SIGN_EVERY = 256;

/** Why a checkpoint was written. `begin` is the first line of a chain. */
export const CHECKPOINT_REASONS = ['begin', 'start', 'count', 'time', 'rotation', 'removal', 'close'] as const;

/** What a checkpoint says besides its number, the hash and the time. */
export interface Checkpoint {
  /** Id of the log, the same for all its life. */
  log: string;
  reason: (typeof CHECKPOINT_REASONS)[number];
  /** Number of the oldest line that the controller keeps. */
  first: number;
  /** SHA-256 of the authority's certificate (DER), in hex. */
  key: string;
  /** Lines that a start signs, and that the run before it had not signed: it was killed. */
  unsigned?: number;
  /** Bytes of a last line that a crash had cut short. The start has removed them. */
  torn?: number;
  /** The numbers of lines that the store knows of, and that a start did not find. */
  lost?: { from: number; to: number };
  /**
   * What was in the files before the chain began: in all of them, in all but the oldest, and so on,
   * because the oldest ones are removed first.
   */
  unchained?: AuditSeal[];
  /** SHA-256 of certificates of earlier authorities. From this line on they sign nothing. */
  former?: string[];
  /**
   * The checkpoint that the store had kept, if a start found another line in its place, or none. The
   * chain goes on behind the one that was kept.
   */
  replaced?: { seq: number; hash: string };
  /** Bytes of the file before the one that begins with this line. */
  full?: number;
}

/** The fields of a line that make the chain. */
export interface ChainLine {
  seq: number;
  prev: string;
  time: string;
  checkpoint?: Checkpoint;
  signature?: string;
}

/** SHA-256 of a line without its line end, in hex. */
export function hashOfLine(line: string | Buffer): string {
  return createHash('sha256').update(line).digest('hex');
}

/** Reads a line. Undefined: it is no line of a chain. */
export function parseChainLine(text: string): ChainLine | undefined {
  let line: Partial<ChainLine> | null;
  try {
    line = JSON.parse(text) as typeof line;
  } catch {
    return undefined;
  }
  const isLine =
    Number.isSafeInteger(line?.seq) && /^[0-9a-f]{64}$/.test(String(line!.prev)) && typeof line!.time === 'string';
  const isCheckpoint = line?.checkpoint === undefined || Number.isSafeInteger(line.checkpoint?.first);
  return isLine && isCheckpoint ? (line as ChainLine) : undefined;
}

/** The signature is of this part of a checkpoint: the line up to its field `signature`. */
export function signedPart(line: string): string {
  return line.slice(0, Math.max(0, line.lastIndexOf(',"signature":"')));
}

/** A certificate of an authority. */
export interface AuditKey {
  /** SHA-256 of the certificate (DER), in hex. */
  fingerprint: string;
  key: KeyObject;
}

/** The certificates in a PEM text. @throws Error if there is none, or one cannot be read */
export function auditKeys(pem: string): AuditKey[] {
  const texts = certificatesIn(pem);
  if (texts.length === 0) {
    throw new Error('there is no certificate in it (PEM)');
  }
  return texts.map((text) => {
    const certificate = new X509Certificate(text);
    return { fingerprint: fingerprintOf(certificate.raw), key: certificate.publicKey };
  });
}

/** `unknown`: none of the keys has signed it. */
export type SignatureState = 'valid' | 'wrong' | 'unknown';

/** Judges the signature of a checkpoint: ECDSA with SHA-256, DER, base64. */
export function signatureState(text: string, line: ChainLine, keys: readonly AuditKey[]): SignatureState {
  const known = keys.find(({ fingerprint }) => fingerprint === line.checkpoint?.key);
  if (!known) {
    return 'unknown';
  }
  const signature = Buffer.from(line.signature ?? '', 'base64');
  return verify('sha256', Buffer.from(signedPart(text)), known.key, signature) ? 'valid' : 'wrong';
}
