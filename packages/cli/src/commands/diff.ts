/** `diff -f`: what `apply -f` would change. */
import type { Command } from 'commander';
import { contextOf } from '../context.ts';
import { differences, diffText } from '../diff.ts';
import { readDocuments } from '../documents.ts';
import { EXIT_CODES } from '../exit.ts';
import { show } from '../output/render.ts';
import type { Kind } from '../resources.ts';

/**
 * Adds `diff` below a command.
 * @param assumed kind of documents without a kind
 */
export function addDiffCommand(parent: Command, assumed?: Kind): void {
  parent
    .command('diff')
    .description(
      assumed === undefined
        ? `show the changes that "apply -f" would make; exit with ${EXIT_CODES.differs.code} if there are any`
        : `like "mirrorplane diff"; a document without "kind" is a ${assumed}`,
    )
    .requiredOption('-f, --file <file>', 'YAML (one or more documents) or JSON (one, or a list); "-" reads stdin')
    .action(async ({ file }: { file: string }, command: Command) => {
      const context = contextOf(command);
      const found = await differences(context, await readDocuments(file, assumed));
      show(context, found, () => diffText(found, context.color));
      if (found.length > 0) {
        process.exitCode = EXIT_CODES.differs.code;
      }
    });
}
