/** What every change through the API has in common: preconditions, dry run, no-op, audit, planning. */
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import type { Unaudited } from '../resources.ts';
import type { Operation } from '../store/store.ts';
import { ProblemError } from './problems.ts';
import type { Answer, Call } from './route.ts';

/** Query of every change. */
export const MutationQuery = z.strictObject({
  dryRun: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'true: checks everything, answers with what would be, changes nothing.' }),
});

/** What a change comes to. Without operations nothing changes. */
export interface Change {
  ops: Operation[];
  /** Default: 200, or 204 without a body. */
  status?: number;
  /** The resource after the change; `revision` is its own revision. */
  body?(revision: number): unknown;
  /** Revision of the resource, for a change that changes nothing. */
  revision?: number;
  /** False where what is answered is no resource and has no entity tag. Default true. */
  hasRevision?: boolean;
  /** Path of the resource, where it is a new one. */
  location?: string;
}

/** Where a request came from: an address, or `unix`. */
export function addressOf(request: FastifyRequest): string {
  return request.socket.remoteAddress ?? 'unix';
}

/**
 * Carries out a change: `make` looks at the view, throws a ProblemError or says what to write.
 * @param action word for the audit log @param resource kind and name, as in `policies/ids-all`
 */
export async function mutate(
  call: Call<unknown, { dryRun: 'true' | 'false' }, unknown>,
  action: string,
  resource: string,
  make: () => Change,
): Promise<Answer> {
  const { services, request, query } = call;
  const dryRun = query.dryRun === 'true';
  const who = { actor: 'admin', address: addressOf(request), action, resource };
  const { change, revision } = await decide(call, make, who, dryRun).catch(async (error: unknown) => {
    if (!dryRun) {
      const refused = error instanceof ProblemError;
      const code = refused ? error.problem.code : 'INTERNAL';
      await services.audit.append({ ...who, outcome: refused ? 'refused' : 'failed', code });
    }
    throw error;
  });
  const changed = change.ops.length > 0 && !dryRun;
  if (changed) {
    services.planning.request();
  }
  if (!dryRun) {
    await services.audit.append({ ...who, outcome: changed ? 'done' : 'unchanged', revision });
    services.decisions.audited(revision);
  }
  return answerOf(change, changed ? revision : (change.revision ?? 0), dryRun);
}

async function decide(
  { services }: Call<unknown, unknown, unknown>,
  make: () => Change,
  who: Omit<Unaudited, 'time'>,
  dryRun: boolean,
) {
  const audit = { time: new Date(services.clock()).toISOString(), ...who };
  return services.decisions.decide(() => {
    const change = make();
    return { ops: change.ops, audit, result: (revision) => ({ change, revision }) };
  }, dryRun);
}

function answerOf(change: Change, revision: number, dryRun: boolean): Answer {
  const body = change.body?.(revision);
  if (body === undefined) {
    return dryRun ? { status: 200, body: {} } : { status: 204 };
  }
  const headers: Record<string, string> = {};
  if (revision > 0 && change.hasRevision !== false) {
    headers.etag = etag(revision);
  }
  if (change.location !== undefined && !dryRun) {
    headers.location = change.location;
  }
  return { status: dryRun ? 200 : (change.status ?? 200), headers, body };
}

/** The entity tag of a revision. */
export function etag(revision: number): string {
  return `"${revision}"`;
}

/** Holds a request to its If-Match and If-None-Match. @param revision that of the resource; undefined: it is not there */
export function checkPreconditions(request: FastifyRequest, revision: number | undefined): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  if (match !== undefined && !matches(match, revision)) {
    const now = revision === undefined ? 'it does not exist' : `its entity tag is now ${etag(revision)}`;
    throw new ProblemError('PRECONDITION_FAILED', `${now}, not ${match}: read it again and repeat the change`);
  }
  if (noneMatch !== undefined && matches(noneMatch, revision)) {
    throw new ProblemError('PRECONDITION_FAILED', `it exists already, and If-None-Match is ${noneMatch}`);
  }
}

function matches(header: string, revision: number | undefined): boolean {
  if (revision === undefined) {
    return false;
  }
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim() === etag(revision));
}

/** Finds a resource or throws a problem that names it. */
export function found<T>(value: T | undefined, kind: string, name: string): T {
  if (value === undefined) {
    throw new ProblemError('NOT_FOUND', `there is no ${kind} "${name}"`);
  }
  return value;
}

/** The body of a list. */
export function listOf<S extends z.ZodType>(item: S) {
  return z.object({
    items: z.array(item),
    revision: z.number().int().meta({ description: 'Store revision that the list shows.' }),
  });
}
