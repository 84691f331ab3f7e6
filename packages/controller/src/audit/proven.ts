/** Tells lines of the chain from others, while the log is read from its end. Pure. */
import {
  type AuditKey,
  type ChainLine,
  hashOfLine,
  NO_LINE,
  parseChainLine,
  signatureState,
} from '@mirrorplane/contract/audit-chain';

/**
 * What a line is. `older`: it is before the chain began, so nothing proves it. `foreign`: the chain
 * does not have it: somebody else has written or changed it. `newer`: it was written after the
 * reading began.
 */
export type Standing = 'proven' | 'older' | 'foreign' | 'newer';

/** Nothing was before the chain, and nothing is. */
const NOTHING = '';

/** Takes lines, the newest first. */
export class Backwards {
  readonly #keys: readonly AuditKey[];
  #next: string;
  /** Number of the newest line that can be of the chain. */
  #newest: number;

  /**
   * @param next SHA-256 of the line that comes next, as `next` of an earlier reading
   * @param newest number of the newest line
   * @param keys certificates of all authorities that have signed
   */
  constructor(next: string, newest: number, keys: readonly AuditKey[]) {
    this.#next = next;
    this.#newest = newest;
    this.#keys = keys;
  }

  /** SHA-256 of the line that the chain has next. */
  get next(): string {
    return this.#next;
  }

  /** Judges the next older line. */
  judge(text: string): Standing {
    const line = parseChainLine(text);
    if (line && hashOfLine(text) === this.#next) {
      return this.#accept(line);
    }
    if (line && line.seq > this.#newest) {
      return 'newer';
    }
    // Behind a line that was changed or removed, the chain is found again by a signature.
    if (line?.checkpoint && this.#next.length > 0 && signatureState(text, line, this.#keys) === 'valid') {
      return this.#accept(line);
    }
    return !line && this.#next === NO_LINE ? 'older' : 'foreign';
  }

  #accept({ seq, prev, checkpoint }: ChainLine): Standing {
    // The first checkpoint says whether there was a log before the chain.
    const isFirst = prev === NO_LINE && checkpoint !== undefined;
    this.#next = isFirst && !checkpoint.unchained ? NOTHING : prev;
    this.#newest = seq;
    return 'proven';
  }
}
