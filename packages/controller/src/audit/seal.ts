/** What was in the audit log before it had a chain is sealed by the first checkpoint. */
import { createReadStream } from 'node:fs';
import { LineSplitter } from '@mirrorplane/contract/audit-lines';
import { type AuditSeal, SealedLines } from '@mirrorplane/contract/audit-seal';
import type { LogFile } from './files.ts';

/**
 * Seals of the whole lines of files: of all files, of all but the oldest, and so on. So they can be
 * removed one by one. Empty: there is no line.
 * @param list the newest first
 */
export async function sealsOf(list: readonly LogFile[]): Promise<AuditSeal[]> {
  const sealed: SealedLines[] = [];
  for (const { path } of list.toReversed()) {
    sealed.push(new SealedLines());
    const lines = new LineSplitter();
    for await (const piece of createReadStream(path)) {
      for (const line of lines.push(piece as Buffer)) {
        for (const one of sealed) {
          one.take(line);
        }
      }
    }
  }
  return sealed[0]?.seal.bytes ? sealed.map(({ seal }) => seal) : [];
}
