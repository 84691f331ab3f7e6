/** `mirrorplane auth …`: who may do what. */
import type { Grant, Right, Role } from '@mirrorplane/contract';
import { RIGHTS } from '@mirrorplane/contract/rights';
import { Argument, type Command } from 'commander';
import { contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { show } from '../output/render.ts';
import { renderTable } from '../output/table.ts';

interface Answer {
  allowed: boolean;
  reason: string;
}

interface Holder {
  kind: 'user' | 'token';
  name: string;
  grants: Grant[];
}

/** A role, and where it holds. */
function grantText({ role, scope }: Grant): string {
  return scope === undefined ? role : `${role} in ${JSON.stringify(scope)}`;
}

const right = () => new Argument('<right>', 'what one wants to do').choices(RIGHTS);

import { addWhoami } from './whoami.ts';

/** Adds the noun `auth`. */
export function addAuthCommands(program: Command): void {
  const auth = program.command('auth').description('who may do what: rights, roles, and yourself');
  addWhoami(auth);

  auth
    .command('can-i')
    .description('ask whether you may do something; the exit code tells it too')
    .addArgument(right())
    .argument('[object]', 'for what, as KIND/NAME: interface/web-1/0, policy/ids-all, node/node-1')
    .action(async (wanted: Right, object: string | undefined, _options: object, command: Command) => {
      const context = contextOf(command);
      const query = { right: wanted, object };
      const { body } = await context.client.request<Answer>('GET', '/access/can-i', { query });
      show(context, body, () => (body.allowed ? `yes: ${body.reason}\n` : 'no\n'));
      if (!body.allowed) {
        throw new CliError('denied', body.reason);
      }
    });

  auth
    .command('who-can')
    .description('ask who may do something with a thing, or consent to a policy that waits')
    .addArgument(right())
    .argument('<object>', 'with what, as KIND/NAME: interface/web-1/0, policy/ids-all, node/node-1')
    .action(async (wanted: Right, object: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const query = { right: wanted, object };
      const { body } = await context.client.request<{ items: Holder[]; partial: boolean }>('GET', '/access/who-can', {
        query,
      });
      const rows = body.items.map(({ kind, name, grants }) => [kind, name, grants.map(grantText).join(', ')]);
      const columns = [{ title: 'KIND' }, { title: 'NAME' }, { title: 'BY' }];
      show(context, body, () => renderTable(columns, rows, { color: context.color }));
      if (body.partial) {
        context.note('there may be others: you may not read all of it, so its owners are not named\n');
      }
    });

  auth
    .command('roles')
    .description('list the roles with their rights')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<{ items: { name: Role; rights: Right[] }[] }>(
        'GET',
        '/access/roles',
      );
      const rows = body.items.map(({ name, rights }) => [name, rights.join(', ')]);
      show(context, body, () => renderTable([{ title: 'ROLE' }, { title: 'RIGHTS' }], rows, { color: context.color }));
    });
}
