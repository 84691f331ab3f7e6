/** `mirrorplane look …`: looks that run, and those that have ended. */
import type { Look } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { lookFields, lookTable } from '../output/looks.ts';
import { show } from '../output/render.ts';

/** Path of a look below /api/v1. */
export function lookPath(id: string): string {
  return `/looks/${encodeURIComponent(id)}`;
}

/** Adds the noun `look`. */
export function addLookCommands(program: Command): void {
  const noun = program.command('look').description('looks: who sees packets on their way, made by "capture"');

  noun
    .command('list')
    .description('list the looks that run, and those that have ended within ten minutes')
    .action(async (_options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<{ items: Look[] }>('GET', '/looks');
      show(context, body, () => lookTable(body.items, context.color));
    });

  noun
    .command('show')
    .description('show one look with its counts on each node')
    .argument('<id>')
    .action(async (id: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Look>('GET', lookPath(id));
      show(context, body, () => lookFields(body, context.color));
    });

  noun
    .command('end')
    .description('end looks; what they have seen can be read for ten minutes')
    .argument('<ids...>')
    .action(async (ids: string[], _options: object, command: Command) => {
      const context = contextOf(command);
      for (const id of ids) {
        const { body } = await context.client.request<Look>('DELETE', lookPath(id));
        show(context, body, () => `look ${id} has ended\n`);
      }
    });
}
