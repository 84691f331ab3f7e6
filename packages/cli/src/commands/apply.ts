/** `apply -f`: creates and changes resources until they are as a file says. */
import type { Policy } from '@mirrorplane/contract';
import type { Command } from 'commander';
import { applyDocuments } from '../apply.ts';
import { type Context, contextOf } from '../context.ts';
import { type Document, readDocuments } from '../documents.ts';
import { CliError } from '../exit.ts';
import { showOutcomes } from '../output/render.ts';
import { type Kind, RESOURCES } from '../resources.ts';

interface ApplyOptions {
  file: string;
  dryRun?: boolean;
  prune?: boolean;
  prunePrefix?: string;
}

/**
 * Adds `apply` below a command.
 * @param assumed kind of documents without a kind
 */
export function addApplyCommand(parent: Command, assumed?: Kind): void {
  parent
    .command('apply')
    .description(
      assumed === undefined
        ? 'create or change the resources of a file; all are checked before the first is changed'
        : `like "mirrorplane apply"; a document without "kind" is a ${assumed}`,
    )
    .requiredOption('-f, --file <file>', 'YAML (one or more documents) or JSON (one, or a list); "-" reads stdin')
    .option('--dry-run', 'check, print the result, and change nothing')
    .option('--prune', 'delete policies that --prune-prefix covers and the file does not name')
    .option('--prune-prefix <text>', 'with --prune: only policies whose name begins with this text')
    .action(async (options: ApplyOptions, command: Command) => {
      const context = contextOf(command);
      const prefix = prefixOf(options);
      const documents = await readDocuments(options.file, assumed);
      const pruned = prefix === undefined ? [] : await policiesBeside(context, documents, prefix);
      showOutcomes(context, await applyDocuments(context, documents, options.dryRun ?? false, pruned));
    });
}

/**
 * The prefix that limits --prune. @throws CliError (usage) if only one of the two options is given
 */
function prefixOf({ prune, prunePrefix }: ApplyOptions): string | undefined {
  if (prune && !prunePrefix) {
    throw new CliError(
      'usage',
      '--prune deletes policies: name those that may be deleted with --prune-prefix, for example "team-a-"',
    );
  }
  if (!prune && prunePrefix !== undefined) {
    throw new CliError('usage', '--prune-prefix has no effect without --prune: add --prune');
  }
  return prunePrefix;
}

/** Names of the policies that have the prefix and no document. */
async function policiesBeside(context: Context, documents: readonly Document[], prefix: string): Promise<string[]> {
  const named = new Set(documents.filter(({ kind }) => kind === 'Policy').map(({ name }) => name));
  const { items } = await context.client.list<Policy>(RESOURCES.Policy.path);
  return items.map(({ name }) => name).filter((name) => name.startsWith(prefix) && !named.has(name));
}
