/** Checks by the API, which shows reports of agents, whether the cluster has its intended state. */
import type { Interface, Node, PolicyStatus } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import {
  expectedState,
  interfaceOf,
  isClaimed,
  isCutOff,
  nicKey,
  policiesWith,
  type Spec,
  TOPOLOGY,
  type World,
} from './world.ts';

/** Reasons about the past ten seconds, or about an MTU that is too small on purpose. */
const HARMLESS = ['COPIES_DROPPED', 'COPIES_TRUNCATED'];

/** The first part that does not have its intended state yet, or undefined. */
export async function unsettled(lab: Lab, world: World): Promise<string | undefined> {
  const nodes = await items<Node>(lab, 'nodes');
  for (const { name, connected, programRevision, appliedRevision, underlay } of nodes) {
    if (!connected) {
      return `${name} is not connected`;
    }
    const mtu = world.mtus[name] ?? TOPOLOGY.underlayMtu;
    if (underlay?.mtu !== mtu) {
      return `${name} tells of MTU ${underlay?.mtu}, not ${mtu}`;
    }
    if (programRevision !== appliedRevision) {
      return `${name} runs program ${appliedRevision}, not ${programRevision}`;
    }
  }
  const interfaces = new Map((await items<Interface>(lab, 'interfaces')).map((item) => [item.id, item]));
  for (const { name, device } of TOPOLOGY.vms) {
    const id = interfaceOf(name);
    const wanted = world.hidden.includes(name) ? [] : [`${world.places[name]}:${device}`];
    // While nothing asks whether its guest runs there, the device of a second claimant may be one
    // of a guest on its way.
    const isAsked = policiesWith(world, id).some(({ enabled }) => enabled);
    const extra = isAsked
      ? []
      : world.claimed.filter(({ vm }) => vm === name).map((one) => `${one.node}:${one.device}`);
    const problem = devicesProblem(interfaces.get(id), id, wanted);
    if (problem && devicesProblem(interfaces.get(id), id, [...wanted, ...extra])) {
      return problem;
    }
  }
  for (const [id, nic] of Object.entries(world.edges)) {
    const problem = devicesProblem(interfaces.get(id), id, [`${nic.node}:${world.nicNames[nicKey(nic)]}`]);
    if (problem) {
      return problem;
    }
  }
  const statuses = await policyStatuses(lab);
  const names = statuses.map(({ name }) => name).sort();
  const wanted = Object.keys(world.policies).sort();
  if (names.join() !== wanted.join()) {
    return `the policies are ${names}, not ${wanted}`;
  }
  for (const status of statuses) {
    const problem = stateProblem(status, world, world.policies[status.name]!);
    if (problem) {
      return problem;
    }
  }
  return undefined;
}

/** The status of every policy. */
export function policyStatuses(lab: Lab): Promise<PolicyStatus[]> {
  return items<PolicyStatus>(lab, 'policies/status');
}

async function items<T>(lab: Lab, path: string): Promise<T[]> {
  const { status, body } = await lab.api('GET', `/api/v1/${path}`);
  if (status !== 200) {
    throw new Error(`GET ${path}: ${status} ${JSON.stringify(body)}`);
  }
  return (body as { items: T[] }).items;
}

function devicesProblem(item: Interface | undefined, id: string, wanted: string[]): string | undefined {
  const found = (item?.devices ?? []).map(({ node, name }) => `${node}:${name}`);
  const down = item?.devices.find(({ up }) => !up);
  if (found.join() !== wanted.join()) {
    return `${id} has devices ${found.join() || 'none'}, not ${wanted.join() || 'none'}`;
  }
  return down && `${down.name} of ${id} is down`;
}

/**
 * A reason that a policy must have, for what was done to the cluster; undefined where it must have
 * none.
 */
function wantedReason(world: World, { enabled, sources, destination }: Spec): string | undefined {
  const contested = [...sources, destination].some((id) => isClaimed(world, id));
  return enabled && contested ? 'INTERFACE_DUPLICATE' : undefined;
}

function stateProblem({ name, state, reasons }: PolicyStatus, world: World, spec: Spec): string | undefined {
  const wanted = expectedState(world, spec);
  const reason = wantedReason(world, spec);
  if (reason !== undefined && !reasons.some(({ code }) => code === reason)) {
    return `policy ${name} has no ${reason}`;
  }
  const isCut = spec.sources.some((source) => isCutOff(world, spec, source));
  const expected = [...HARMLESS, ...(isCut ? ['COPIES_LOST'] : []), ...(reason === undefined ? [] : [reason])];
  const others = reasons.filter(({ code }) => !expected.includes(code));
  const seen = state === 'degraded' && others.length === 0 ? 'active' : state;
  if (seen === wanted) {
    return undefined;
  }
  return `policy ${name} is ${state}, not ${wanted}: ${reasons.map(({ code, message }) => `${code} ${message}`).join('; ')}`;
}
