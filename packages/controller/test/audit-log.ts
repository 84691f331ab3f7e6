/** A real audit log in a folder, signed by a real authority, and the check of its files. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { auditKeys } from '@mirrorplane/contract/audit-chain';
import { type AuditVerdict, ChainCheck } from '@mirrorplane/contract/audit-check';
import { AuditLog, type AuditOptions } from '../src/audit/audit.ts';
import { auditSigner } from '../src/auth/audit-signer.ts';
import { Authority } from '../src/auth/authority.ts';

/** A place for the head of a log, as the store is. */
export class TestHeads {
  line: string | undefined;
  async read(): Promise<string | undefined> {
    return this.line;
  }
  async write(line: string): Promise<void> {
    this.line = line;
  }
}

/** Opens a log. The authority is in the same folder. */
export async function openLog(file: string, options: Partial<AuditOptions> = {}): Promise<AuditLog> {
  const signer = auditSigner(await Authority.open(path.dirname(file), Date.now));
  return AuditLog.open(file, { clock: Date.now, signer, heads: new TestHeads(), ...options });
}

/** Files of a log, the oldest first. */
export function filesOf(folder: string): string[] {
  const number = (name: string) => Number(name.split('.')[2] ?? 0);
  const names = readdirSync(folder).filter((name) => /^audit\.log(\.\d+)?$/.test(name));
  return names.sort((a, b) => number(b) - number(a)).map((name) => path.join(folder, name));
}

/**
 * The verdict on the files of a folder.
 * @param head line of a checkpoint that was kept elsewhere
 * @param authorities files with certificates, the newest first
 */
export function verdictOf(folder: string, head?: string, authorities = ['ca.crt']): AuditVerdict {
  const pem = authorities.map((name) => readFileSync(path.join(folder, name), 'utf8')).join('');
  const check = new ChainCheck(auditKeys(pem), head);
  for (const file of filesOf(folder)) {
    check.file(path.basename(file));
    const lines = readFileSync(file, 'utf8').split('\n');
    if (lines.pop() !== '') {
      check.torn();
    }
    for (const line of lines) {
      check.take(line);
    }
  }
  return check.end();
}
