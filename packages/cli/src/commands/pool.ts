/** `mirrorplane pool …`. */
import type { Pool } from '@mirrorplane/contract';
import { POOL_UNDERLAYS } from '@mirrorplane/contract/pool-underlays';
import { type Command, Option } from 'commander';
import { contextOf } from '../context.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { show, withKind } from '../output/render.ts';
import { renderFields, renderTable } from '../output/table.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { deleteSeveral } from './delete.ts';
import { putResource } from './put.ts';

interface CreateOptions {
  domain: string;
  description?: string;
  underlay?: Pool['underlay'];
  dryRun?: boolean;
}

/** Adds the noun `pool`. */
export function addPoolCommands(program: Command): void {
  const noun = program.command('pool').description('resource pools: clusters of nodes in one communication domain');

  addSort(noun.command('list'))
    .description('list the resource pools')
    .action(async (options: SortOptions, command: Command) => {
      const context = contextOf(command);
      const list = await context.client.list<Pool>(RESOURCES.Pool.path);
      const body = sorted(list, options.sort);
      const columns = [{ title: 'NAME' }, { title: 'DOMAIN' }, { title: 'UNDERLAY' }, { title: 'DESCRIPTION' }];
      const rows = body.items.map((pool) => [pool.name, pool.domain, pool.underlay ?? 'plain', pool.description]);
      show(context, withKind('Pool', body), () => renderTable(columns, rows, context));
    });

  noun
    .command('show')
    .description('show one resource pool')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Pool>('GET', pathOf('Pool', name));
      show(context, withKind('Pool', body), () =>
        renderFields([
          ['name', body.name],
          ['domain', body.domain],
          ['description', body.description],
          ['underlay', body.underlay ?? 'plain'],
          ['revision', body.revision],
        ]),
      );
    });

  noun
    .command('create')
    .description('create a resource pool, or move it to another communication domain')
    .argument('<name>')
    .requiredOption('--domain <name>', 'communication domain of the pool')
    .option('--description <text>', 'free text for other operators')
    .addOption(
      new Option(
        '--underlay <kind>',
        'wireguard: encrypt copies between nodes, and send none where that cannot be done (a new pool: plain)',
      ).choices(POOL_UNDERLAYS),
    )
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (name: string, options: CreateOptions, command: Command) => {
      const { dryRun, ...spec } = options;
      await putResource(contextOf(command), 'Pool', name, spec, dryRun);
    });

  noun
    .command('delete')
    .description('delete resource pools')
    .argument('<names...>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (names: string[], options: { dryRun?: boolean }, command: Command) => {
      await deleteSeveral(contextOf(command), 'Pool', names, options.dryRun ?? false);
    });
}
