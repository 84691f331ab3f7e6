/** `mirrorplane user …`. */
import type { Grant, User } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { collectGrants } from '../grants.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { userFields, userTable } from '../output/people.ts';
import { show } from '../output/render.ts';
import { noteWarnings } from '../warnings.ts';

const GRANT = '--grant <grant>';
const GRANT_TEXT = 'role, or role in a scope, as in operator:pool=east,west; may be repeated';

interface SpecOptions {
  grant?: Grant[];
  displayName?: string;
}

function pathOf(name: string): string {
  return `/users/${encodeURIComponent(name)}`;
}

/** Adds the noun `user`. */
export function addUserCommands(program: Command): void {
  const noun = program.command('user').description('users: people who sign in');

  addSort(noun.command('list'))
    .description('list the users')
    .action(async ({ sort }: SortOptions, command: Command) => {
      const context = contextOf(command);
      const list = sorted(await context.client.list<User>('/users'), sort);
      show(context, list, () => userTable(list.items, context.color));
    });

  noun
    .command('show')
    .description('show one user')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<User>('GET', pathOf(name));
      show(context, body, () => userFields(body, context.color));
    });

  noun
    .command('create')
    .description('create a user, and print a password that has to be changed at the first sign-in')
    .argument('<name>')
    .option(GRANT, GRANT_TEXT, collectGrants)
    .option('--display-name <name>', 'name for people')
    .action(async (name: string, options: SpecOptions, command: Command) => {
      const context = contextOf(command);
      const { grant: grants = [], displayName } = options;
      const { body } = await context.client.request<User>('PUT', pathOf(name), {
        body: { grants, displayName },
        ifNoneMatch: true,
      });
      noteWarnings(context, body);
      await printPassword(context, name);
    });

  noun
    .command('set')
    .description('change grants or the name of a user, or disable it; other grants end its sessions and tokens')
    .argument('<name>')
    .option(GRANT, `${GRANT_TEXT}. All grants have to be given`, collectGrants)
    .option('--display-name <name>', 'name for people')
    .option('--disable', 'the user cannot sign in; sessions and tokens end')
    .option('--enable', 'the user can sign in again')
    .action(async (name: string, options: SpecOptions & { disable?: boolean; enable?: boolean }, command: Command) => {
      await change(contextOf(command), name, options);
    });

  noun
    .command('password')
    .description('make and print a new password, which has to be changed at the next sign-in')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      await printPassword(contextOf(command), name);
    });

  noun
    .command('remove-app')
    .description('remove an authenticator app that was lost; sessions and tokens of the user end')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      await context.client.request('DELETE', `${pathOf(name)}/totp`);
      context.print(`user ${name} signs in without an app\n`);
    });

  noun
    .command('delete')
    .description('delete users; their sessions and tokens end')
    .argument('<names...>')
    .action(async (names: string[], _options: object, command: Command) => {
      const context = contextOf(command);
      for (const name of names) {
        await context.client.request('DELETE', pathOf(name));
        context.print(`user ${name} deleted\n`);
      }
    });
}

/** A password of another user. One's own is changed in the console, where it is not on a screen. */
async function printPassword(context: Context, name: string): Promise<void> {
  const { body } = await context.client.request<{ password: string }>('POST', `${pathOf(name)}/password`, { body: {} });
  show(context, { name, password: body.password }, () => `${body.password}\n`);
}

async function change(
  context: Context,
  name: string,
  options: SpecOptions & { disable?: boolean; enable?: boolean },
): Promise<void> {
  const { client, print } = context;
  const { grant, displayName, disable, enable } = options;
  if (disable && enable) {
    throw new CliError('usage', 'give either --disable or --enable');
  }
  const { body: user, etag } = await client.request<User>('GET', pathOf(name));
  const body = {
    grants: grant ?? user.grants,
    displayName: displayName ?? user.displayName,
    disabled: disable ? true : enable ? false : user.disabled,
  };
  const answer = await client.request<User>('PUT', pathOf(name), { body, ifMatch: etag });
  noteWarnings(context, answer.body);
  print(`user ${name} changed\n`);
}
