/** `mirrorplane auth whoami`. */
import type { Grant, Right } from '@mirrorplane/contract';
import { formatGrants } from '@mirrorplane/contract/grant-text';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { show } from '../output/render.ts';
import { renderFields } from '../output/table.ts';

interface Session {
  name: string;
  kind: 'user' | 'apiToken' | 'fileToken';
  token?: string;
  grants: Grant[];
  rights: Right[];
}

const KINDS = { user: 'user', apiToken: 'API token', fileToken: 'token in a file' } as const;

/** Adds `whoami` to the noun `auth`. */
export function addWhoami(auth: Command): void {
  auth
    .command('whoami')
    .description('show who you are for the controller, by which token, and what you may do')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Session>('GET', '/session');
      const { name, kind, token, grants, rights } = body;
      show(context, body, () =>
        renderFields([
          ['name', name],
          ['by', token === undefined ? KINDS[kind] : `${KINDS[kind]} ${token}`],
          ['grants', formatGrants(grants) || '-'],
          ['rights', rights.join(', ') || '-'],
        ]),
      );
    });
}
