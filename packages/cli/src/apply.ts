/** Applies documents: checks all of them by a dry run, then changes what differs. */
import type { Refusal } from '@mirrorplane/contract';
import { PRUNED, repeatedSources, settledBy } from './apply-needs.ts';
import { getIfThere, ProblemError, type Response } from './client.ts';
import { agrees, compare } from './compare.ts';
import type { Context } from './context.ts';
import type { Document } from './documents.ts';
import { CliError } from './exit.ts';
import { noteForecast } from './forecast.ts';
import { problemText } from './output/errors.ts';
import type { Outcome } from './output/render.ts';
import { remove } from './remove.ts';
import { pathOf, RESOURCES } from './resources.ts';
import { noteWarnings } from './warnings.ts';

/** The result of a dry run for one document. */
export interface Check {
  document: Document;
  result: 'created' | 'changed' | 'unchanged' | 'unchecked' | 'deleted';
  etag: string | undefined;
  /** The resource before and after. Undefined where it does not exist, or was not checked. */
  before?: object | undefined;
  after?: object | undefined;
  /** Why the document could not be checked: it depends on other changes of the same documents. */
  reason?: string;
}

/**
 * Makes the cluster have what the documents say.
 *
 * A document may be refused only because it names a resource that the same documents create or
 * change. Such a document is applied last. If it is wrong, it is refused then.
 * @param pruned names of policies to delete, after the checked documents are applied
 * @throws CliError after every refusal was printed on stderr; if a check has refused, nothing was
 * changed
 */
export async function applyDocuments(
  context: Context,
  documents: readonly Document[],
  dryRun: boolean,
  pruned: readonly string[] = [],
): Promise<Outcome[]> {
  const deletions = pruned.map((name): Document => ({ kind: 'Policy', name, spec: {}, where: PRUNED }));
  const checks: Check[] = [
    ...(await dryRunOf(context, documents, deletions)),
    ...deletions.map((document): Check => ({ document, result: 'deleted', etag: undefined })),
  ];
  if (!dryRun) {
    return change(context, checks);
  }
  for (const { document, after } of checks) {
    if (document.kind === 'Policy' && after) {
      noteWarnings(context, after);
      await noteForecast(context, { ...document.spec, name: document.name });
    }
  }
  return checks.map((one) => outcome(one, true));
}

/**
 * Checks all documents by a dry run, and changes nothing.
 * @param deletions policies to be deleted; their sources become free
 * @throws CliError after every refusal was printed on stderr
 */
export async function dryRunOf(
  context: Context,
  documents: readonly Document[],
  deletions: readonly Document[] = [],
): Promise<Check[]> {
  const checks: Check[] = [];
  const refused = repeatedSources(documents).map(({ document, refusals }) => ({ document, error: repeated(refusals) }));
  const fatal = [...refused];
  for (const document of documents) {
    try {
      checks.push(await check(context, document));
    } catch (error) {
      if (!(error instanceof ProblemError) || !isRefusal(error)) {
        throw error;
      }
      refused.push({ document, error });
    }
  }
  const moving = [...documents, ...deletions].filter(
    (document) => !checks.some((one) => one.document === document && one.result === 'unchanged'),
  );
  for (const one of refused) {
    if (fatal.includes(one)) {
      continue;
    }
    const reason = settledBy(one.document, one.error.problem, moving);
    if (reason === undefined) {
      fatal.push(one);
    } else {
      checks.push({ document: one.document, result: 'unchecked', etag: undefined, reason });
    }
  }
  if (fatal.length > 0) {
    for (const { document, error } of fatal) {
      await noteRefusal(context, document, error);
    }
    const count = documents.length === 1 ? '' : `: ${fatal.length} of ${documents.length} documents are refused`;
    throw new CliError(fatal[0]!.error.exit, `nothing was changed${count}`);
  }
  return checks;
}

async function change(context: Context, checks: readonly Check[]): Promise<Outcome[]> {
  const done: Outcome[] = [];
  // Checked documents first, in the order of kinds. Then the unchecked ones, which need them, in
  // the same order.
  const order = [
    ...checks.filter((one) => one.result !== 'unchecked'),
    ...checks.filter((one) => one.result === 'unchecked'),
  ];
  for (const one of order) {
    try {
      if (one.result === 'unchanged') {
        done.push(outcome(one, false));
      } else if (one.result === 'deleted') {
        await remove(context, one.document.kind, one.document.name, false);
        done.push(outcome(one, false));
      } else {
        const now = one.result === 'unchecked' ? await check(context, one.document) : one;
        if (now.result !== 'unchanged') {
          await put(context, now, false);
        }
        done.push(outcome(now, false));
      }
    } catch (error) {
      if (!(error instanceof ProblemError)) {
        throw error;
      }
      for (const before of done) {
        if (before.result !== 'unchanged') {
          context.note(`done before: ${before.kind} ${before.name} ${before.result}\n`);
        }
      }
      await noteRefusal(context, one.document, error);
      const left = order.length - done.length - 1;
      throw new CliError(error.exit, `stopped at ${one.document.kind} ${one.document.name}; ${left} more not tried`);
    }
  }
  return done;
}

async function check(context: Context, document: Document): Promise<Check> {
  const { kind, name } = document;
  const before = await getIfThere<object>(context.client, pathOf(kind, name));
  // An observed interface stays undeclared while its document differs in nothing.
  if (document.observed && before && agrees(document, before.body)) {
    return { document, result: 'unchanged', etag: before.etag, before: before.body };
  }
  const after = await put(context, { document, result: before ? 'changed' : 'created', etag: before?.etag }, true);
  const result = compare(kind, before?.body, after.body);
  return { document, result, etag: before?.etag, before: before?.body, after: after.body };
}

async function put(context: Context, one: Check, dryRun: boolean): Promise<Response<object>> {
  const { kind, name, spec } = one.document;
  const isNew = kind === 'Policy' && one.result === 'created';
  const response = isNew
    ? await context.client.request<object>('POST', RESOURCES.Policy.path, { body: spec, dryRun })
    : await context.client.request<object>('PUT', pathOf(kind, name), {
        body: spec,
        dryRun,
        // Nobody else may change the policy between check and change. Other kinds are not compared,
        // because reports of agents change interfaces and nodes at any time.
        ifMatch: kind === 'Policy' ? one.etag : undefined,
      });
  if (!dryRun && kind === 'Policy') {
    noteWarnings(context, response.body);
  }
  return response;
}

function isRefusal(error: ProblemError): boolean {
  return error.exit === 'refused' || error.exit === 'notFound' || error.exit === 'conflict';
}

function repeated(errors: Refusal[]): ProblemError {
  const detail = 'a source is named by two policies of the same file';
  const { code } = errors[0]!;
  return new ProblemError({ type: 'about:blank', title: detail, status: 422, code, detail, errors });
}

function outcome(one: Check, dryRun: boolean): Outcome {
  const { kind, name } = one.document;
  return { kind, name, result: one.result, dryRun, ...(one.reason !== undefined && { reason: one.reason }) };
}

async function noteRefusal(context: Context, document: Document, error: ProblemError): Promise<void> {
  context.note(`${document.kind} ${document.name} (${document.where}):\n`);
  context.note((await problemText(error)).replace(/^(?=.)/gm, '  '));
}
