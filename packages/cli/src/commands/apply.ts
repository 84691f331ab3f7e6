/** `apply -f`: makes the cluster have what a file says. */
import type { Command } from 'commander';
import { applyDocuments } from '../apply.ts';
import { contextOf } from '../context.ts';
import { readDocuments } from '../documents.ts';
import { showOutcomes } from '../output/render.ts';
import type { Kind } from '../resources.ts';

interface ApplyOptions {
  file: string;
  dryRun?: boolean;
}

/**
 * Adds `apply` below a command.
 * @param assumed kind of documents that do not say theirs.
 */
export function addApplyCommand(parent: Command, assumed?: Kind): void {
  parent
    .command('apply')
    .description(
      assumed === undefined
        ? 'create or change what a file describes; everything is checked before anything is changed'
        : `as "mirrorplane apply", and a document without "kind" is a ${assumed}`,
    )
    .requiredOption('-f, --file <file>', 'YAML (one or more documents) or JSON (one, or a list); "-" reads stdin')
    .option('--dry-run', 'check and print what would be done, and change nothing')
    .action(async (options: ApplyOptions, command: Command) => {
      const context = contextOf(command);
      const documents = await readDocuments(options.file, assumed);
      showOutcomes(context, await applyDocuments(context, documents, options.dryRun ?? false));
    });
}
