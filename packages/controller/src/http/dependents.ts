/** Checks whether a change of the inventory would break existing policies. */
import { isDeepStrictEqual } from 'node:util';
import type { Interface, Inventory, Policy, Refusal } from '@mirrorplane/contract';
import { type Cluster, homeDomain, homePool, type LookUp, validate } from '@mirrorplane/planner';
import { accessSettings } from '../access/settings.ts';
import type { Records } from '../inventory/inventory.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { policiesOf, policiesUsing } from '../store/policies.ts';
import type { InterfaceRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';

interface Change {
  view: View;
  /** Policies that it may break. */
  affected: readonly Policy[];
  inventory: Inventory;
  /** The inventory before, and after. */
  before: Cluster;
  after: Cluster;
}

/** What a change of an interface may break. @param after the interface as it would be */
export function withInterface(services: Services, id: string, after: Interface | undefined): Change {
  const { view, statuses } = services;
  const { cluster: before } = statuses.observation();
  const interfaces: Cluster['interfaces'] = {
    get: (one) => (one === id ? after : before.interfaces.get(one)),
    has: (one) => (one === id ? after !== undefined : before.interfaces.has(one)),
  };
  const affected = policiesUsing(policiesOf(view), id);
  return { view, affected, inventory: services.inventory.now(), before, after: { ...clusterOf(before), interfaces } };
}

/**
 * What other pools of nodes or domains of pools may break.
 * @param records as they would be, with the interfaces that there are
 */
export function withRecords(services: Services, records: Records): Change {
  const { view, statuses } = services;
  const { cluster: before } = statuses.observation();
  const after = clusterWith(services, before, records);
  /** All that rules ask of an interface. */
  const seenIn = (cluster: Cluster, id: string) => {
    const item = cluster.interfaces.get(id);
    return item && { item, pool: homePool(cluster, item), domain: homeDomain(cluster, item) };
  };
  const others = new Set([...after.changed].filter((id) => !isDeepStrictEqual(seenIn(before, id), seenIn(after, id))));
  const isAffected = ({ sources, destination }: Policy) => [destination, ...sources].some((id) => others.has(id));
  return { view, affected: policiesOf(view).filter(isAffected), inventory: services.inventory.now(), before, after };
}

/** What rules ask of the cluster, with other records; and the interfaces that may be others in it. */
function clusterWith(
  { view, inventory }: Services,
  before: Cluster,
  records: Records,
): Cluster & { changed: ReadonlySet<string> } {
  const pools = new Set(differing(view.all('pools'), records.pools));
  const nodes = new Set(differing(view.all('nodes'), records.nodes));
  for (const [name, { value }] of records.nodes) {
    if (pools.has(value.pool)) {
      nodes.add(name);
    }
  }
  const isOn = (node: string | undefined) => node !== undefined && nodes.has(node);
  const isConcerned = ({ pool, edge, boundTo, home, devices }: Interface) =>
    (pool !== undefined && pools.has(pool)) ||
    [edge?.node, boundTo, home].some(isOn) ||
    devices.some(({ node }) => nodes.has(node));
  const concerned = inventory.now().interfaces.filter(isConcerned);
  const items = new Map(concerned.map(({ id }) => [id, inventory.with(id, records)]));
  const nodeOf = (name: string) => {
    const node = before.nodes.get(name);
    const pool = records.nodes.get(name)?.value.pool;
    return node && pool !== undefined && nodes.has(name) ? { ...node, pool } : node;
  };
  return {
    ...clusterOf(before),
    changed: new Set(items.keys()),
    interfaces: lookUp((id) => (items.has(id) ? items.get(id) : before.interfaces.get(id))),
    nodes: lookUp(nodeOf),
    domainOfPool: lookUp((pool) => records.pools.get(pool)?.value.domain),
  };
}

function lookUp<V>(get: (key: string) => V | undefined): LookUp<V> {
  return { get, has: (key) => get(key) !== undefined };
}

/** Names of records that are other objects, or on one side alone. */
function differing(before: ReadonlyMap<string, unknown>, after: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((name) => before.get(name) !== after.get(name));
}

/** The look-ups of a cluster, each of which may be replaced. */
function clusterOf({ nodes, nodesOfPool, domainOfPool, encryptedPools, origins, interfaces }: Cluster): Cluster {
  return { nodes, nodesOfPool, domainOfPool, encryptedPools, origins, interfaces };
}

/** @throws ProblemError IN_USE if a valid policy would become invalid */
export function refuseBroken({ view, affected, inventory, before, after }: Change): void {
  if (affected.length === 0) {
    return;
  }
  const policies = policiesOf(view);
  const errors: Refusal[] = [];
  for (const policy of affected) {
    const refusalsIn = (cluster: Cluster) => validate(policy, { policies, inventory, cluster }, policy.name).refusals;
    const known = new Set(refusalsIn(before).map(keyOf));
    for (const refusal of refusalsIn(after)) {
      if (!known.has(keyOf(refusal))) {
        errors.push({
          code: refusal.code,
          field: refusal.field,
          message: `policy "${policy.name}": ${refusal.message}`,
        });
      }
    }
  }
  if (errors.length > 0) {
    throw new ProblemError(
      'IN_USE',
      `the change would break policies that use this resource: ${errors[0]!.message}`,
      errors,
    );
  }
}

/**
 * With the four-eyes rule, consent to a policy is for the devices of its edges too.
 * @throws ProblemError IN_USE if the edge gets another device while a policy uses it
 */
export function refuseMoved(old: InterfaceRecord | undefined, next: InterfaceRecord, view: View): void {
  const device = ({ edge }: InterfaceRecord) => JSON.stringify([edge?.node, edge?.device, edge?.mac]);
  if (old?.edge && device(old) !== device(next) && accessSettings(view).fourEyes) {
    const users = policiesUsing(policiesOf(view), next.id).map(({ name }) => `policy "${name}"`);
    refuseUsed(`the device of interface "${next.id}"`, users);
  }
}

function keyOf({ code, field }: Refusal): string {
  return `${code} ${field}`;
}

/** Throws IN_USE if there are users. @param users for example `policy "ids-all"` */
export function refuseUsed(what: string, users: readonly string[]): void {
  if (users.length > 0) {
    const listed = users.slice(0, 5).join(', ') + (users.length > 5 ? ` and ${users.length - 5} more` : '');
    throw new ProblemError('IN_USE', `${what} is used by ${listed}: change or delete these first`);
  }
}
