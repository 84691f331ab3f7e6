/** The rules of a policy: valid as a whole, or refused as a whole with every reason at once. */
import {
  type ErrorCode,
  type InterfaceKind,
  type Inventory,
  MANY_POLICIES,
  MAX_RATE,
  MAX_SOURCES,
  Name,
  type Params,
  type Policy,
  type PolicySpec,
  type PolicyType,
  type Refusal,
  sayRule,
  TrafficDirection,
  type Warning,
} from '@mirrorplane/contract';
import { type Cluster, homeDomain, homePool, indexCluster } from './cluster.ts';
import { findCycle } from './cycle.ts';
import { deviceRefusal, type Explain, overlaps } from './devices.ts';
import { policyType } from './kinds.ts';
import { sortedBy } from './order.ts';
import { shapeRefusals } from './shape.ts';
import { vlanWarnings } from './vlan-warnings.ts';

/** Everything that a policy is checked against. */
export interface ValidationContext {
  /** All policies that exist, in any order. */
  policies: readonly Policy[];
  inventory: Inventory;
  /** The inventory, where it is indexed already. */
  cluster?: Cluster | undefined;
  /** Explains why an interface has no device. Left out: no explanation is available. */
  explain?: Explain;
}

/** `type` is present if all interfaces exist and the type matrix allows their kinds. */
export interface ValidationResult {
  refusals: Refusal[];
  warnings: Warning[];
  type?: PolicyType;
}

/** `params`: values of a sentence of the code, see RULE_SENTENCES. */
type Refuse = (code: ErrorCode, field: string, params: Params) => void;

/**
 * Checks a policy. Refusals have the order of the fields of a policy, and equal input gives equal
 * output.
 *
 * @param replacing name of the policy that this one replaces; it does not count as another policy
 */
export function validate(spec: PolicySpec, context: ValidationContext, replacing?: string): ValidationResult {
  const shape = shapeRefusals(spec);
  if (shape.length > 0) {
    return { refusals: shape, warnings: [] };
  }
  const others = context.policies.filter((policy) => policy.name !== replacing);
  const cluster = context.cluster ?? indexCluster(context.inventory);
  const refusals: Refusal[] = [];
  const refuse: Refuse = (code, field, params) => refusals.push({ field, ...sayRule(code, params) });

  checkName(spec, refuse);
  checkSourceList(spec, cluster, refuse);
  checkEachSource({ spec, cluster, others, explain: context.explain }, refuse);
  checkDestination({ spec, cluster, others, explain: context.explain }, refuse);
  checkDirection(spec, refuse);
  checkPercent(spec, refuse);
  checkVlan(spec, cluster, refuse);
  checkRate(spec, refuse);
  checkFeedback(spec, cluster, refuse);

  const type = typeOf(spec, cluster);
  const warnings = [
    ...warningsOf(others),
    // Disabling a policy only removes copies, so it needs no warning. A new policy gets the warning
    // also if it is disabled, because it may be enabled later.
    ...(refusals.length === 0 && (spec.enabled || replacing === undefined) ? vlanWarnings(spec, others, cluster) : []),
  ];
  return { refusals, warnings, ...(type !== undefined && { type }) };
}

/**
 * The policy in stored form: percent with two decimals and no negative zero, no undefined fields.
 */
export function normalise(spec: PolicySpec): PolicySpec {
  const { vlanId, maxRate, allowFeedback, endsAt, ...rest } = spec;
  // Adding 0 turns -0, which JSON can carry, into 0.
  const percent = Number(spec.percent.toFixed(2)) + 0;
  return {
    ...rest,
    percent,
    ...(vlanId !== undefined && { vlanId }),
    ...(maxRate !== undefined && { maxRate }),
    ...(allowFeedback && { allowFeedback }),
    ...(endsAt !== undefined && { endsAt: new Date(endsAt).toISOString() }),
  };
}

function checkRate({ maxRate }: PolicySpec, refuse: Refuse): void {
  if (maxRate === undefined || (maxRate >= 1 && maxRate <= MAX_RATE)) {
    return;
  }
  refuse('POLICY_RATE_INVALID', 'maxRate', { maxRate, most: MAX_RATE });
}

/**
 * `allowFeedback` is refused at an edge: copies that come back there have the VLAN ID of the
 * policy, and are never copied again.
 */
