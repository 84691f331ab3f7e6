/** `mirrorplane audit …`: who did what, the lines of the log, and whether they are as they were written. */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { AuditChain, AuditEntry } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { integerUpTo, moment } from '../options.ts';
import { auditTable, unprovenNote } from '../output/audit.ts';
import { show } from '../output/render.ts';
import { addAuditVerify } from './audit-verify.ts';

/** Entries that are shown without `--limit`, and entries of one answer of the controller. */
const SHOWN = 100;
const PAGE = 1000;
const MOST = 1_000_000;

/** Options that are keys of the filter of the API. */
const KEYS = ['actor', 'address', 'action', 'resource', 'outcome'] as const;
type Key = (typeof KEYS)[number];

interface ListOptions extends Partial<Record<Key, string>> {
  filter?: string;
  since?: string;
  until?: string;
  limit: number;
}

/** Adds the noun `audit`. */
export function addAuditCommands(program: Command): void {
  const noun = program.command('audit').description('the audit log: who changed what, from where, and the outcome');

  noun
    .command('list')
    .description('list entries, the newest first')
    .option('--actor <name>', 'only of this user, API token or node:NAME')
    .option('--address <address>', 'only from this address')
    .option('--action <action>', 'only this action, for example create, delete or signIn')
    .option('--resource <kind/name>', 'only about this resource, for example policies/ids-all')
    .option('--outcome <outcome>', 'only with this outcome: done, unchanged, refused or failed')
    .option('--filter <words>', 'only entries with these words')
    .option('--since <time>', 'only entries since this time: an age such as 10m, 2h or 1d, or an ISO 8601 time', moment)
    .option('--until <time>', 'only entries before this time', moment)
    .option('--limit <number>', `largest number of entries, 1 to ${MOST}`, integerUpTo(MOST), SHOWN)
    .action(async (options: ListOptions, command: Command) => {
      const context = contextOf(command);
      const items = await list(context, options);
      show(context, { items }, () => auditTable(items, context));
      const note = unprovenNote(items);
      if (note !== undefined) {
        context.note(note);
      }
    });

  noun
    .command('head')
    .description('print the newest signed checkpoint; kept elsewhere, it shows later what was cut off the log')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<AuditChain>('GET', '/audit/chain');
      context.print(`${body.checkpoint}\n`);
    });

  noun
    .command('export')
    .description('print all lines as they are in the log, as JSON lines, the oldest first')
    .option('--file <file>', 'append to this file; what it has already is not read again')
    .option('--after <number>', 'only lines above this number', integerUpTo(Number.MAX_SAFE_INTEGER))
    .action(async (options: { file?: string; after?: number }, command: Command) => {
      await exportLines(contextOf(command), options);
    });

  addAuditVerify(noun);
}

async function list({ client }: Context, options: ListOptions): Promise<AuditEntry[]> {
  const { filter, since, until, limit } = options;
  const words = KEYS.flatMap((key) => (options[key] === undefined ? [] : [`${key}:${word(key, options[key])}`]));
  const query = { filter: [...words, ...(filter === undefined ? [] : [filter])].join(' '), since, until };
  const items: AuditEntry[] = [];
  let next: string | undefined;
  do {
    const { body } = await client.request<{ items: AuditEntry[]; continue?: string }>('GET', '/audit', {
      query: { ...query, limit: String(Math.min(PAGE, limit - items.length)), continue: next },
    });
    items.push(...body.items);
    next = body.continue;
  } while (next !== undefined && items.length < limit);
  return items;
}

function word(key: Key, value: string): string {
  if (/[\s"]/.test(value) || value === '') {
    throw new CliError('usage', `--${key} takes one word: use --filter for words`);
  }
  return value;
}

async function exportLines(context: Context, { file, after }: { file?: string; after?: number }): Promise<void> {
  const { lastExported } = await import('../audit-files.ts');
  const from = after ?? (file !== undefined && existsSync(file) ? lastExported(file) : 0);
  const signal = new AbortController().signal;
  const query = { after: String(from) };
  if (file === undefined) {
    const { LineSplitter } = await import('@mirrorplane/contract/audit-lines');
    const lines = new LineSplitter();
    await context.client.download('/audit/export', { query, signal }, async (piece) => {
      for (const line of lines.push(piece)) {
        await written(context, line);
      }
    });
    return;
  }
  const target = await open(file, 'a', 0o600);
  try {
    await context.client.download('/audit/export', { query, signal }, (piece) => target.appendFile(piece));
    await target.datasync();
  } finally {
    await target.close();
  }
}

/** To a terminal without control characters; to a pipe byte by byte, so that the hashes fit. */
async function written(context: Context, line: string): Promise<void> {
  if (context.terminal) {
    context.print(`${line}\n`);
  } else if (!process.stdout.write(`${line}\n`)) {
    await new Promise((resolve) => process.stdout.once('drain', resolve));
  }
}
