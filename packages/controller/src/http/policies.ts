/** /api/v1/policies */
import { inTurns } from '@mirrorplane/base';
import { Policy, PolicyPath, PolicySource, PolicySpec, PolicyStatus, PolicySummary } from '@mirrorplane/contract';
import { validate } from '@mirrorplane/planner';
import * as z from 'zod';
import type { Judge } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { lookAt } from '../planning/policy-status.ts';
import { ProblemError, parseOrRefuse } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { policiesOf, toPolicy } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { require } from './judges.ts';
import { mergePatch } from './merge-patch.ts';
import { checkPreconditions, etag, found, MutationQuery, mutate } from './mutation.ts';
import { deleteNamed } from './named-resource.ts';
import { listOf, listOptions, pageOf, pageQuery, pageSteps } from './paging.ts';
import { POLICIES, SOURCES, STATUSES } from './policy-lists.ts';
import { partOfPolicy } from './policy-part.ts';
import { statusPage } from './policy-statuses.ts';
import { refuseOtherName, requirePolicy, specOf, writePolicy } from './policy-writing.ts';
import { type Route, route } from './route.ts';
import { freshStatuses, seenEntries } from './seen-policies.ts';
import { seenReasons } from './seen-reasons.ts';

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

export const policyRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'handler',
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
    handle: async ({ query: { view, ...query }, services, judge, who }) => {
      const size = { of: ({ sources }: PolicyEntry) => sources.length, most: MAX_PAGE_SOURCES };
      const isWhole = view === 'whole';
      const options = { ...listOptions(services, who), ...(isWhole && { size }) };
      await freshStatuses(services);
      const page = await inTurns(pageSteps(seenEntries(services, judge), POLICIES, query, options));
      // One that was deleted since the page was made is left out: a summary is not a policy.
      const wholeOf = (name: string) => {
        const stored = services.view.get('policies', name);
        return (stored && partOfPolicy(toPolicy(stored), judge)) ?? [];
      };
      const policies = page.items.flatMap((entry) => (isWhole ? wholeOf(entry.name) : entry.summary));
      return { body: { ...page, items: policies } };
    },
  }),
  route({
    method: 'post',
    path,
    tag,
    needs: 'policy',
    about: 'handler',
    summary: 'Create a mirror policy',
    query: MutationQuery,
    body: PolicySpec,
    refuses: ['ALREADY_EXISTS', 'POLICY_INVALID', 'REQUESTS_EXCEEDED'],
    responses: [{ status: 201, description: 'Created.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'create', `policies/${call.body.name}`, () => {
        const { services, body, judge } = call;
        requirePolicy(judge, body, undefined);
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
    about: 'handler',
    summary: 'Read the status of all mirror policies',
    query: pageQuery(STATUSES),
    refuses: ['LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Statuses by policy name.', schema: listOf(PolicyStatus) }],
    handle: async ({ query, services, judge, who }) => ({
      body: await inTurns(statusPage(services, query, { judge, who })),
    }),
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'Read a mirror policy',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The policy.', schema: Policy }],
    handle: ({ params: { name }, services, judge }) => {
      const { view } = services;
      const stored = partOf(name, services, judge);
      const policy = toPolicy(stored);
      if (stored.value.sources.length < view.get('policies', name)!.value.sources.length) {
        return { headers: { etag: etag(policy.revision) }, body: policy };
      }
      const { cluster } = services.statuses.observation();
      const context = { policies: policiesOf(view), inventory: services.inventory.now(), cluster };
      const whole = validate(policy, context, name);
      const { warnings } = seenReasons(whole, policy, judge);
      return { headers: { etag: etag(policy.revision) }, body: { ...policy, warnings } };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    needs: 'policy',
    about: 'handler',
    summary: 'Create or replace a mirror policy',
    params: PolicyParams,
    query: MutationQuery,
    body: PolicyReplacement,
    conditional: true,
    refuses: ['NAME_MISMATCH', 'POLICY_INVALID', 'REQUESTS_EXCEEDED'],
    responses: [
      { status: 200, description: 'Replaced, or already up to date.', schema: Policy },
      { status: 201, description: 'Created.', schema: Policy },
    ],
    handle: (call) =>
      mutate(call, 'replace', `policies/${call.params.name}`, () => {
        const { services, params, body, request, judge } = call;
        refuseOtherName(params.name, body.name);
        const current = services.view.get('policies', params.name);
        requirePolicy(judge, { ...body, name: params.name }, current?.value);
        checkPreconditions(request, current?.revision);
        return writePolicy(call, { ...body, name: params.name }, current);
      }),
  }),
  route({
    method: 'patch',
    path: `${path}/{name}`,
    tag,
    needs: 'policy',
    about: 'handler',
    summary: 'Change some fields of a mirror policy',
    params: PolicyParams,
    query: MutationQuery,
    body: PolicyPatch,
    bodyType: 'application/merge-patch+json',
    conditional: true,
    refuses: ['NOT_FOUND', 'NAME_MISMATCH', 'POLICY_INVALID', 'REQUESTS_EXCEEDED'],
    responses: [{ status: 200, description: 'Changed, or already up to date.', schema: Policy }],
    handle: (call) =>
      mutate(call, 'patch', `policies/${call.params.name}`, () => {
        const { services, params, body, request, judge } = call;
        require(judge, 'policy', 'policy', params.name);
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
    about: 'policy',
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
    about: 'handler',
    summary: 'List the sources of a mirror policy, with their state and counters',
    params: PolicyParams,
    query: pageQuery(SOURCES),
    refuses: ['NOT_FOUND', 'LIST_EXPIRED'],
    responses: [{ status: 200, description: 'Sources by id.', schema: listOf(PolicySource) }],
    handle: ({ params: { name }, query, services, judge, who }) => {
      const record = partOf(name, services, judge);
      const shown = new Set(record.value.sources);
      const sources = services.paths.sources(record).filter(({ id }) => shown.has(id));
      return { body: pageOf(sources, SOURCES, query, listOptions(services, who)) };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}/path`,
    tag,
    needs: 'read',
    about: 'policy',
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
    about: 'policy',
    summary: 'Read the status of a mirror policy',
    params: PolicyParams,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The status, as the agents report it.', schema: PolicyStatus }],
    handle: ({ params: { name }, services }) => {
      const record = found(services.view.get('policies', name), 'policy', name);
      lookAt(services, record.value);
      return { body: services.statuses.one(record) };
    },
  }),
];

/** The part of a policy that one may read. @throws ProblemError NOT_FOUND, FORBIDDEN */
function partOf(name: string, { view }: Services, judge: Judge): Stored<PolicyRecord> {
  const stored = view.get('policies', name);
  if (stored === undefined && judge.everywhere('read')) {
    throw new ProblemError('NOT_FOUND', `there is no policy "${name}"`);
  }
  const value = stored && partOfPolicy(stored.value, judge);
  if (value === undefined) {
    throw forbidden('read', `policy/${name}`);
  }
  return { ...stored!, value };
}
