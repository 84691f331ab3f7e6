/** Checks the chain of an audit log line by line, and says in a sentence what was done to it. */
import type { AUDIT_FAULTS } from './audit.ts';
import {
  type AuditKey,
  type ChainLine,
  type Checkpoint,
  hashOfLine,
  NO_LINE,
  parseChainLine,
  SIGN_EVERY,
} from './audit-chain.ts';
import { SealedLines } from './audit-seal.ts';
import { AuditSigners } from './audit-signers.ts';

/** The first fault of a log. */
export interface AuditFault {
  kind: (typeof AUDIT_FAULTS)[number];
  /** Number of the first entry that it is about. */
  seq: number;
  message: string;
}

/** The result of a check. */
export interface AuditVerdict {
  fault?: AuditFault;
  /** Numbers of the first and the last line of the chain. 0: there is none. */
  first: number;
  last: number;
  /** SHA-256 of the last line. */
  hash: string;
  /** All lines up to this one are signed by a given certificate. 0: none is. */
  signed: number;
  /** Time of the signature. */
  signedAt?: string;
  /** Lines before the chain began. */
  unchained: number;
  /** The last line has no end: the log was copied or the host has failed while it was written. */
  isTorn: boolean;
}

/** Lines without a signature at the end that a controller can leave: those of one more batch. */
const MOST_UNSIGNED = 2 * SIGN_EVERY;

/** A fault that is told for certain by the line after it. */
interface Suspect {
  /** `unreadable`: a line that is none stands after `seq`. `hash`: line `seq` names another hash. */
  kind: 'unreadable' | 'hash';
  seq: number;
  /** SHA-256 of the suspect line. */
  hash: string;
  isSigned: boolean;
}

/** Takes the lines of a log, the oldest first, and gives the verdict. */
export class ChainCheck {
  readonly #signers: AuditSigners;
  readonly #head: { text: string; line: ChainLine } | undefined;
  readonly #verdict: AuditVerdict = { first: 0, last: 0, hash: NO_LINE, signed: 0, unchained: 0, isTorn: false };
  #suspect: Suspect | undefined;
  /** A line that is not in its place. If it comes later, it was moved. */
  #missing: { seq: number; before: number } | undefined;
  #newest: Checkpoint | undefined;
  #where = '';
  /** What is before the chain. */
  readonly #before = new SealedLines();

  /**
   * @param keys certificates of all authorities that have signed. The first one is the newest
   * @param head line of a checkpoint that was kept elsewhere: the log has to have it
   */
  constructor(keys: readonly AuditKey[], head?: string) {
    this.#signers = new AuditSigners(keys);
    const line = head === undefined ? undefined : parseChainLine(head);
    this.#head = line && { text: head!, line };
  }

  /** The next lines are of this file. */
  file(name: string): void {
    this.#where = name;
  }

  /** Takes a line without its end. Returns false if there is a fault and nothing more to find. */
  take(text: string): boolean {
    if (this.#verdict.fault) {
      return this.#lookForMissing(text);
    }
    const line = parseChainLine(text);
    if (line?.checkpoint?.replaced && this.#signers.hasSigned(text, line)) {
      this.#fail(...replaced(line.checkpoint.replaced.seq, line.seq, this.#verdict.signed, this.#at()));
    } else if (this.#suspect) {
      this.#judgeSuspect(this.#suspect, line);
    } else if (this.#verdict.first === 0) {
      this.#begin(text, line);
    } else {
      this.#follow(text, line);
    }
    return true;
  }

  /** The last line has no end, so it was never acknowledged. */
  torn(): void {
    this.#verdict.isTorn = true;
  }

  /** The verdict on all lines that were taken. */
  end(): AuditVerdict {
    if (this.#suspect) {
      this.#judgeLast(this.#suspect);
    } else if (!this.#verdict.fault) {
      this.#judgeBegin();
      this.#judgeEnd();
    }
    return this.#verdict;
  }

