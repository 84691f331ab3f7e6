/** `mirrorplane node …`. */
import type { Node } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { positiveInteger } from '../options.ts';
import { nodeFields, nodeTable } from '../output/inventory.ts';
import { show, showOutcomes, withKind } from '../output/render.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { showWatched, type WatchOptions } from '../watch.ts';
import { deleteSeveral } from './delete.ts';
import { addTokenCommands } from './join-token.ts';
import { putResource } from './put.ts';
import { each } from './several.ts';

/** Adds the noun `node`. */
export function addNodeCommands(program: Command): void {
  const noun = program.command('node').description('nodes: hosts that run the agent');

  addSort(noun.command('list'))
    .description('list the nodes')
    .option('--watch', 'read every second and print the changes, until Ctrl-C')
    .option('--count <number>', 'watch, and stop after this number of readings', positiveInteger)
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
    .requiredOption('--pool <name>', 'resource pool of the node')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (name: string, options: { pool: string; dryRun?: boolean }, command: Command) => {
      await putResource(contextOf(command), 'Node', name, { pool: options.pool }, options.dryRun);
    });

  addTokenCommands(noun);

  noun
    .command('revoke')
    .description(
      'cut nodes off at once: their certificates and join tokens are refused, and nobody takes copies of them',
    )
    .argument('<names...>')
    .option('--dry-run', 'check, and change nothing')
    .action(async (names: string[], options: { dryRun?: boolean }, command: Command) => {
      const context = contextOf(command);
      const { dryRun = false } = options;
      await each(context, names, showOutcomes, async (name) => {
        await context.client.request('POST', `${pathOf('Node', name)}/revoke`, { dryRun });
        return { kind: 'Node', name, result: 'revoked', dryRun };
      });
    });

  noun
    .command('delete')
    .description('delete nodes; the agents of these nodes can no longer connect')
    .argument('<names...>')
    .option('--dead', 'confirm that these hosts will never copy again: they are destroyed, or the agent is uninstalled')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (names: string[], options: { dead?: boolean; dryRun?: boolean }, command: Command) => {
      const query = options.dead ? { dead: 'true' } : undefined;
      await deleteSeveral(contextOf(command), 'Node', names, options.dryRun ?? false, query);
    });
}
