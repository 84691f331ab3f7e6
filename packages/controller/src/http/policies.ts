/** /api/v1/policies */
import { randomUUID } from 'node:crypto';
import {
  Policy,
  PolicyPath,
  PolicySource,
  PolicySpec,
  PolicyStatus,
  PolicySummary,
  sayRule,
} from '@mirrorplane/contract';
import { normalise, validate } from '@mirrorplane/planner';
import * as z from 'zod';
import { explainId } from '../inventory/explain.ts';
import { policyStatuses } from '../planning/policy-status.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import { policiesOf, toPolicy } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { keyOf } from '../store/view.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { mergePatch } from './merge-patch.ts';
import { type Change, checkPreconditions, etag, found, type MutationCall, MutationQuery, mutate } from './mutation.ts';
import { deleteNamed } from './named-resource.ts';
import { listOf, listOptions, pageOf, pageQuery } from './paging.ts';
import { POLICIES, SOURCES, STATUSES } from './policy-lists.ts';
import { statusPage } from './policy-statuses.ts';
import { type Route, route } from './route.ts';

/** The policy that a path names. */
export const PolicyParams = z.object({
  name: z.string().meta({ description: 'Name of the policy.', examples: ['ids-all'] }),
});
const path = '/api/v1/policies';
const tag = 'policies';
/** Sources of the policies on one page: a page ends behind them. */
const MAX_PAGE_SOURCES = 65_536;

const ListQuery = pageQuery(POLICIES).extend({
  view: z.enum(['whole', 'summary']).default('whole').meta({
    description: 'summary: a few fields of each policy, with its state. whole: all fields, without its state.',
  }),
});

