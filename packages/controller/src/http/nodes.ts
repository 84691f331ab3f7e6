/** /api/v1/nodes */
import { randomUUID } from 'node:crypto';
import { inTurns } from '@mirrorplane/base';
import { type EventDraft, Name, Node, NodeSpec, NodeSummary } from '@mirrorplane/contract';
import * as z from 'zod';
import { revokeTokens } from '../auth/join-tokens.ts';
import { cutOff } from '../auth/node-certificates.ts';
import { recordsOf } from '../inventory/inventory.ts';
import { endingOn } from '../planning/ending.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import { nodeProblems, shownProblem } from '../reports/found-problems.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { Services } from '../services.ts';
import { policiesOf } from '../store/policies.ts';
import type { NodeRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { keyOf } from '../store/view.ts';
import { type NodeEntry, nodeEntries } from '../summaries/nodes.ts';
import { refuseBroken, refuseUsed, withRecords } from './dependents.ts';
import { require as requireRight } from './judges.ts';
import { isValue } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { checkPreconditions, etag, found, MutationQuery, mutate } from './mutation.ts';
import { putNamed } from './named-resource.ts';
import { listOf, listOptions, pageQuery, pageSteps } from './paging.ts';
import { type Route, route } from './route.ts';

const Params = z.object({ name: Name.meta({ description: 'Name of the node.' }) });
const path = '/api/v1/nodes';
const tag = 'nodes';

const NODES: ListSpec<NodeEntry> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: {
    pool: ({ pool }) => pool,
    state: ({ state }) => state,
    problemCount: ({ problemCount }) => problemCount,
    interfaceCount: ({ interfaceCount }) => interfaceCount,
    lastSeenAt: ({ reported }) => reported.lastSeenAt,
  },
  texts: ({ pool, reported: { underlay, kernel, agentVersion } }) => [pool, underlay?.address, kernel, agentVersion],
  filter: {
    pool: ({ pool }, value) => isValue(pool, value),
    domain: ({ domain }, value) => isValue(domain, value),
    state: ({ state }, value) => isValue(state, value),
    problem: ({ problems }, value) => problems.some(({ code }) => isValue(code, value)),
  },
};

const ListQuery = pageQuery(NODES).extend({
  view: z.enum(['whole', 'summary']).default('whole').meta({
    description: 'summary: a few fields of each node, without its devices.',
  }),
});

const DeleteQuery = MutationQuery.extend({
  dead: z.enum(['true', 'false']).default('false').meta({
    description:
      'true: the host will never copy again, because it is destroyed or the agent is uninstalled. Unconfirmed policies of the node then count as ended.',
  }),
});

/** The node with the last reports of its agent. */
export function toNode({ value: { name, pool }, revision }: Stored<NodeRecord>, { view, live }: Services): Node {
  const node = live.get(name);
  return {
    name,
    pool,
    connected: node?.connected ?? false,
    underlay: node?.underlay,
    agentVersion: node?.agentVersion,
    kernel: node?.kernel,
    hook: node?.hook,
    lastSeenAt: node?.lastSeenAt,
    certificateEndsAt: node?.certificateEndsAt,
    programRevision: view.get('programs', name)?.value.revision,
    appliedRevision: node?.appliedRevision,
    problems: (node ? nodeProblems(node, live.now()) : []).map(shownProblem),
    devices: node?.devices ?? [],
    budgets: node?.budgets ?? [],
    ending: node ? endingOn(node, view) : [],
    revision,
  };
}

/**
 * Refuses the deletion of a node that has not confirmed its end: a deleted node could no longer be
 * named as one that may still copy.
 * @param dead an operator declares that the host no longer copies
 */
function refuseUnconfirmed(name: string, node: LiveNode | undefined, dead: boolean): void {
  if (dead && node?.connected) {
    throw new ProblemError(
      'IN_USE',
      `node "${name}" is not dead, because its agent is connected: delete it without "dead"`,
    );
  }
  if (dead || !node || node.connected || node.copying.length === 0) {
    return;
  }
  const policies = node.copying.map((policy) => `"${policy.name}"`);
  const listed = policies.slice(0, 5).join(', ') + (policies.length > 5 ? ` and ${policies.length - 5} more` : '');
  const why = `its agent is not connected, and has not confirmed that it stopped copying for ${listed}`;
  const remedy = `start its agent; if the host will never copy again, run "mirrorplane node delete ${name} --dead"`;
  throw new ProblemError('NODE_UNCONFIRMED', `node "${name}" may still copy: ${why}: ${remedy}`);
}

/** The event for a node that an operator has declared dead. */
function declaredDead(name: string, copying: LiveNode['copying'], operator: string): EventDraft {
  const policies = copying.map((policy) => policy.name).join(', ');
  const what = policies === '' ? 'it copied for no policy' : `it counts as stopped for ${policies}`;
  return {
    kind: 'nodeDeclaredDead',
    object: { kind: 'node', name },
    message: `declared dead, and deleted: ${what}`,
    cause: { kind: 'operator', name: operator },
    ...(copying.length > 0 && { count: copying.length }),
  };
}

