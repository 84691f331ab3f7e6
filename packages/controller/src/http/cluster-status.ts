/** /api/v1/status: controllers, store, nodes, policies and problems in one answer. */
import { hostname } from 'node:os';
import { ClusterStatus, MAX_STATUS_PROBLEMS, type StatusProblem } from '@mirrorplane/contract';
import manifest from '../../package.json' with { type: 'json' };
import type { ControllerRecord } from '../cluster/controllers.ts';
import { ProblemError } from '../problems/problems.ts';
import { timeAhead } from '../problems/time-ahead.ts';
import type { Services } from '../services.ts';
import type { StoreState } from '../store/store.ts';
import type { NodeEntry } from '../summaries/nodes.ts';
import type { PolicyEntry } from '../summaries/policies.ts';
import { type Route, route } from './route.ts';
import { freshStatuses, seenEntries } from './seen-policies.ts';

/** Milliseconds that a follower has to connect to the leader. */
const LINKED_MS = 15_000;

/** What is wrong with the controller itself, and with its store. */
function ofController(services: Services, store: StoreState | undefined): StatusProblem[] {
  const { audit, auditCheck } = services;
  const messages: string[] = [];
  try {
    audit.requireWritable();
  } catch (error) {
    messages.push(error instanceof ProblemError ? error.problem.detail : String(error));
  }
  const { fault } = auditCheck.last?.verdict ?? {};
  if (fault) {
    messages.push(`the audit log is not what it was: ${fault.message}`);
  }
  messages.push(...[store?.fault, timeAhead(services)].filter((one) => one !== undefined));
  for (const { url, answers } of store?.members ?? []) {
    if (!answers) {
      messages.push(`the member ${url} of etcd does not answer, or does not reach most of the others`);
    }
  }
  return messages.map((message) => ({ kind: 'controller', name: hostname(), message }));
}

/** All controllers. Without others over etcd it is this one. */
function controllersOf({ leadership, startedAt, audit }: Services): NonNullable<ClusterStatus['controllers']> {
  if (leadership === undefined) {
    return [{ host: hostname(), version: manifest.version, startedAt, leads: true }];
  }
  const { controllers, hold } = leadership;
  const gone = controllers.gone().map((one) => ({
    ...one,
    leads: false,
    gone: one.stoppedAt === undefined ? ('lost' as const) : ('stopped' as const),
  }));
  const running = controllers.all().map(({ id, ...one }) => {
    const leads = id === controllers.self.id;
    return {
      ...{ host: one.host, agents: one.agents, version: one.version, startedAt: one.startedAt, leads },
      ...(leads && { leadsSince: hold.holder.since }),
      ...(leads && audit.begins !== undefined && { auditFrom: audit.begins }),
    };
  });
  return [...running, ...gone];
}

/** Followers that cannot do what they are for, or are not heard of. */
function ofFollowers({ leadership, clock }: Services): StatusProblem[] {
  if (leadership === undefined) {
    return [];
  }
  const { controllers, followers } = leadership;
  const unfit = controllers
    .all()
    .flatMap(({ agents, problem }): StatusProblem[] =>
      problem === undefined ? [] : [{ kind: 'controller', name: agents, message: `it could not lead: ${problem}` }],
    );
  const isNew = (startedAt: string) => clock() - Date.parse(startedAt) < LINKED_MS;
  const unlinked = controllers
    .all()
    .filter(({ id, startedAt }) => id !== controllers.self.id && !followers.linked.has(id) && !isNew(startedAt))
    .map(({ agents }): StatusProblem => {
      const causes = 'it hangs, its host is cut off, or it has another authority or a wrong --advertise';
      const message = `it has no connection to the leader at ${controllers.self.agents}: ${causes}; see its log`;
      return { kind: 'controller', name: agents, message };
    });
  const lost = controllers
    .gone()
    .filter(({ stoppedAt }) => stoppedAt === undefined)
    .map(({ host, agents }): StatusProblem => {
      const message = `the controller of host ${host} is not heard of any more: start it. If it is gone for good, it is forgotten after a week`;
      return { kind: 'controller', name: agents, message };
    });
  // A new run may have the address of the one before, which is listed for some seconds more.
  const old = controllers.all().filter(({ startedAt }) => !isNew(startedAt));
  return [...unfit, ...unlinked, ...lost, ...ofSameAddress(old)];
}

/** Controllers that others take for one, because they say that they have the same address. */
function ofSameAddress(controllers: readonly ControllerRecord[]): StatusProblem[] {
  const shared = [...Map.groupBy(controllers, ({ agents }) => agents)].filter(([, those]) => those.length > 1);
  return shared.map(([name, those]) => {
    const hosts = those.map(({ host }) => host).sort();
    const where = hosts.join(' and ');
    const message = `${those.length} controllers have this address, on the hosts ${where}: give each of them its own with --advertise`;
    return { kind: 'controller', name, message };
  });
}

function ofNode({ name, state, problems }: NodeEntry): StatusProblem[] {
  const away: StatusProblem = { kind: 'node', name, code: 'NODE_DISCONNECTED', message: 'its agent is not connected' };
  return [
    ...(state === 'disconnected' ? [away] : []),
    ...problems.map((one) => ({ kind: 'node' as const, name, ...one })),
  ];
}

function ofPolicy({ name, state, reasons }: PolicyEntry): StatusProblem[] {
  if (state === 'active' || state === 'disabled') {
    return [];
  }
  return reasons.map(({ code, message, remedy }) => ({
    kind: 'policy' as const,
    name,
    code,
    message,
    ...(remedy !== undefined && { remedy }),
  }));
}

const countBy = <T, S extends string>(items: readonly T[], state: (item: T) => S) =>
  items.reduce<Partial<Record<S, number>>>((counts, item) => {
    counts[state(item)] = (counts[state(item)] ?? 0) + 1;
    return counts;
  }, {});

export const clusterStatusRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/status',
    tag: 'nodes',
    needs: 'read',
    about: 'handler',
    summary: 'Read how the cluster is: controllers, store, nodes, policies, problems',
    responses: [{ status: 200, description: 'What one may read of it.', schema: ClusterStatus }],
    handle: async ({ services, judge }) => {
      const all = judge.everywhere('read');
      const state = all ? await services.storeState() : undefined;
      const store = state && { engine: state.engine, members: state.members, revision: services.view.revision };
      const controllers = controllersOf(services);
      const nodes = [...services.nodes.items().values()].filter(({ name }) => judge.may('read', 'node', name));
      await freshStatuses(services);
      const policies = [...seenEntries(services, judge)];
      const problems = [
        ...(all ? [...ofController(services, state), ...ofFollowers(services)] : []),
        ...nodes.flatMap(ofNode),
        ...policies.flatMap(ofPolicy),
      ];
      const { ready = 0, pending = 0, disconnected = 0 } = countBy(nodes, ({ state }) => state);
      const body: ClusterStatus = {
        ...(all && { controllers, store }),
        nodes: { total: nodes.length, ready, pending, disconnected },
        policies: { total: policies.length, states: countBy(policies, ({ state }) => state) },
        problems: problems.slice(0, MAX_STATUS_PROBLEMS),
        problemCount: problems.length,
      };
      return { body };
    },
  }),
];
