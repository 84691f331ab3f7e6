/** Who has signed the checkpoints of an audit log, and whether they were to sign then. */
import { type AuditKey, type ChainLine, type SignatureState, signatureState } from './audit-chain.ts';

/** A fault of a signature. */
export interface SignatureFault {
  kind: 'forged' | 'unsigned';
  /** Number of the first entry that it is about. */
  seq: number;
  message: string;
}

/** Follows the authorities from one checkpoint to the next. */
export class AuditSigners {
  readonly #keys: readonly AuditKey[];
  /** The newest valid checkpoint. */
  #newest: { seq: number; key: string } | undefined;
  /** Authorities that others have replaced: they sign nothing any more. */
  readonly #former = new Set<string>();
  /** Authorities without a certificate, with their first checkpoint. */
  readonly #unknown = new Map<string, { seq: number; from: number }>();

  /** @param keys certificates of authorities. The first one is the newest */
  constructor(keys: readonly AuditKey[]) {
    this.#keys = keys;
  }

  /** Whether a line has a valid signature. */
  hasSigned(text: string, line: ChainLine): boolean {
    return signatureState(text, line, this.#keys) === 'valid';
  }

  /**
   * Takes a checkpoint in its place.
   * @param from number of the first entry that no earlier checkpoint vouches for
   */
  take(text: string, line: ChainLine, from: number): { state: SignatureState; fault?: SignatureFault } {
    const { seq } = line;
    const { key, former = [] } = line.checkpoint!;
    const state = signatureState(text, line, this.#keys);
    const entries = `one of the entries ${from} to ${seq} was changed`;
    if (state === 'wrong') {
      const message = `the signature of checkpoint ${seq} does not fit: ${entries}, and the hashes were made again without the key`;
      return { state, fault: { kind: 'forged', seq: from, message } };
    }
    if (this.#former.has(key)) {
      const message = `checkpoint ${seq} names the authority ${short(key)}, which another one had replaced before: ${entries} by someone who has its key`;
      return { state, fault: { kind: 'forged', seq: from, message } };
    }
    if (state === 'unknown') {
      this.#unknown.set(key, this.#unknown.get(key) ?? { seq, from });
      return { state };
    }
    const replaced = this.#newest === undefined ? [] : [this.#newest.key];
    for (const one of [...former, ...replaced].filter((one) => one !== key)) {
      this.#former.add(one);
      // The one that has replaced it vouches for it.
      this.#unknown.delete(one);
    }
    this.#newest = { seq, key };
    return { state };
  }

  /** What is wrong with the signatures as a whole. @param first number of the first line */
  end(first: number): SignatureFault | undefined {
    const [unknown] = this.#unknown;
    if (unknown) {
      const [key, { seq, from }] = unknown;
      const message = `checkpoint ${seq} names the authority ${short(key)}, whose certificate is not given: name the certificates of all authorities, or one of the entries ${from} to ${seq} was changed and the signature made up`;
      return { kind: 'unsigned', seq: from, message };
    }
    if (this.#newest && this.#newest.key !== this.#keys[0]?.fingerprint) {
      const message = `checkpoint ${this.#newest.seq}, the newest signed one, is not signed by the newest authority: name the newest certificate first, or the log was made again with the key of an earlier one`;
      return { kind: 'forged', seq: first, message };
    }
    return undefined;
  }
}

function short(key: string): string {
  return String(key).slice(0, 16);
}
