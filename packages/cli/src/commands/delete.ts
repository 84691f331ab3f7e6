/** `delete` of every noun, and `delete -f`. */
import type { Command } from 'commander';
import { type Context, contextOf } from '../context.ts';
import { deleteDocuments } from '../delete-documents.ts';
import { readDocuments } from '../documents.ts';
import { showOutcomes } from '../output/render.ts';
import { remove } from '../remove.ts';
import type { Kind } from '../resources.ts';
import { each } from './several.ts';

/** Adds `delete -f`. */
export function addDeleteCommand(program: Command): void {
  program
    .command('delete')
    .description('delete the resources of a file, policies first; missing resources are no error')
    .requiredOption('-f, --file <file>', 'YAML or JSON, as for "apply"; "-" reads stdin')
    .option('--dry-run', 'check, print the result, and change nothing')
    .action(async (options: { file: string; dryRun?: boolean }, command: Command) => {
      const context = contextOf(command);
      const documents = await readDocuments(options.file);
      showOutcomes(context, await deleteDocuments(context, documents, options.dryRun ?? false));
    });
}

/** Deletes resources one after the other. */
export async function deleteSeveral(
  context: Context,
  kind: Kind,
  names: readonly string[],
  dryRun: boolean,
  query?: Record<string, string>,
): Promise<void> {
  await each(context, names, showOutcomes, async (name) => {
    await remove(context, kind, name, dryRun, query);
    return { kind, name, result: 'deleted', dryRun };
  });
}
