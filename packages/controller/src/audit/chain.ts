/** Makes the lines of the audit log: numbers, hashes and signatures. Pure but for the signer. */
import { type AuditEntry, jsonText } from '@mirrorplane/contract';
import { auditKeys, type Checkpoint, hashOfLine, NO_LINE } from '@mirrorplane/contract/audit-chain';

/** Signs with the key of the authority. */
export interface Signer {
  /** SHA-256 of the certificate (DER) of the authority that signs now, in hex. */
  readonly fingerprint: string;
  /** Certificates of all authorities that have signed, PEM. The first one signs now. */
  readonly pem: string;
  /** Signature of a text by that authority: ECDSA with SHA-256, DER, base64. */
  signText(text: string): Promise<string>;
}

/** The end of a chain. */
export interface ChainEnd {
  /** Id of the log. */
  log: string;
  /** Number and SHA-256 of the last line. 0: there is none. */
  seq: number;
  hash: string;
  /** Number of the oldest line that is kept. */
  first: number;
  /** Lines since the last checkpoint. */
  unsigned: number;
  /** Authority of the last checkpoint. Undefined: there is none. */
  key?: string;
}

/** The end of a chain that has no line yet. */
export function newChain(log: string): ChainEnd {
  return { log, seq: 0, hash: NO_LINE, first: 1, unsigned: 0 };
}

/**
 * The line of an entry, and the end of the chain with it. Lines are shown as they are, so they have
 * no raw control characters.
 */
export function entryLine(end: ChainEnd, entry: Omit<AuditEntry, 'seq' | 'prev'>): { text: string; end: ChainEnd } {
  const seq = end.seq + 1;
  const text = jsonText({ seq, prev: end.hash, ...entry });
  return { text, end: { ...end, seq, hash: hashOfLine(text), unsigned: end.unsigned + 1 } };
}

/** What a checkpoint says besides what follows from the chain. */
export type CheckpointDetails = Omit<Checkpoint, 'log' | 'key' | 'first' | 'former'> & { first?: number };

/**
 * The line of a checkpoint, signed, and the end of the chain with it.
 * @param time ISO 8601
 */
export async function checkpointLine(
  end: ChainEnd,
  signer: Signer,
  time: string,
  { first = end.first, ...details }: CheckpointDetails,
): Promise<{ text: string; end: ChainEnd }> {
  const seq = end.seq + 1;
  const key = signer.fingerprint;
  const former = end.key === key ? [] : formerOf(signer);
  const checkpoint: Checkpoint = { log: end.log, first, key, ...details, ...(former.length > 0 && { former }) };
  const part = jsonText({ seq, prev: end.hash, time, checkpoint }).slice(0, -1);
  const text = `${part},"signature":"${await signer.signText(part)}"}`;
  return { text, end: { log: end.log, seq, hash: hashOfLine(text), first, unsigned: 0, key } };
}

/** Authorities that the one that signs now has replaced. */
function formerOf({ pem, fingerprint }: Signer): string[] {
  return auditKeys(pem).flatMap((key) => (key.fingerprint === fingerprint ? [] : key.fingerprint));
}
