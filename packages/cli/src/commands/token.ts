/** `mirrorplane token …`: API tokens. */
import type { ApiTokenInfo, Grant } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { collectGrants } from '../grants.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { span } from '../options.ts';
import { tokenTable } from '../output/people.ts';
import { show } from '../output/render.ts';
import { noteWarnings } from '../warnings.ts';

interface CreateOptions {
  /** Seconds. */
  for?: number;
  never?: boolean;
  grant?: Grant[];
}

/** Adds the noun `token`. */
export function addTokenCommands(program: Command): void {
  const noun = program.command('token').description('API tokens: secrets for programs');

  addSort(noun.command('list'))
    .description('list API tokens: yours, or all if you manage access')
    .action(async ({ sort }: SortOptions, command: Command) => {
      const context = contextOf(command);
      const list = sorted(await context.client.list<ApiTokenInfo>('/tokens'), sort);
      show(context, list, () => tokenTable(list.items, context.color));
    });

  noun
    .command('create')
    .description('create an API token, and print it; it is shown only now')
    .argument('<name>')
    .option('--for <time>', 'how long it is good for, as in 12h or 90d', span)
    .option('--never', 'it has no end')
    .option(
      '--grant <grant>',
      'what it allows, at most what you may do: role, or role in a scope, as in viewer:pool=east; may be repeated (default: all that you may do)',
      collectGrants,
    )
    .action(async (name: string, options: CreateOptions, command: Command) => {
      if ((options.for === undefined) === (options.never === undefined)) {
        throw new CliError('usage', 'say when the token ends: give --for TIME, or --never');
      }
      const context = contextOf(command);
      const expiresAt = options.for === undefined ? 'never' : new Date(Date.now() + options.for * 1000).toISOString();
      const { body } = await context.client.request<{ token: string }>('POST', '/tokens', {
        body: { name, expiresAt, grants: options.grant },
      });
      noteWarnings(context, body);
      show(context, body, () => `${body.token}\n`);
    });

  noun
    .command('revoke')
    .description('revoke API tokens; a token in a file is not made again')
    .argument('<names...>')
    .action(async (names: string[], _options: object, command: Command) => {
      const context = contextOf(command);
      for (const name of names) {
        await context.client.request('DELETE', `/tokens/${encodeURIComponent(name)}`);
        context.print(`token ${name} revoked\n`);
      }
    });
}
