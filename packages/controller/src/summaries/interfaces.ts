/** Interfaces with what policies make of them. */
import { type Interface, type InterfaceState, type InterfaceSummary, MAX_SUMMARY_ITEMS } from '@mirrorplane/contract';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { Merged } from '../inventory/inventory.ts';
import { policiesOf } from '../store/policies.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';

/**
 * The first VLAN ID that is suggested where an edge carries all of them: lower ones are often in
 * use.
 */
const FIRST_SUGGESTED = 100;
const LAST_VLAN = 4094;

interface Parts {
  view: View;
  inventory: CurrentInventory;
}

/** What policies say of interfaces. */
interface Uses {
  /** By source: the policy that has it. */
  sources: Map<string, string>;
  /** By destination: the policies that end there. */
  destinations: Map<string, PolicyRecord[]>;
  vlans: Set<number>;
}

/** An interface, whole and in a few fields. */
export interface InterfaceEntry {
  item: Interface;
  summary: InterfaceSummary;
}

/** Summaries of interfaces, made again only where the inventory or a policy has changed. */
export class InterfaceSummaries {
  readonly #parts: Parts;
  #uses: { changes: number; uses: Uses } | undefined;
  #all: { inventory: Merged; uses: Uses; entries: readonly InterfaceEntry[] } | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** All interfaces, in the order of their ids. */
  all(): readonly InterfaceEntry[] {
    const inventory = this.#parts.inventory.now();
    const uses = this.#usesNow();
    if (this.#all?.inventory !== inventory || this.#all.uses !== uses) {
      const { view } = this.#parts;
      const entries = inventory.interfaces.map((item) => ({ item, summary: summaryOf(item, view, uses) }));
      this.#all = { inventory, uses, entries };
    }
    return this.#all.entries;
  }

  /** One interface. */
  one(id: string): InterfaceSummary | undefined {
    const item = this.#parts.inventory.get(id);
    return item && summaryOf(item, this.#parts.view, this.#usesNow());
  }

  #usesNow(): Uses {
    const { view } = this.#parts;
    const changes = view.changesOf('policies');
    if (this.#uses?.changes !== changes) {
      this.#uses = { changes, uses: usesOf(view) };
    }
    return this.#uses.uses;
  }
}

function usesOf(view: View): Uses {
  const uses: Uses = { sources: new Map(), destinations: new Map(), vlans: new Set() };
  for (const value of policiesOf(view)) {
    for (const id of value.sources) {
      uses.sources.set(id, value.name);
    }
    const others = uses.destinations.get(value.destination) ?? [];
    others.push(value);
    uses.destinations.set(value.destination, others);
    if (value.vlanId !== undefined) {
      uses.vlans.add(value.vlanId);
    }
  }
  return uses;
}

function summaryOf(item: Interface, view: View, uses: Uses): InterfaceSummary {
  const { id, kind, name, network, pool, declared, boundTo, contested, revision } = item;
  const node = item.home ?? item.edge?.node;
  const device = item.devices.findLast((one) => one.node === node) ?? item.devices.at(-1);
  const domain = pool === undefined ? undefined : view.get('pools', pool)?.value.domain;
  const policy = uses.sources.get(id);
  const destinationOf = uses.destinations.get(id) ?? [];
  return {
    id,
    kind,
    name,
    ...(network !== undefined && { network }),
    ...(pool !== undefined && { pool }),
    ...(domain !== undefined && { domain }),
    ...(node !== undefined && { node }),
    ...(device && { device: { name: device.name, mac: device.mac, mtu: device.mtu, up: device.up } }),
    state: stateOf(item, device?.up),
    declared,
    ...(boundTo !== undefined && { boundTo }),
    ...(contested && { contested }),
    mirrorable: { source: asSource(item, policy), destination: asDestination(item) },
    ...(policy !== undefined && { policy }),
    destinationOf: destinationOf.slice(0, MAX_SUMMARY_ITEMS).map((one) => one.name),
    destinationOfCount: destinationOf.length,
    ...(kind === 'edge' && { vlans: vlansOf(item, destinationOf, uses.vlans) }),
    revision,
  };
}

function stateOf({ devices }: Interface, isUp: boolean | undefined): InterfaceState {
  if (isUp === undefined) {
    return 'absent';
  }
  return devices.length > 1 ? 'migrating' : isUp ? 'present' : 'down';
}

type Fitness = InterfaceSummary['mirrorable']['source'];

function asSource({ id, devices }: Interface, policy: string | undefined): Fitness {
  if (policy !== undefined) {
    return { ok: false, code: 'POLICY_SOURCE_IN_USE', message: `"${id}" is a source of policy "${policy}"` };
  }
  const device = devices.find(({ notMirrorable }) => notMirrorable !== undefined);
  return device === undefined
    ? { ok: true }
    : { ok: false, code: 'POLICY_SOURCE_UNSUPPORTED', message: `${device.name} ${device.notMirrorable}` };
}

/** A source may be a destination of other policies, as long as no copies come back. */
function asDestination({ devices }: Interface): Fitness {
  const device = devices.find(({ notMirrorable, noDestination }) => (notMirrorable ?? noDestination) !== undefined);
  const why = device?.notMirrorable ?? device?.noDestination;
  return device === undefined
    ? { ok: true }
    : { ok: false, code: 'POLICY_DESTINATION_UNSUPPORTED', message: `${device.name} ${why}` };
}

function vlansOf(
  { edge }: Interface,
  policies: readonly PolicyRecord[],
  taken: ReadonlySet<number>,
): NonNullable<InterfaceSummary['vlans']> {
  const allowed = edge?.allowedVlans;
  const used = [...new Set(policies.flatMap(({ vlanId }) => vlanId ?? []))].sort((a, b) => a - b);
  const suggested = allowed ? allowed.find((vlan) => !taken.has(vlan)) : firstFree(taken);
  return { ...(allowed && { allowed }), used, ...(suggested !== undefined && { suggested }) };
}

function firstFree(taken: ReadonlySet<number>): number | undefined {
  for (let vlan = FIRST_SUGGESTED; vlan <= LAST_VLAN; vlan++) {
    if (!taken.has(vlan)) {
      return vlan;
    }
  }
  return undefined;
}
