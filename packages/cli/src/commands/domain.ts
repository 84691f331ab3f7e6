/** `mirrorplane domain …`. */
import type { Domain } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { addSort, type SortOptions, sorted } from '../list.ts';
import { show, withKind } from '../output/render.ts';
import { renderFields, renderTable } from '../output/table.ts';
import { pathOf, RESOURCES } from '../resources.ts';
import { deleteSeveral } from './delete.ts';
import { putResource } from './put.ts';

/** Adds the noun `domain`. */
export function addDomainCommands(program: Command): void {
  const noun = program.command('domain').description('communication domains: pools of one domain can reach each other');

  addSort(noun.command('list'))
    .description('list the communication domains')
    .action(async (options: SortOptions, command: Command) => {
      const context = contextOf(command);
      const list = await context.client.list<Domain>(RESOURCES.Domain.path);
      const body = sorted(list, options.sort);
      const rows = body.items.map((domain) => [domain.name, domain.description]);
      show(context, withKind('Domain', body), () =>
        renderTable([{ title: 'NAME' }, { title: 'DESCRIPTION' }], rows, context),
      );
    });

  noun
    .command('show')
    .description('show one communication domain')
    .argument('<name>')
    .action(async (name: string, _options: object, command: Command) => {
      const context = contextOf(command);
      const { body } = await context.client.request<Domain>('GET', pathOf('Domain', name));
      show(context, withKind('Domain', body), () =>
        renderFields([
          ['name', body.name],
          ['description', body.description],
          ['revision', body.revision],
        ]),
      );
    });

  noun
    .command('create')
    .description('create a communication domain, or change its description')
    .argument('<name>')
    .option('--description <text>', 'free text for other operators')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (name: string, options: { description?: string; dryRun?: boolean }, command: Command) => {
      const { dryRun, ...spec } = options;
      await putResource(contextOf(command), 'Domain', name, spec, dryRun);
    });

  noun
    .command('delete')
    .description('delete communication domains')
    .argument('<names...>')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (names: string[], options: { dryRun?: boolean }, command: Command) => {
      await deleteSeveral(contextOf(command), 'Domain', names, options.dryRun ?? false);
    });
}
