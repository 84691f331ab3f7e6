/** Interfaces with what policies make of them. */

import { filteredInSteps } from '@mirrorplane/base';
import {
  type Interface,
  type InterfaceState,
  type InterfaceSummary,
  type InterfaceTraffic,
  MAX_SUMMARY_ITEMS,
} from '@mirrorplane/contract';
import { forDiffering, foundIn, replacedIn, Succession } from '@mirrorplane/planner';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { Merged } from '../inventory/inventory.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { InterfaceUses } from './interface-uses.ts';
import { KeptOrders } from './kept-orders.ts';
import { MadeOnDemand } from './made-on-demand.ts';
import { TextBlocks } from './text-blocks.ts';

/**
 * The first VLAN ID that is suggested where an edge carries all of them: lower ones are often in
 * use.
 */
const FIRST_SUGGESTED = 100;
const LAST_VLAN = 4094;
/** Between two words. Nobody looks for it. */
const TEXT_END = '\0';

interface Parts {
  view: View;
  inventory: CurrentInventory;
}

/** All entries, and what they were made of. */
interface Made {
  interfaces: Merged['interfaces'];
  vlans: ReadonlySet<number>;
  /** `changesOf('pools')` */
  pools: number;
  entries: readonly InterfaceEntry[];
}

/** Summaries of interfaces. An entry is made again only where its interface, or what policies make of it, differs. */
export class InterfaceSummaries {
  readonly #parts: Parts;
  readonly #uses = new InterfaceUses();
  /** Interfaces of which policies may make something else since `#all` was made. */
  readonly #concerned = new Set<string>();
  #all: Made | undefined;
  #succession = new Succession();
  readonly #texts = new TextBlocks<InterfaceEntry>(({ text }) => text);
  #map: { of: readonly InterfaceEntry[]; map: ReadonlyMap<string, InterfaceSummary> } | undefined;

  /** All interfaces in other orders. */
  readonly orders = new KeptOrders<InterfaceEntry>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** All interfaces, in the order of their ids. The same list until one differs. */
  all(): readonly InterfaceEntry[] {
    const inventory = this.#parts.inventory.now();
    this.#takeUses();
    const { vlans } = this.#uses;
    const pools = this.#parts.view.changesOf('pools');
    const before = this.#all;
    const isPart = before?.vlans === vlans && before.pools === pools;
    const entries = isPart ? this.#changed(before, inventory) : this.#made(inventory, before?.entries ?? []);
    this.#concerned.clear();
    this.#all = { interfaces: inventory.interfaces, vlans, pools, entries };
    return entries;
  }

  /** Summaries of all interfaces by their ids, made when they are asked for. */
  summaries(): ReadonlyMap<string, InterfaceSummary> {
    const of = this.all();
    if (this.#map?.of !== of) {
      this.#map = { of, map: new MadeOnDemand(of, (entry) => entry.summary) };
    }
    return this.#map.map;
  }

  /** One interface. */
  one(id: string): InterfaceSummary | undefined {
    const item = this.#parts.inventory.get(id);
    this.#takeUses();
    return item && this.#entryOf(item).summary;
  }

  #takeUses(): void {
    for (const id of this.#uses.update(this.#parts.view)) {
      this.#concerned.add(id);
    }
  }

  /**
   * Entries whose text has all these words, in steps.
   * @param words in lower case, at least one @param all what `all` has given @returns at its end
   */
  *havingAll(words: readonly string[], all: readonly InterfaceEntry[]): Generator<undefined, InterfaceEntry[]> {
    // The longest one leaves the fewest.
    const [longest = '', ...others] = words.toSorted((a, b) => b.length - a.length);
    const found = yield* this.#texts.matching(all, longest);
    const hasOthers = ({ text }: InterfaceEntry) => others.every((word) => text.includes(word));
    return others.length === 0 ? found : yield* filteredInSteps(found, hasOthers);
  }

  /** The same list, or a copy with other entries of interfaces that differ, or that policies use otherwise. */
  #changed({ interfaces: before, entries }: Made, { interfaces: now }: Merged): readonly InterfaceEntry[] {
    const ids = new Set(this.#concerned);
    forDiffering(before, now, (id) => ids.add(id));
    const itemOf = (id: string) => foundIn(now, id);
    const others = [...ids].filter((id) => {
      const entry = foundIn(entries, id);
      return entry?.item !== itemOf(id) || (entry !== undefined && !this.#isUsedAlike(entry));
    });
    if (others.length === 0) {
      return entries;
    }
    const next = replacedIn(entries, others, (id) => {
      const item = itemOf(id);
      return item && this.#entryOf(item);
    });
    this.#succession.add(next, others);
    return next;
  }

  /** All of them, where pools or VLAN IDs are others. @param before in the order of ids */
  #made({ interfaces }: Merged, before: readonly InterfaceEntry[]): InterfaceEntry[] {
    let at = 0;
    const entries = interfaces.map((item) => {
      while (at < before.length && before[at]!.item !== item && before[at]!.id < item.id) {
        at++;
      }
      const known = before[at];
      return known?.item === item && this.#isUsedAlike(known) ? known : this.#entryOf(item);
    });
    this.#succession = new Succession();
    this.#succession.add(entries, []);
    return entries;
  }

  #isUsedAlike({ id, item, policy, destinationOf, domain, vlans }: InterfaceEntry): boolean {
    return (
      policy === this.#uses.policyOf(id) &&
      destinationOf === this.#uses.destinationOf(id) &&
      (item.kind !== 'edge' || vlans === this.#uses.vlans) &&
      domain === this.#domainOf(item)
    );
  }

  #entryOf(item: Interface): InterfaceEntry {
    const { id } = item;
    const uses = this.#uses;
    return new InterfaceEntry(item, {
      policy: uses.policyOf(id),
      destinationOf: uses.destinationOf(id),
      vlans: uses.vlans,
      domain: this.#domainOf(item),
    });
  }

  #domainOf({ pool }: Interface): string | undefined {
    return pool === undefined ? undefined : this.#parts.view.get('pools', pool)?.value.domain;
  }
}

