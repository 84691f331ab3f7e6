/** Deletes the resources that documents describe. */
import { getIfThere, ProblemError } from './client.ts';
import type { Context } from './context.ts';
import type { Document } from './documents.ts';
import { CliError } from './exit.ts';
import { problemText } from './output/errors.ts';
import type { Outcome } from './output/render.ts';
import { remove } from './remove.ts';
import { pathOf } from './resources.ts';

/**
 * Deletes the resources of the documents. A resource that uses another one goes first. All are
 * checked before the first deletion. A resource in use is accepted if other deletions of the file
 * may free it.
 * @throws CliError after the refusal and the outcomes before it were printed
 */
export async function deleteDocuments(
  context: Context,
  documents: readonly Document[],
  dryRun: boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  const there: Document[] = [];
  for (const document of documents.toReversed()) {
    const { kind, name } = document;
    const now = await getIfThere<{ declared?: boolean }>(context.client, pathOf(kind, name));
    // An interface that is only observed has no declaration to delete.
    if (now === undefined || now.body.declared === false) {
      outcomes.push({ kind, name, result: 'absent', dryRun });
      continue;
    }
    const blocked = await attempt(context, document, true, there.length > 0);
    there.push(document);
    if (dryRun) {
      outcomes.push({ kind, name, ...(blocked ?? { result: 'deleted' }), dryRun });
    }
  }
  if (dryRun) {
    return outcomes;
  }
  for (const [at, document] of there.entries()) {
    const { kind, name } = document;
    try {
      await attempt(context, document, false, false);
    } catch (error) {
      for (const done of there.slice(0, at)) {
        context.note(`done before: ${done.kind} ${done.name} deleted\n`);
      }
      throw error;
    }
    outcomes.push({ kind, name, result: 'deleted', dryRun });
  }
  return outcomes;
}

/**
 * Deletes a resource, or checks the deletion. With `lenient`, a resource in use is no error: the
 * reason is returned.
 */
async function attempt(
  context: Context,
  document: Document,
  dryRun: boolean,
  lenient: boolean,
): Promise<Pick<Outcome, 'result' | 'reason'> | undefined> {
  const { kind, name, where } = document;
  try {
    await remove(context, kind, name, dryRun);
    return undefined;
  } catch (error) {
    if (!(error instanceof ProblemError)) {
      throw error;
    }
    if (lenient && error.exit === 'conflict') {
      return { result: 'unchecked', reason: error.problem.detail };
    }
    context.note(`${kind} ${name} (${where}):\n${(await problemText(error)).replace(/^(?=.)/gm, '  ')}`);
    throw new CliError(error.exit, dryRun ? 'nothing was deleted' : `stopped at ${kind} ${name}`);
  }
}
