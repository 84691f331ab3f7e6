/**
 * The common part of all changes through the API: preconditions, dry run, no-op, audit, planning.
 */
import type { AuditDraft, AuditWho, EventDraft, Problem } from '@mirrorplane/contract';
import type { FastifyRequest } from 'fastify';
import * as z from 'zod';
import { markAudited } from '../audit/audited.ts';
import { type Changes, changesOf } from '../audit/changes.ts';
import type { Principal } from '../auth/principal.ts';
import { policyChanges } from '../events/policy-changes.ts';
import type { LookOwner } from '../looks/looks.ts';
import { ProblemError } from '../problems/problems.ts';
import { FOLDERS, type Unaudited } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import { keyOf } from '../store/view.ts';
import { displayNames } from '../summaries/display-names.ts';
import type { Answer, Call } from './route.ts';
import type { Who } from './who.ts';

/** Characters of the reason for a refusal that the audit log has. */
const MAX_DETAIL = 256;

/** Query of every change. */
export const MutationQuery = z.strictObject({
  dryRun: z
    .enum(['true', 'false'])
    .default('false')
    .meta({ description: 'true: check everything, answer with the result, and change nothing.' }),
});

/** The call of a route that changes something. */
export type MutationCall = Call<unknown, z.output<typeof MutationQuery>, unknown>;

/** The result of a change. Without operations, nothing changes. */
export interface Change {
  ops: Operation[];
  /** Default: 200, or 204 without a body. */
  status?: number;
  /** The resource after the change; `revision` is its own revision. */
  body?(revision: number): unknown;
  /** Revision of the resource, if nothing changes. */
  revision?: number;
  /** False if the answer is no resource, and so has no entity tag. Default true. */
  hasRevision?: boolean;
  /** Key of the record of the resource. Default: folder and name of the resource. */
  key?: string;
  /** What the resource is where it has no record, for the audit log. Default: nothing. */
  without?: object;
  /** Path of a new resource. */
  location?: string;
}

/** The address of the sender of a request, behind trusted proxies too; `unix` for the local socket. */
export function addressOf({ sender }: FastifyRequest): string {
  return sender.address;
}

/** Who has sent a request, and from where: for an entry of the audit log. */
export function askedBy(who: Principal, request: FastifyRequest): AuditWho {
  const { kind, name, token } = who;
  // A name of a user has no slash.
  const actor = kind === 'apiToken' ? `${name}/${token}` : name;
  return { actor, actorKind: kind === 'user' ? 'user' : 'token', address: addressOf(request) };
}

/** The same, for a look or a finding. */
export function ownerOf(who: Who, request: FastifyRequest): LookOwner {
  const { actor, actorKind, address } = askedBy(who, request);
  return { name: actor, kind: actorKind, address, credential: who.owner, holder: who.name };
}

/**
 * Carries out a change. `make` reads the view, and throws a ProblemError or returns the operations.
 * It may be called again if another decision came in between, so it must not change anything
 * itself.
 * @param action word for the audit log
 * @param resource kind and name, for example `policies/ids-all`
 */