function checkFeedback({ allowFeedback, destination }: PolicySpec, cluster: Cluster, refuse: Refuse): void {
  if (!allowFeedback || cluster.interfaces.get(destination)?.kind !== 'edge') {
    return;
  }
  refuse('POLICY_FEEDBACK_NOT_ALLOWED', 'allowFeedback', { destination });
}

function checkName(spec: PolicySpec, refuse: Refuse): void {
  if (!Name.safeParse(spec.name).success) {
    refuse('POLICY_NAME_INVALID', 'name', { name: spec.name });
  }
}

function checkSourceList({ sources }: PolicySpec, cluster: Cluster, refuse: Refuse): void {
  if (sources.length === 0) {
    refuse('POLICY_NO_SOURCES', 'sources', { most: MAX_SOURCES });
  }
  if (sources.length > MAX_SOURCES) {
    refuse('POLICY_TOO_MANY_SOURCES', 'sources', { count: sources.length, most: MAX_SOURCES });
  }
  const edge = sources.find((id) => cluster.interfaces.get(id)?.kind === 'edge');
  const virtual = sources.find((id) => isVirtual(cluster.interfaces.get(id)?.kind));
  if (edge !== undefined && virtual !== undefined) {
    refuse('POLICY_SOURCE_KINDS_MIXED', 'sources', { edge, other: virtual });
  }
}

/** A policy, and what it is checked against. */
interface Case {
  spec: PolicySpec;
  cluster: Cluster;
  others: readonly Policy[];
  explain: Explain | undefined;
}

function checkEachSource({ spec, cluster, others, explain }: Case, refuse: Refuse): void {
  const firstIndex = new Map<string, number>();
  const owners = ownersOf(spec.sources, others);
  const reference = domainReference(spec, cluster);
  const overlapping = Map.groupBy(overlaps(spec.sources, cluster), ({ index }) => index);
  for (const [index, id] of spec.sources.entries()) {
    const field = `sources[${index}]`;
    const first = firstIndex.get(id);
    if (first !== undefined) {
      refuse('POLICY_SOURCE_REPEATED', field, { source: id, first });
      continue;
    }
    firstIndex.set(id, index);
    const item = cluster.interfaces.get(id);
    const refused = deviceRefusal(id, item, 'SOURCE', explain);
    if (refused) {
      refuse(refused.code, field, refused.params);
    }
    for (const { params } of overlapping.get(index) ?? []) {
      refuse('POLICY_SOURCES_OVERLAP', field, params);
    }
    const owner = owners.get(id);
    if (owner) {
      refuse('POLICY_SOURCE_IN_USE', field, { source: id, [owner.enabled ? 'policy' : 'disabled']: owner.name });
    }
    const domain = item && homeDomain(cluster, item);
    if (reference && domain !== undefined && domain !== reference.domain) {
      const there = { otherDomain: reference.domain, otherPool: reference.pool, [reference.role]: reference.id };
      refuse('POLICY_CROSS_DOMAIN', field, { source: id, domain, pool: homePool(cluster, item!)!, ...there });
    }
  }
}

/** The other policy that has each of these sources. If several have it, the first by name. */
function ownersOf(sources: readonly string[], others: readonly Policy[]): Map<string, Policy> {
  const wanted = new Set(sources);
  const owners = new Map<string, Policy>();
  for (const policy of sortedBy(others, ({ name }) => name)) {
    for (const id of policy.sources) {
      if (wanted.has(id) && !owners.has(id)) {
        owners.set(id, policy);
      }
    }
  }
  return owners;
}

/** The domain that the sources must have: the destination's, or the first known one of a source. */
function domainReference(spec: PolicySpec, cluster: Cluster) {
  for (const id of [spec.destination, ...spec.sources]) {
    const item = cluster.interfaces.get(id);
    const domain = item && homeDomain(cluster, item);
    if (domain !== undefined) {
      const role = id === spec.destination ? 'destination' : 'otherSource';
      return { id, role, domain, pool: homePool(cluster, item!)! };
    }
  }
  return undefined;
}