/** A policy in a PUT. The name may be left out, because the URL has it. */
const PolicyReplacement = PolicySpec.extend({ name: z.string().optional() }).meta({
  id: 'PolicyReplacement',
  examples: [{ sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0', percent: 25 }],
});

/**
 * A merge patch (RFC 7396) of a policy. Fields that are left out stay unchanged, so no field has a
 * default here.
 */
const PolicyPatch = z
  .strictObject(Object.fromEntries(Object.entries(PolicySpec.shape).map(([name, field]) => [name, patchOf(field)])))
  .meta({
    id: 'PolicyPatch',
    description: 'RFC 7396 merge patch: the fields to change. null resets a field to its default.',
    examples: [{ enabled: false }, { percent: 12.5, maxRate: null }],
  });

/** A field of a patch. Null is allowed if the field has a default or may be absent. */
function patchOf(field: z.ZodType): z.ZodType {
  if (field instanceof z.ZodDefault || field instanceof z.ZodOptional) {
    const { default: _, ...meta } = field.meta() ?? {};
    return (field.unwrap() as z.ZodType).meta(meta).nullable().optional();
  }
  return field.optional();
}

/** What an operator says of a policy, besides its name. */
const FIELDS = PolicySpec.keyof().exclude(['name']).options;

function specOf(record: PolicyRecord): PolicySpec {
  const { name, description, sources, destination, direction, percent, vlanId, maxRate, allowFeedback, enabled } =
    record;
  return {
    name,
    description,
    sources,
    destination,
    direction,
    percent,
    enabled,
    ...(vlanId !== undefined && { vlanId }),
    ...(maxRate !== undefined && { maxRate }),
    ...(allowFeedback !== undefined && { allowFeedback }),
  };
}

/** Judges what is asked for, and says what to write. */
function writePolicy(
  { services, who }: Pick<MutationCall, 'services' | 'who'>,
  given: PolicySpec,
  current: Stored<PolicyRecord> | undefined,
): Change {
  const { view, live, clock } = services;
  const context = {
    policies: policiesOf(view),
    inventory: services.inventory.now(),
    explain: (id: string) => explainId(id, live),
  };
  const { refusals, warnings, type } = validate(given, context, current?.value.name);
  if (given.name === 'status') {
    refusals.unshift({ field: 'name', ...sayRule('POLICY_NAME_INVALID', { reserved: given.name }) });
  }
  if (refusals.length > 0 || type === undefined) {
    const more = refusals.length > 1 ? ` (and ${refusals.length - 1} more)` : '';
    throw new ProblemError('POLICY_INVALID', `the policy is refused: ${refusals[0]?.message}${more}`, refusals);
  }
  const spec = normalise(given);
  const now = new Date(clock()).toISOString();
  const old = current?.value;
  const value = {
    ...spec,
    type,
    uid: old?.uid ?? randomUUID(),
    createdAt: old?.createdAt ?? now,
    ...(old ? old.createdBy !== undefined && { createdBy: old.createdBy } : { createdBy: who.name }),
    updatedAt: now,
  } as PolicyRecord;
  const key = keyOf('policies', spec.name);
  if (old && current && sameFields(old, value)) {
    return { ops: [], revision: current.revision, body: (revision) => ({ ...old, revision, warnings }) };
  }
  return {
    ops: [{ type: 'put', key, value }],
    revision: current?.revision ?? 0,
    status: old ? 200 : 201,
    ...(!old && { location: `${path}/${spec.name}` }),
    body: (revision) => ({ ...value, revision, warnings }),
  };
}

function sameFields(a: PolicyRecord, b: PolicyRecord): boolean {
  return a.type === b.type && FIELDS.every((field) => JSON.stringify(a[field]) === JSON.stringify(b[field]));
}

export const policyRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    summary: 'List mirror policies',
    query: ListQuery,
    refuses: ['LIST_EXPIRED'],
    responses: [
      {
        status: 200,
        description: 'Policies by name; with view=summary, summaries of them.',
        schema: listOf(z.union([Policy, PolicySummary])),
      },
    ],
    handle: ({ query: { view, ...query }, services }) => {
      const size = { of: ({ sources }: PolicyEntry) => sources.length, most: MAX_PAGE_SOURCES };
      const isWhole = view === 'whole';
      const options = { ...listOptions(services), ...(isWhole && { size }) };
      const page = pageOf(services.policies.items().values(), POLICIES, query, options);
      const policies = page.items.map(({ summary }) => {
        const stored = isWhole ? services.view.get('policies', summary.name) : undefined;
        return stored ? toPolicy(stored) : summary;
      });
      return { body: { ...page, items: policies } };
    },
  }),
  route({
    method: 'post',
    path,
    tag,
    needs: 'policy',
    summary: 'Create a mirror policy',
    query: MutationQuery,
    body: PolicySpec,
    refuses: ['ALREADY_EXISTS', 'POLICY_INVALID'],
    responses: [{ status: 201, description: 'Created.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'create', `policies/${call.body.name}`, () => {
        const { services, body } = call;
        if (services.view.get('policies', body.name)) {
          throw new ProblemError('ALREADY_EXISTS', `policy "${body.name}" exists already: choose another name`);
        }
        return writePolicy(call, body, undefined);
      }),
  }),
  route({
    method: 'get',
    path: `${path}/status`,
    tag,
    needs: 'read',
    summary: 'Read the status of all mirror policies',
    query: pageQuery(STATUSES),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Statuses by policy name.', schema: listOf(PolicyStatus) }],
    handle: ({ query, services }) => ({ body: statusPage(services, query) }),
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    needs: 'read',
    summary: 'Read a mirror policy',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The policy.', schema: Policy }],
    handle: ({ params: { name }, services }) => {
      const { view } = services;
      const policy = toPolicy(found(view.get('policies', name), 'policy', name));
      const { warnings } = validate(policy, { policies: policiesOf(view), inventory: services.inventory.now() }, name);
      return { headers: { etag: etag(policy.revision) }, body: { ...policy, warnings } };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    needs: 'policy',
    summary: 'Create or replace a mirror policy',
    params: PolicyParams,
    query: MutationQuery,
    body: PolicyReplacement,
    conditional: true,
    refuses: ['NAME_MISMATCH', 'POLICY_INVALID'],
    responses: [
      { status: 200, description: 'Replaced, or already up to date.', schema: Policy },
      { status: 201, description: 'Created.', schema: Policy },
    ],
    handle: (call) =>
      mutate(call, 'replace', `policies/${call.params.name}`, () => {
        const { services, params, body, request } = call;
        refuseOtherName(params.name, body.name);
        const current = services.view.get('policies', params.name);
        checkPreconditions(request, current?.revision);
        return writePolicy(call, { ...body, name: params.name }, current);
      }),
  }),
  route({
    method: 'patch',
    path: `${path}/{name}`,
    tag,
    needs: 'policy',
    summary: 'Change some fields of a mirror policy',
    params: PolicyParams,
    query: MutationQuery,
    body: PolicyPatch,
    bodyType: 'application/merge-patch+json',
    conditional: true,
    refuses: ['NOT_FOUND', 'NAME_MISMATCH', 'POLICY_INVALID'],
    responses: [{ status: 200, description: 'Changed, or already up to date.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'patch', `policies/${call.params.name}`, () => {
        const { services, params, body, request } = call;
        const current = found(services.view.get('policies', params.name), 'policy', params.name);
        checkPreconditions(request, current.revision);
        const spec = parseOrRefuse(PolicySpec, mergePatch(specOf(current.value), body), 'patched policy');
        refuseOtherName(params.name, spec.name);
        return writePolicy(call, spec, current);
      }),
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'policy',
    summary: 'Delete a mirror policy',
    params: PolicyParams,
    query: MutationQuery,
    conditional: true,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 204, description: 'Deleted.' }],
    handle: (call) => deleteNamed(call, { folder: 'policies', name: call.params.name }),
  }),
  route({
    method: 'get',
    path: `${path}/{name}/sources`,
    tag,
    needs: 'read',
    summary: 'List the sources of a mirror policy, with their state and counters',
    params: PolicyParams,
    query: pageQuery(SOURCES),
    refuses: ['NOT_FOUND', 'LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Sources by id.', schema: listOf(PolicySource) }],
    handle: ({ params: { name }, query, services }) => {
      const record = found(services.view.get('policies', name), 'policy', name);
      return { body: pageOf(services.paths.sources(record), SOURCES, query, listOptions(services)) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}/path`,
    tag,
    needs: 'read',
    summary: 'Read the way of the copies of a mirror policy, from node to node',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'Nodes, hops and destination.', schema: PolicyPath }],
    handle: ({ params: { name }, services }) => {
      return { body: found(services.paths.of(name), 'policy', name) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}/status`,
    tag,
    needs: 'read',
    summary: 'Read the status of a mirror policy',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The status, as the agents report it.', schema: PolicyStatus }],
    handle: ({ params: { name }, services }) => {
      const record = found(services.view.get('policies', name), 'policy', name);
      return { body: policyStatuses(services, record)[0] };
    },
  }),
];

function refuseOtherName(name: string, given: string | undefined): void {
  if (given !== undefined && given !== name) {
    const message = `"${given}" is not "${name}": remove the name from the body, or make both names the same; a policy cannot be renamed`;
    throw new ProblemError('NAME_MISMATCH', message, [{ code: 'NAME_MISMATCH', field: 'name', message }]);
  }
}
