/** `mirrorplane login` and `mirrorplane logout`: a token for the command line, confirmed in the console. */
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApiTokenInfo } from '@mirrorplane/contract';
import type { Command } from 'commander';
import type { Client } from '../client.ts';
import { type Context, contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { readLogins, writeLogins } from '../logins.ts';
import { show } from '../output/render.ts';
import { clientOf } from '../several.ts';

interface Started {
  deviceCode: string;
  userCode: string;
  /** Path of the page of the console. */
  path: string;
  /** ISO 8601. */
  expiresAt: string;
  /** Seconds. */
  interval: number;
}

interface Answer {
  state: 'pending' | 'confirmed' | 'refused';
  token?: string;
  info?: ApiTokenInfo;
}

/** The context for a controller that may be named as an argument. A token of the environment is not for it. */
function contextAt(url: string | undefined, command: Command): Context {
  const { MIRRORPLANE_TOKEN: _, MIRRORPLANE_TOKEN_FILE: _file, ...env } = process.env;
  return contextOf(command, url === undefined ? env : { ...env, MIRRORPLANE_URL: url });
}

/** Adds `login` and `logout`. */
export function addLoginCommands(program: Command): void {
  program
    .command('login')
    .description('sign in: prints a code that you confirm in the console, and keeps a token for seven days')
    .argument('[url]', 'controller, or several as for --url (default: that of --url)')
    .addHelpText(
      'after',
      '\nThe token is kept in $XDG_CONFIG_HOME/mirrorplane/logins.json, which nobody else can read. A fingerprint or ' +
        'file\nof authorities that is given is kept with it, and used from then on. A token that is given by option or\n' +
        'environment goes first.\n',
    )
    .action(async (url: string | undefined, _options: object, command: Command) => {
      const context = contextAt(url, command);
      // Who signs in has no token there yet. One for another controller is not shown to this one.
      const { urls, trust } = context;
      const client = clientOf(urls.map((one) => ({ url: one, trust, token: { kind: 'none' } as const })));
      const { body: started } = await client.request<Started>('POST', '/device-logins', {
        body: { host: hostname() },
      });
      context.note(
        `Open ${pageOf(client.url, started.path)}, sign in, and type the code\n\n    ${started.userCode}\n\n`,
      );
      const { token, info } = await confirmed(client, started);
      const { fingerprint, caFile } = trust;
      const { logins } = readLogins(process.env);
      const { name, user, expiresAt } = info;
      for (const one of urls) {
        logins[one] = { token, name, user, expiresAt: expiresAt!, fingerprint, caFile };
      }
      const where = urls.join();
      writeLogins(process.env, { current: where, logins });
      show(context, { url: where, ...info }, () => `signed in to ${where} as ${user} until ${expiresAt}\n`);
    });

  program
    .command('logout')
    .description('sign out: revokes the token of "mirrorplane login", and forgets it')
    .argument('[url]', 'controller, or several as for --url (default: that of --url)')
    .action(async (url: string | undefined, _options: object, command: Command) => {
      const context = contextAt(url, command);
      const { login, urls } = context;
      const where = urls.join();
      if (!login) {
        throw new CliError('notFound', `there is no login at ${where}`);
      }
      const { current, logins } = readLogins(process.env);
      for (const one of urls) {
        delete logins[one];
      }
      writeLogins(process.env, { current: current === where ? undefined : current, logins });
      await context.client.request('DELETE', `/tokens/${encodeURIComponent(login.name)}`).catch((error: unknown) => {
        // It is over already.
        if (!(error instanceof CliError) || error.exit !== 'denied') {
          throw error;
        }
      });
      context.print(`signed out of ${where}\n`);
    });
}

/** Address of a page of the console, as far as the URL of the API tells it. */
function pageOf(url: string, path: string): string {
  return url.startsWith('unix:') ? `the page ${path} of the console` : new URL(path, url).href;
}

/** Waits for the answer of the person. @throws CliError */
async function confirmed(
  client: Client,
  { deviceCode, expiresAt, interval }: Started,
): Promise<Required<Pick<Answer, 'token' | 'info'>>> {
  while (Date.now() < Date.parse(expiresAt)) {
    await sleep(interval * 1000);
    const { body } = await client.request<Answer>('POST', '/device-logins/poll', { body: { deviceCode } });
    if (body.state === 'confirmed') {
      return { token: body.token!, info: body.info! };
    }
    if (body.state === 'refused') {
      throw new CliError('denied', 'the login was refused in the console');
    }
  }
  throw new CliError('denied', 'nobody has confirmed the login in time: run the command again');
}
