/** Grants that name pools, networks or labels that there are not. Pure. */
import { type AccessObject, type Grant, sayRule, type Warning } from '@mirrorplane/contract';

/** What there is. */
export interface Known {
  /** Names of resource pools. */
  pools: ReadonlySet<string>;
  interfaces: Iterable<AccessObject>;
}

/**
 * A warning for each thing that grants name and that is not there: a grant may be made before, or
 * its name is spelled wrongly.
 */
export function unmatchedGrants(grants: readonly Grant[], { pools, interfaces }: Known): Warning[] {
  const scopes = grants.flatMap(({ scope }) => scope ?? []);
  if (scopes.length === 0) {
    return [];
  }
  const networks = new Set<string | undefined>();
  const labels = new Set<string>();
  for (const one of interfaces) {
    networks.add(one.network);
    for (const pair of Object.entries(one.labels ?? {})) {
      labels.add(pair.join('='));
    }
  }
  const missing = scopes.flatMap((scope) => [
    ...(scope.pools ?? []).filter((name) => !pools.has(name)).map((name) => `resource pool "${name}"`),
    ...(scope.networks ?? []).filter((name) => !networks.has(name)).map((name) => `interface in network "${name}"`),
    ...Object.entries(scope.labels ?? {})
      .map((pair) => pair.join('='))
      .filter((label) => !labels.has(label))
      .map((label) => `interface with the label ${label}`),
  ]);
  return [...new Set(missing)].map((what) => ({ field: 'grants', ...sayRule('GRANT_UNMATCHED', { what }) }));
}
