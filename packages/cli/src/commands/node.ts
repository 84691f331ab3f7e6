/** `mirrorplane node …`. */
import type { Node } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { positiveInteger } from '../options.ts';
import { nodeFields, nodeTable } from '../output/inventory.ts';
import { show, withKind } from '../output/render.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { showWatched, type WatchOptions } from '../watch.ts';
import { deleteSeveral } from './delete.ts';
import { putResource } from './put.ts';

/** Adds the noun `node`. */
export function addNodeCommands(program: Command): void {
  const noun = program.command('node').description('nodes: hosts that run the agent');

  addSort(noun.command('list'))
    .description('list the nodes')
    .option('--watch', 'read again every second and print changes, until Ctrl-C')
    .option('--count <number>', 'watch, and end after this many readings', positiveInteger)
    .action(async (options: WatchOptions & SortOptions, command: Command) => {
      const context = contextOf(command);
      const read = async () =>
        sorted(withKind('Node', await context.client.list<Node>(RESOURCES.Node.path)), options.sort);
      await showWatched(context, options, read, (data) => nodeTable(data.items, context.color, context.wide));
    });

  noun
    .command('show')
    .description('show one node with its devices and problems')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Node>('GET', pathOf('Node', name));
      show(context, withKind('Node', body), () => nodeFields(body, context.color));
    });

  noun
    .command('create')
    .description('create a node, or move it to another resource pool')
    .argument('<name>')
    .requiredOption('--pool <name>', 'resource pool that it belongs to')
    .option('--dry-run', 'check it, print what would be done, and change nothing')
    .action(async (name: string, options: { pool: string; dryRun?: boolean }, command: Command) => {
      await putResource(contextOf(command), 'Node', name, { pool: options.pool }, options.dryRun);
    });

  noun
    .command('token')
    .description('make a join token, with which the agent of a node enrols once')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<{ token: string }>('POST', `${pathOf('Node', name)}/token`);
      show(context, body, () => `${body.token}\n`);
    });

  noun
    .command('delete')
    .description('delete nodes; their agents cannot connect any more')
    .argument('<names...>')
    .option('--dead', 'the hosts copy no more for good, though nobody can confirm it: destroyed, or uninstalled')
    .option('--dry-run', 'check and print what would be done, and change nothing')
    .action(async (names: string[], options: { dead?: boolean; dryRun?: boolean }, command: Command) => {
      const query = options.dead ? { dead: 'true' } : undefined;
      await deleteSeveral(contextOf(command), 'Node', names, options.dryRun ?? false, query);
    });
}