function checkDestination({ spec, cluster, others, explain }: Case, refuse: Refuse): void {
  const { destination, sources } = spec;
  const item = cluster.interfaces.get(destination);
  const refused = deviceRefusal(destination, item, 'DESTINATION', explain);
  if (refused) {
    refuse(refused.code, 'destination', refused.params);
  }
  const own = sources.indexOf(destination);
  if (own >= 0) {
    refuse('POLICY_DESTINATION_IS_SOURCE', 'destination', { destination, at: own });
  }
  const edge = sources.find((id) => cluster.interfaces.get(id)?.kind === 'edge');
  if (edge !== undefined && isVirtual(item?.kind)) {
    refuse('POLICY_PHYSICAL_TO_VIRTUAL', 'destination', { source: edge, destination });
  }
  const chain = findCycle(spec, others);
  if (chain) {
    const quote = (name: string): string => JSON.stringify(name);
    const steps = chain.map(({ to, policy }) => `-> ${quote(to)} (policy ${quote(policy)})`);
    refuse('POLICY_CYCLE', 'destination', { chain: [quote(chain[0]!.from), ...steps].join(' ') });
  }
}

function checkDirection({ direction }: PolicySpec, refuse: Refuse): void {
  if (!TrafficDirection.safeParse(direction).success) {
    refuse('POLICY_DIRECTION_INVALID', 'direction', { direction });
  }
}

function checkPercent({ percent }: PolicySpec, refuse: Refuse): void {
  // toFixed is exact here; percent * 100 is not (0.29 * 100 = 28.999999999999996).
  if (!(percent >= 0 && percent <= 100 && Number(percent.toFixed(2)) === percent)) {
    refuse('POLICY_PERCENT_INVALID', 'percent', { percent });
  }
}

function checkVlan(spec: PolicySpec, cluster: Cluster, refuse: Refuse): void {
  const { vlanId, destination } = spec;
  const item = cluster.interfaces.get(destination);
  const isEdge = item?.kind === 'edge';
  if (vlanId === undefined) {
    if (isEdge) {
      refuse('POLICY_VLAN_REQUIRED', 'vlanId', { destination });
    }
    return;
  }
  // With only edge sources, a virtual destination is refused by another rule. The VLAN ID fits once
  // the destination is an edge.
  if (isVirtual(item?.kind) && !onlyEdges(spec.sources, cluster)) {
    refuse('POLICY_VLAN_NOT_ALLOWED', 'vlanId', { destination, vlanId });
    return;
  }
  if (!Number.isInteger(vlanId) || vlanId < 1 || vlanId > 4094) {
    refuse('POLICY_VLAN_INVALID', 'vlanId', { vlanId });
    return;
  }
  const allowed = isEdge ? item.edge?.allowedVlans : undefined;
  if (allowed && !allowed.includes(vlanId)) {
    refuse('POLICY_VLAN_NOT_IN_TRUNK', 'vlanId', { destination, vlanId, allowed: rangesOf(allowed) });
  }
}

/** Numbers as ranges: `100, 200-299`, as a switch writes a trunk list. */
function rangesOf(numbers: readonly number[]): string {
  const ranges: { first: number; last: number }[] = [];
  for (const number of [...numbers].sort((a, b) => a - b)) {
    const range = ranges.at(-1);
    if (range && number <= range.last + 1) {
      range.last = number;
    } else {
      ranges.push({ first: number, last: number });
    }
  }
  return ranges.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ') || 'none';
}

function isVirtual(kind: InterfaceKind | undefined): boolean {
  return kind === 'vm' || kind === 'nfv';
}

function onlyEdges(sources: readonly string[], cluster: Cluster): boolean {
  const kinds = new Set(sources.map((id) => cluster.interfaces.get(id)?.kind));
  kinds.delete(undefined);
  return kinds.size === 1 && kinds.has('edge');
}

function typeOf({ sources, destination }: PolicySpec, cluster: Cluster): PolicyType | undefined {
  const kinds = sources.map((id) => cluster.interfaces.get(id)?.kind);
  const destinationKind = cluster.interfaces.get(destination)?.kind;
  const known = kinds.filter((kind) => kind !== undefined);
  return destinationKind === undefined || known.length < kinds.length ? undefined : policyType(known, destinationKind);
}

function warningsOf(others: readonly Policy[]): Warning[] {
  const count = others.length + 1;
  if (count <= MANY_POLICIES) {
    return [];
  }
  return [sayRule('POLICY_MANY', { count })];
}
