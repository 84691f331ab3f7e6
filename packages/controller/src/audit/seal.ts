/** What was in the audit log before it had a chain is sealed by the first checkpoint. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Checkpoint } from '@mirrorplane/contract/audit-chain';

/** Size and SHA-256 of the beginning of a file. @param bytes at least 1 */
export async function sealOf(path: string, bytes: number): Promise<NonNullable<Checkpoint['unchained']>> {
  const hash = createHash('sha256');
  for await (const piece of createReadStream(path, { start: 0, end: bytes - 1 })) {
    hash.update(piece as Buffer);
  }
  return { bytes, sha256: hash.digest('hex') };
}