export async function mutate(
  call: MutationCall,
  action: AuditDraft['action'],
  resource: string,
  make: () => Change,
): Promise<Answer> {
  const { services, request, query, who: asks } = call;
  const dryRun = query.dryRun === 'true';
  const who = { ...askedBy(asks, request), action, resource };
  if (!dryRun) {
    services.audit.requireWritable();
  }
  const { change, events, revision, audit } = await decide(call, make, who, dryRun).catch(async (error: unknown) => {
    if (!dryRun) {
      markAudited(error);
      const refused = error instanceof ProblemError;
      await Promise.all([
        services.refused.add({ ...who, ...failureOf(error) }),
        refused && services.events.note(refusal(resource, error.problem, asks.name)),
      ]);
    }
    throw error;
  });
  const changed = change.ops.length > 0 && !dryRun;
  if (changed) {
    services.planning.requestSoon();
  }
  if (!dryRun) {
    await Promise.all([
      services.audit.append({ ...audit, outcome: changed ? 'done' : 'unchanged', revision }),
      services.events.noteDecision(revision, events),
    ]);
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
  const asked = { time: new Date(services.clock()).toISOString(), ...who };
  return services.decisions.decide(() => {
    const change = make();
    const events = policyChanges(change.ops, (name) => services.view.get('policies', name)?.value, who.actor).map(
      (event) => ({ ...event, at: asked.time }),
    );
    const audit = { ...asked, ...changesBy(change, who.resource, services) };
    return {
      ops: change.ops,
      audit: { ...audit, ...(events.length > 0 && { events }) },
      result: (revision) => ({ change, events, revision, audit }),
    };
  }, dryRun);
}

/** What the operations do to the resource itself, for the audit log. */
function changesBy({ ops, key, without }: Change, resource: string, { view }: MutationCall['services']): Changes {
  const at = resource.indexOf('/');
  const folder = resource.slice(0, at) as ResourceFolder;
  if (!Object.hasOwn(FOLDERS, folder)) {
    return {};
  }
  const own = key ?? keyOf(folder, resource.slice(at + 1));
  const op = ops.find((one) => one.key === own);
  if (op === undefined) {
    return {};
  }
  const before = view.get(folder, own.slice(FOLDERS[folder].length))?.value ?? without;
  const after = op.type === 'put' ? (op.value as object) : undefined;
  return changesOf({ folder, before, after }, displayNames(view));
}

/** Outcome, code and detail of what was refused or has failed, for the audit log. */
export function failureOf(error: unknown): Pick<AuditDraft, 'outcome' | 'code' | 'detail'> {
  if (!(error instanceof ProblemError)) {
    return { outcome: 'failed', code: 'INTERNAL' };
  }
  const { code, detail } = error.problem;
  return { outcome: 'refused', code, detail: detail.slice(0, MAX_DETAIL) };
}

/** The event for a refused request of an operator. */
function refusal(resource: string, { code, detail }: Problem, operator: string): EventDraft {
  const at = resource.indexOf('/');
  const kind: EventDraft['object']['kind'] | undefined = KINDS[resource.slice(0, at) as ResourceFolder];
  const object = { kind, name: resource.slice(at + 1) };
  return {
    kind: 'requestRefused',
    object: kind === undefined ? { kind: 'controller', name: 'controller' } : { ...object, kind },
    code,
    message: detail,
    cause: { kind: 'operator', name: operator },
  };
}

/** Folder of a resource, in the API and in the store, to its kind of object. */
export const KINDS = {
  policies: 'policy',
  interfaces: 'interface',
  nodes: 'node',
  pools: 'pool',
  domains: 'domain',
  users: 'user',
  apiTokens: 'apiToken',
} as const;
export type ResourceFolder = keyof typeof KINDS;

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

/**
 * Checks If-Match and If-None-Match.
 * @param revision of the resource; undefined: the resource does not exist
 */
export function checkPreconditions(request: FastifyRequest, revision: number | undefined): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = request.headers;
  if (match !== undefined && !matches(match, revision)) {
    const now = revision === undefined ? 'does not exist' : `now has the entity tag ${etag(revision)}`;
    throw new ProblemError(
      'PRECONDITION_FAILED',
      `the resource ${now}, and If-Match is ${match}: read the resource again and repeat the change`,
    );
  }
  if (noneMatch !== undefined && matches(noneMatch, revision)) {
    throw new ProblemError('PRECONDITION_FAILED', `the resource exists already, and If-None-Match is ${noneMatch}`);
  }
}

function matches(header: string, revision: number | undefined): boolean {
  if (revision === undefined) {
    return false;
  }
  return header.trim() === '*' || header.split(',').some((tag) => tag.trim() === etag(revision));
}

/** Returns a resource, or throws a problem that names it. */
export function found<T>(value: T | undefined, kind: string, name: string): T {
  if (value === undefined) {
    throw new ProblemError('NOT_FOUND', `there is no ${kind} "${name}"`);
  }
  return value;
}
