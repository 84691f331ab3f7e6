/** Finds the end of the chain when the controller starts. */
import { randomBytes } from 'node:crypto';
import {
  type AuditKey,
  type ChainLine,
  type Checkpoint,
  hashOfLine,
  parseChainLine,
  signatureState,
} from '@mirrorplane/contract/audit-chain';
import { type ChainEnd, newChain } from './chain.ts';
import type { LogFile } from './files.ts';
import { newestFirst } from './reading.ts';

/** Lines that are searched for the last checkpoint. */
const MOST_LINES = 4096;

/** What a start finds. */
export interface FoundEnd {
  end: ChainEnd;
  /** Numbers that the store knows of, and that the files do not have. */
  lost?: { from: number; to: number };
  /** The checkpoint that the store has, if the files have another line in its place, or none. */
  replaced?: { seq: number; hash: string };
}

/** A signed checkpoint and its number. */
interface Signed {
  seq: number;
  checkpoint: Checkpoint;
}

/**
 * The end of the chain by the files and by the signed checkpoint in the store. If the store knows of
 * more lines than the files have, or of another one, the chain goes on behind the one that it knows:
 * what is missing or was made again is then found by every check. Only of checkpoints with a valid
 * signature anything is believed.
 * @param head line of the newest checkpoint that the store has
 * @param keys certificates of all authorities
 */
export async function findEnd(
  list: () => readonly LogFile[],
  head: string | undefined,
  keys: readonly AuditKey[],
): Promise<FoundEnd> {
  const line = head === undefined ? undefined : parseChainLine(head);
  const known = line && { line, hash: hashOfLine(head!), signed: signedOf(head!, line, keys) };
  const { last, hash, signed, unsigned, place } = await lastLines(list, keys, known?.line.seq);
  const newest = [signed, known?.signed].reduce((one, other) => ((other?.seq ?? 0) > (one?.seq ?? 0) ? other : one));
  const { log, first, key } = newest?.checkpoint ?? { ...newChain(randomBytes(8).toString('hex')), key: undefined };
  const end = { log, first, unsigned: 0, ...(key !== undefined && { key }) };
  if (known) {
    const { seq } = known.line;
    const behind = { ...end, seq: Math.max(seq, last?.seq ?? 0), hash: known.hash };
    if (seq > (last?.seq ?? 0)) {
      return { end: behind, lost: { from: (last?.seq ?? 0) + 1, to: seq } };
    }
    // What is older than the oldest line that is kept cannot be compared.
    if (place !== known.hash && seq >= first) {
      return { end: behind, replaced: { seq, hash: known.hash } };
    }
  }
  return { end: last ? { ...end, seq: last.seq, hash, unsigned } : newChain(log) };
}

function signedOf(text: string, line: ChainLine, keys: readonly AuditKey[]): Signed | undefined {
  const { seq, checkpoint } = line;
  return checkpoint && signatureState(text, line, keys) === 'valid' ? { seq, checkpoint } : undefined;
}

interface LastLines {
  last?: ChainLine;
  /** SHA-256 of the last line. */
  hash: string;
  /** The newest checkpoint with a valid signature. */
  signed?: Signed | undefined;
  /** Lines after it. */
  unsigned: number;
  /** SHA-256 of the line with the number that was asked for, by itself or by the line after it. */
  place?: string;
}

/** @param wanted number of a line that is looked for */
async function lastLines(
  list: () => readonly LogFile[],
  keys: readonly AuditKey[],
  wanted = Number.POSITIVE_INFINITY,
): Promise<LastLines> {
  const found: LastLines = { hash: '', unsigned: 0 };
  let lines = 0;
  for await (const { text } of newestFirst(list)) {
    const line = parseChainLine(text);
    if (line && !found.last) {
      found.last = line;
      found.hash = hashOfLine(text);
    }
    if (line?.seq === wanted) {
      found.place = hashOfLine(text);
    } else if (line?.seq === wanted + 1) {
      found.place = line.prev;
    }
    if (line && !found.signed) {
      found.signed = signedOf(text, line, keys);
      found.unsigned += found.signed ? 0 : 1;
    }
    lines++;
    if ((found.signed || lines >= MOST_LINES) && (line === undefined ? lines >= MOST_LINES : line.seq <= wanted)) {
      break;
    }
  }
  return found;
}