  #begin(text: string, line: ChainLine | undefined): void {
    if (!line) {
      this.#verdict.unchained++;
      this.#before.take(text);
      return;
    }
    if (!line.checkpoint) {
      const message = `the log begins with entry ${line.seq}, which is no signed checkpoint: what was before it was removed`;
      this.#fail('removed', Math.max(1, line.seq - 1), message);
      return;
    }
    this.#verdict.first = line.seq;
    const { unchained } = line.checkpoint;
    if (unchained && !this.#before.isIn(unchained)) {
      this.#fail('changed', line.seq, `the lines before the chain were changed since it began${this.#at()}`);
    } else if (!unchained && this.#verdict.unchained > 0) {
      const lines =
        this.#verdict.unchained === 1
          ? '1 line without a chain was'
          : `${this.#verdict.unchained} lines without a chain were`;
      const message = `${lines} inserted before the chain: its first checkpoint ${line.seq} does not seal them`;
      this.#fail('inserted', line.seq, message + this.#at());
    } else {
      this.#accept(text, line);
    }
  }

  #follow(text: string, line: ChainLine | undefined): void {
    const { last, hash } = this.#verdict;
    const expected = last + 1;
    if (!line) {
      this.#suspect = { kind: 'unreadable', seq: last, hash: '', isSigned: false };
    } else if (line.seq === expected && line.prev === hash) {
      this.#accept(text, line);
    } else if (line.seq === expected) {
      const isSigned = this.#signers.hasSigned(text, line);
      this.#suspect = { kind: 'hash', seq: expected, hash: hashOfLine(text), isSigned };
    } else if (line.prev === hash) {
      this.#fail('changed', expected, `entry ${expected} was changed: its number is ${line.seq} now${this.#at()}`);
    } else if (line.seq > expected) {
      this.#missing = { seq: expected, before: line.seq };
      const message = `${entries(expected, line.seq - 1)} missing: removed between entry ${last} and entry ${line.seq}`;
      this.#fail('removed', expected, message + this.#at());
    } else {
      const message = `a line was inserted after entry ${last}: it has the number ${line.seq} again${this.#at()}`;
      this.#fail('inserted', last, message);
    }
  }

  #accept(text: string, line: ChainLine): void {
    const { seq, checkpoint } = line;
    const hash = hashOfLine(text);
    if (checkpoint) {
      const { state, fault } = this.#signers.take(text, line, Math.min(this.#verdict.signed + 1, seq));
      if (fault) {
        this.#fail(fault.kind, fault.seq, fault.message + this.#at());
        return;
      }
      if (state === 'valid') {
        this.#verdict.signed = seq;
        this.#verdict.signedAt = line.time;
        this.#newest = checkpoint;
      }
    }
    this.#verdict.last = seq;
    this.#verdict.hash = hash;
    if (this.#head?.line.seq === seq && hashOfLine(this.#head.text) !== hash) {
      const message = `line ${seq} is not the signed checkpoint that was kept elsewhere: the log was changed before it, and made again`;
      this.#fail('changed', seq, message + this.#at());
    }
  }

  #judgeSuspect({ kind, seq, hash }: Suspect, next: ChainLine | undefined): void {
    if (kind === 'unreadable') {
      const isInserted = next?.seq === seq + 1 && next.prev === this.#verdict.hash;
      this.#fail(...(isInserted ? foreign(seq, this.#at()) : unreadable(seq + 1, this.#at())));
      return;
    }
    const isIntact = next?.seq === seq + 1 && next.prev === hash;
    this.#fail(...changed(isIntact ? seq - 1 : seq, isIntact ? seq : seq + 1, this.#at()));
  }

  #judgeLast({ kind, seq, isSigned }: Suspect): void {
    if (kind === 'unreadable') {
      this.#fail(...unreadable(seq + 1, this.#at()));
    } else if (isSigned) {
      this.#fail(...changed(seq - 1, seq, this.#at()));
    } else {
      this.#fail('changed', seq - 1, `entry ${seq - 1} or entry ${seq} was changed: they do not fit${this.#at()}`);
    }
  }

  /** The log has to begin where the newest checkpoint says. */
  #judgeBegin(): void {
    const { first } = this.#verdict;
    const kept = (this.#head && this.#head.line.seq > this.#verdict.signed ? this.#head.line.checkpoint : this.#newest)
      ?.first;
    if (first > 0 && kept !== undefined && first > kept) {
      const message = `${entries(kept, first - 1)} missing: the log begins with entry ${first}, and they were not removed by age or size`;
      this.#fail('removed', kept, message);
    }
  }

  /** The log has to reach the head that was kept elsewhere, and has to be signed. */
  #judgeEnd(): void {
    const { last, signed, first, fault } = this.#verdict;
    const head = this.#head?.line.seq ?? 0;
    const unsigned = this.#signers.end(first);
    if (fault) {
      return;
    }
    if (head > last) {
      const message = `${entries(last + 1, head)} missing at the end: the log was cut short, or is an older copy`;
      this.#fail('truncated', last + 1, message);
    } else if (last > 0 && signed === 0) {
      const message = `no checkpoint from ${first} to ${last} is signed by a given certificate: name the certificate of the authority, or the log is not of this controller`;
      this.#fail('unsigned', first, message);
    } else if (unsigned) {
      this.#fail(unsigned.kind, unsigned.seq, unsigned.message);
    } else if (last - signed > MOST_UNSIGNED) {
      const message = `the entries ${signed + 1} to ${last} are not signed: a controller signs after ${SIGN_EVERY} entries`;
      this.#fail('unsigned', signed + 1, message);
    }
  }

  #lookForMissing(text: string): boolean {
    if (this.#missing === undefined) {
      return false;
    }
    const { seq, before } = this.#missing;
    if (parseChainLine(text)?.seq === seq) {
      const message = `entry ${seq} is not in its place: it stands behind entry ${before}`;
      this.#verdict.fault = { kind: 'reordered', seq, message: message + this.#at() };
      this.#missing = undefined;
      return false;
    }
    return true;
  }

  #fail(kind: AuditFault['kind'], seq: number, message: string): void {
    this.#suspect = undefined;
    this.#verdict.fault ??= { kind, seq, message };
  }

  #at(): string {
    return this.#where === '' ? '' : ` (in ${this.#where})`;
  }
}

type Failure = [kind: AuditFault['kind'], seq: number, message: string];

function changed(seq: number, by: number, at: string): Failure {
  return ['changed', seq, `entry ${seq} was changed: its line does not have the hash that entry ${by} names${at}`];
}

/** A start has found a line other than the checkpoint that was kept in the store. */
function replaced(seq: number, by: number, signed: number, at: string): Failure {
  const from = Math.min(signed + 1, seq);
  const message = `line ${seq} was not the signed checkpoint that the store of the controller had kept: one of the entries ${from} to ${seq} was changed or removed, and the hashes were made again, before the start that signed line ${by}`;
  return ['forged', from, message + at];
}

function unreadable(seq: number, at: string): Failure {
  return ['changed', seq, `entry ${seq} was changed: its line cannot be read${at}`];
}

function foreign(seq: number, at: string): Failure {
  return ['inserted', seq, `a line was inserted after entry ${seq}: it is no entry of the log${at}`];
}

function entries(from: number, to: number): string {
  return from === to ? `entry ${from} is` : `the entries ${from} to ${to} are`;
}
