/** `mirrorplane console`. */
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { CliError } from '../exit.ts';
import { show } from '../output/render.ts';

interface Ticket {
  ticket: string;
  /** ISO 8601. */
  expiresAt: string;
}

/** Adds `console`. */
export function addConsoleCommand(program: Command): void {
  program
    .command('console')
    .description('print an address of the web console that signs one browser in')
    .option('--at <url>', 'address of the controller for the browser: https://HOST:PORT (default: that of --url)')
    .addHelpText('after', '\nThe address works once, within five minutes. Who has it, has the rights of your token.\n')
    .action(async ({ at }: { at?: string }, command: Command) => {
      const context = contextOf(command);
      baseOf(at ?? context.url);
      const { body } = await context.client.request<Ticket>('POST', '/session/tickets');
      // Behind the "#", so that no browser sends it to a server, and no proxy logs it.
      const url = new URL(`/#ticket=${body.ticket}`, baseOf(at ?? context.client.url)).href;
      show(context, { url, expiresAt: body.expiresAt }, () => `${url}\n`);
    });
}

/** @throws CliError (usage) where a browser cannot open the address */
function baseOf(text: string): URL {
  const base = URL.canParse(text) ? new URL(text) : undefined;
  if (base === undefined || !/^https?:$/.test(base.protocol)) {
    throw new CliError('usage', `a browser cannot open ${text}: give --at https://HOST:PORT`);
  }
  return base;
}
