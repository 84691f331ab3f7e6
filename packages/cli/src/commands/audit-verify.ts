/** `mirrorplane audit verify`: whether the audit log is as it was written. */
import { readFileSync } from 'node:fs';
import type { AuditChain } from '@mirrorplane/contract';
import type { AuditVerdict, ChainCheck } from '@mirrorplane/contract/audit-check';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { verdictText } from '../output/audit.ts';
import { show } from '../output/render.ts';

interface VerifyOptions {
  authority: string[];
  head?: string;
}

/** Adds `audit verify`. */
export function addAuditVerify(noun: Command): void {
  noun
    .command('verify')
    .description(
      'check that nothing was removed, changed, inserted, moved or cut off; of the controller, or of copied files without one',
    )
    .argument('[files...]', 'copies of audit.log, audit.log.1 and so on, or an export; none: the log of the controller')
    .option(
      '--authority <file>',
      'certificates of the authority, PEM: ca.crt of the data directory; several times: the newest first, then former-ca.crt',
      (file: string, files: string[]) => [...files, file],
      [] as string[],
    )
    .option('--head <file>', 'a checkpoint that was kept elsewhere ("audit head"): the log has to reach it')
    .action(async (files: string[], options: VerifyOptions, command: Command) => {
      const context = contextOf(command);
      const verdict = files.length > 0 ? await offline(files, options) : await online(context, options);
      if (verdict.fault) {
        if (context.format === 'json' || context.format === 'yaml') {
          show(context, verdict, () => '');
        }
        throw new CliError('unexpected', verdict.fault.message);
      }
      show(context, verdict, () => verdictText(verdict));
    });
}

async function offline(files: readonly string[], { authority, head }: VerifyOptions): Promise<AuditVerdict> {
  if (authority.length === 0) {
    throw new CliError('usage', 'to verify files, name the certificate of the authority with --authority');
  }
  const { checkFiles } = await import('../audit-files.ts');
  const check = await newCheck(textsOf(authority), head === undefined ? undefined : textOf(head));
  await checkFiles(files, check);
  return check.end();
}

/** The lines are checked here. Certificates and head are the controller's, unless they are given. */
async function online(context: Context, { authority, head }: VerifyOptions): Promise<AuditVerdict> {
  const { client } = context;
  const { body: chain } = await client.request<AuditChain>('GET', '/audit/chain');
  const keys = authority.length === 0 ? chain.authority : textsOf(authority);
  const check = await newCheck(keys, head === undefined ? chain.checkpoint : textOf(head));
  const { LineSplitter } = await import('@mirrorplane/contract/audit-lines');
  const lines = new LineSplitter();
  const signal = new AbortController().signal;
  await client.download('/audit/export', { signal }, async (piece) => {
    for (const line of lines.push(piece)) {
      check.take(line);
    }
  });
  const verdict = check.end();
  if (verdict.fault && authority.length === 0) {
    const { body: now } = await client.request<AuditChain>('GET', '/audit/chain');
    if (now.authority !== chain.authority) {
      // Another authority has begun to sign meanwhile.
      return online(context, { authority, ...(head !== undefined && { head }) });
    }
  }
  return verdict;
}

async function newCheck(pem: string, head: string | undefined): Promise<ChainCheck> {
  const [{ auditKeys, parseChainLine }, { ChainCheck }] = await Promise.all([
    import('@mirrorplane/contract/audit-chain'),
    import('@mirrorplane/contract/audit-check'),
  ]);
  const line = head?.trim();
  if (line !== undefined && !parseChainLine(line)?.checkpoint) {
    throw new CliError('usage', 'the head is no checkpoint: give what "mirrorplane audit head" has printed');
  }
  try {
    return new ChainCheck(auditKeys(pem), line);
  } catch (error) {
    throw new CliError('usage', `the certificate of the authority cannot be read: ${(error as Error).message}`);
  }
}

function textsOf(files: readonly string[]): string {
  return files.map(textOf).join('\n');
}

function textOf(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CliError('usage', `${file} cannot be read (${(error as NodeJS.ErrnoException).code})`, { cause: error });
  }
}