/**
 * Policies that lose captures or copies with the node: those with a device there while the agent is
 * connected.
 */
function usersOf(name: string, services: Services): string[] {
  const { view, live } = services;
  const users: string[] = [];
  const here = new Set<string>();
  for (const { id, edge, boundTo, devices } of services.inventory.now().interfaces) {
    if (edge?.node === name || boundTo === name) {
      users.push(`interface "${id}"`);
    }
    if (devices.some((device) => device.node === name)) {
      here.add(id);
    }
  }
  if (live.get(name)?.connected) {
    for (const { name: policy, sources, destination } of policiesOf(view)) {
      if (here.has(destination) || sources.some((id) => here.has(id))) {
        users.push(`policy "${policy}"`);
      }
    }
  }
  return users;
}

export const nodeRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'List nodes',
    query: ListQuery,
    refuses: ['LIST_EXPIRED'],
    responses: [
      {
        status: 200,
        description: 'Nodes by name; with view=summary, summaries of them.',
        schema: listOf(z.union([Node, NodeSummary])),
      },
    ],
    handle: async ({ query: { view, ...query }, services, judge, who }) => {
      const seen = nodeEntries(services).filter(({ name }) => judge.may('read', 'node', name));
      const page = await inTurns(pageSteps(seen, NODES, query, listOptions(services, who)));
      // One that was deleted since the page was made is left out: a summary is not a node.
      const wholeOf = (name: string) => {
        const stored = services.view.get('nodes', name);
        return stored ? toNode(stored, services) : [];
      };
      const items = page.items.flatMap((entry) => (view === 'whole' ? wholeOf(entry.name) : entry.summary));
      return { body: { ...page, items } };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{name}`,
    tag,
    needs: 'read',
    about: 'node',
    summary: 'Read a node',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The node.', schema: Node }],
    handle: ({ params: { name }, services }) => {
      const stored = found(services.view.get('nodes', name), 'node', name);
      return { headers: { etag: etag(stored.revision) }, body: toNode(stored, services) };
    },
  }),
  route({
    method: 'put',
    path: `${path}/{name}`,
    tag,
    needs: 'nodes',
    about: 'node',
    summary: 'Register a node, or move it to another pool',
    params: Params,
    query: MutationQuery,
    body: NodeSpec,
    conditional: true,
    refuses: ['IN_USE'],
    responses: [
      { status: 200, description: 'Changed, or already up to date.', schema: Node },
      { status: 201, description: 'Registered.', schema: Node },
    ],
    handle: (call) => {
      const { name } = call.params;
      const require = () => requireRight(call.judge, 'nodes', 'pool', call.body.pool);
      return putNamed(call, { folder: 'nodes', name, require }, (stored) => {
        const { body, services } = call;
        const { view } = services;
        if (!view.get('pools', body.pool)) {
          const message = `there is no pool "${body.pool}": create it first, for example with "mirrorplane pool create ${body.pool}"`;
          refuseField('pool', message);
        }
        const unchanged = stored?.value.pool === body.pool;
        const value: NodeRecord = { uid: randomUUID(), ...stored?.value, name, pool: body.pool };
        if (stored && !unchanged) {
          const before = recordsOf(view);
          const after = { ...before, nodes: new Map(before.nodes).set(name, { value, revision: 0 }) };
          refuseBroken(withRecords(services, after));
        }
        return { value, unchanged, body: (revision) => toNode({ value, revision }, services) };
      });
    },
  }),
  route({
    method: 'delete',
    path: `${path}/{name}`,
    tag,
    needs: 'nodes',
    about: 'node',
    summary: 'Delete a node',
    params: Params,
    query: DeleteQuery,
    conditional: true,
    refuses: ['NOT_FOUND', 'IN_USE', 'NODE_UNCONFIRMED'],
    responses: [
      {
        status: 204,
        description:
          'Deleted. The agent gets an empty program, and is then refused. The join token that let it in has ended, also one of a pool.',
      },
    ],
    handle: async (call) => {
      const { services, request } = call;
      const { name } = call.params;
      const dead = call.query.dead === 'true';
      const copying = services.live.get(name)?.copying ?? [];
      const answer = await mutate(call, dead ? 'declareDead' : 'delete', `nodes/${name}`, () => {
        const { view, live } = services;
        const stored = found(view.get('nodes', name), 'node', name);
        checkPreconditions(request, stored.revision);
        refuseUnconfirmed(name, live.get(name), dead);
        refuseUsed(`node "${name}"`, usersOf(name, services));
        return {
          ops: [
            { type: 'delete', key: keyOf('nodes', name) },
            { type: 'delete', key: keyOf('nodeStates', name) },
            { type: 'delete', key: keyOf('programs', name) },
            { type: 'delete', key: keyOf('certificates', name) },
            ...(view.get('certificates', name) ? [cutOff(view)] : []),
            ...revokeTokens(view, name),
          ],
        };
      });
      if (call.query.dryRun === 'false') {
        services.dismiss(name);
        if (dead) {
          await services.events.note(declaredDead(name, copying, call.who.name));
        }
      }
      return answer;
    },
  }),
];