/** What an interface is used for. */
interface Use {
  /** The policy that has it as a source. */
  policy: string | undefined;
  /** The policies that end there. */
  destinationOf: readonly PolicyRecord[];
  /** VLAN IDs of all policies. */
  vlans: ReadonlySet<number>;
  domain: string | undefined;
}

/**
 * An interface, and what policies make of it. Of 100,000 of them, few are shown: a summary is made
 * each time that it is asked for.
 */
export class InterfaceEntry {
  readonly item: Interface;
  readonly policy: string | undefined;
  readonly destinationOf: readonly PolicyRecord[];
  readonly vlans: ReadonlySet<number>;
  readonly domain: string | undefined;
  /** What it carries, where the list is sorted by it. */
  readonly traffic: InterfaceTraffic | null | undefined;

  constructor(item: Interface, { policy, destinationOf, vlans, domain }: Use, traffic?: InterfaceTraffic | null) {
    this.item = item;
    this.policy = policy;
    this.destinationOf = destinationOf;
    this.vlans = vlans;
    this.domain = domain;
    this.traffic = traffic;
  }

  /** The same with what it carries. */
  withTraffic(traffic: InterfaceTraffic | null): InterfaceEntry {
    return new InterfaceEntry(this.item, this, traffic);
  }

  get id(): string {
    return this.item.id;
  }

  get node(): string | undefined {
    return this.item.home ?? this.item.edge?.node;
  }

  /** The device of its guest. */
  get device(): Interface['devices'][number] | undefined {
    const { node, item } = this;
    return item.devices.findLast((one) => one.node === node) ?? item.devices.at(-1);
  }

  get state(): InterfaceState {
    return stateOf(this.item, this.device?.up);
  }

  get asSource(): Fitness {
    return asSource(this.item, this.policy);
  }

  /** All words of it in lower case, apart from each other. */
  get text(): string {
    const { item, node, policy } = this;
    return [
      ...[item.id, item.name, item.network, item.pool, node, policy, item.edge?.device, item.edge?.mac],
      ...item.devices.flatMap(({ name, mac }) => [name, mac]),
    ]
      .filter((word, index, all) => word !== undefined && all.indexOf(word) === index)
      .join(TEXT_END)
      .toLowerCase();
  }

  get summary(): InterfaceSummary {
    const { item, node, device, policy, domain, destinationOf, traffic } = this;
    const { id, kind, name, network, pool, declared, boundTo, contested, revision } = item;
    return {
      id,
      kind,
      name,
      ...(network !== undefined && { network }),
      ...(pool !== undefined && { pool }),
      ...(domain !== undefined && { domain }),
      ...(node !== undefined && { node }),
      ...(device && { device: { name: device.name, mac: device.mac, mtu: device.mtu, up: device.up } }),
      state: this.state,
      declared,
      ...(boundTo !== undefined && { boundTo }),
      ...(contested && { contested }),
      mirrorable: { source: this.asSource, destination: asDestination(item) },
      ...(policy !== undefined && { policy }),
      destinationOf: destinationOf.slice(0, MAX_SUMMARY_ITEMS).map((one) => one.name),
      destinationOfCount: destinationOf.length,
      ...(kind === 'edge' && { vlans: vlansOf(item, destinationOf, this.vlans) }),
      ...(traffic !== undefined && { traffic }),
      revision,
    };
  }
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
