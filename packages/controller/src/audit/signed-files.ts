/**
 * What signed lines say of the files of the audit log. The times and sizes that the file system has
 * can be changed by hand, and so let a file be removed that is not old.
 */
import { open } from 'node:fs/promises';
import { type AuditKey, type ChainLine, parseChainLine, signatureState } from '@mirrorplane/contract/audit-chain';
import type { LogFile } from './files.ts';

/** Bytes of a file that are enough to read a checkpoint. */
const HEAD_BYTES = 16 * 1024;

/** A file of the log. */
export interface SignedFile extends LogFile {
  /** Its size when it was full. If no signed line says that, its size now. */
  bytes: number;
  /** All its lines are older, milliseconds since 1970. Infinity: no signed line says so. */
  endedAt: number;
  /** Number of its first line, if that is signed. */
  first?: number;
}

/** The files with what the signed first lines of the files after them say. @param list the newest first */
export async function asSigned(list: readonly LogFile[], keys: readonly AuditKey[]): Promise<SignedFile[]> {
  const files: SignedFile[] = [];
  let endedAt = Number.POSITIVE_INFINITY;
  let full: number | undefined;
  for (const file of list) {
    const line = await signedFirstLine(file.path, keys);
    files.push({ ...file, bytes: full ?? file.bytes, endedAt, ...(line && { first: line.seq }) });
    endedAt = line ? Date.parse(line.time) : endedAt;
    full = line?.checkpoint?.full;
  }
  return files;
}

/** The first line of a file. Undefined: it is no checkpoint with a valid signature. */
async function signedFirstLine(path: string, keys: readonly AuditKey[]): Promise<ChainLine | undefined> {
  const file = await open(path, 'r');
  try {
    const begin = Buffer.alloc(HEAD_BYTES);
    const { bytesRead } = await file.read(begin, 0, HEAD_BYTES, 0);
    const end = begin.subarray(0, bytesRead).indexOf('\n');
    const text = begin.toString('utf8', 0, Math.max(0, end));
    const line = parseChainLine(text);
    return line?.checkpoint && signatureState(text, line, keys) === 'valid' ? line : undefined;
  } finally {
    await file.close();
  }
}
