/** Finds the end of the chain when the controller starts. */
import { randomBytes } from 'node:crypto';
import { type ChainLine, hashOfLine, parseChainLine } from '@mirrorplane/contract/audit-chain';
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
}

/**
 * The end of the chain by the files and by the signed checkpoint in the store. If the store knows of
 * more lines than the files have, the chain goes on behind them: what is missing is then found by
 * every check.
 * @param head line of the newest checkpoint that the store has
 */
export async function findEnd(list: () => readonly LogFile[], head: string | undefined): Promise<FoundEnd> {
  const known = head === undefined ? undefined : parseChainLine(head);
  const { last, hash, checkpoint, unsigned } = await lastLines(list);
  const { log, first } = checkpoint ?? known?.checkpoint ?? newChain(randomBytes(8).toString('hex'));
  if (known && known.seq > (last?.seq ?? 0)) {
    const lost = { from: (last?.seq ?? 0) + 1, to: known.seq };
    return { end: { log, seq: known.seq, hash: hashOfLine(head!), first, unsigned: 0 }, lost };
  }
  return { end: last ? { log, seq: last.seq, hash, first, unsigned } : newChain(log) };
}

interface LastLines {
  last?: ChainLine;
  /** SHA-256 of the last line. */
  hash: string;
  /** The newest checkpoint. */
  checkpoint?: ChainLine['checkpoint'];
  /** Lines after it. */
  unsigned: number;
}

async function lastLines(list: () => readonly LogFile[]): Promise<LastLines> {
  const found: LastLines = { hash: '', unsigned: 0 };
  let lines = 0;
  for await (const { text } of newestFirst(list)) {
    const line = parseChainLine(text);
    if (line && !found.last) {
      found.last = line;
      found.hash = hashOfLine(text);
    }
    if (line?.checkpoint) {
      found.checkpoint = line.checkpoint;
      break;
    }
    found.unsigned += line ? 1 : 0;
    if (++lines >= MOST_LINES) {
      break;
    }
  }
  return found;
}
