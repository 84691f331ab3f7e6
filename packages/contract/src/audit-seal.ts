/** What was in the audit log before it had a chain is sealed by the first checkpoint. */
import { createHash } from 'node:crypto';

/** Size and SHA-256 of lines, each with its line end. */
export interface AuditSeal {
  bytes: number;
  /** In hex. */
  sha256: string;
}

/** Takes lines one by one, and gives their seal. */
export class SealedLines {
  readonly #hash = createHash('sha256');
  #bytes = 0;

  /** Takes a line without its end. */
  take(text: string): void {
    this.#hash.update(`${text}\n`);
    this.#bytes += Buffer.byteLength(text) + 1;
  }

  /** Of all lines that were taken. */
  get seal(): AuditSeal {
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest('hex') };
  }

  /** Whether these are the lines of one of the seals. */
  isIn(seals: readonly AuditSeal[]): boolean {
    const { bytes, sha256 } = this.seal;
    return seals.some((seal) => seal.bytes === bytes && seal.sha256 === sha256);
  }
}
