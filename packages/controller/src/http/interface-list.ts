/** The list of interfaces: what it can be sorted and filtered by. */
import type { InterfaceEntry } from '../summaries/interfaces.ts';
import { isValue, isYes } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';

export const INTERFACES: ListSpec<InterfaceEntry> = {
  keyName: 'id',
  key: ({ item }) => item.id,
  sort: {
    name: ({ item }) => item.name,
    kind: ({ item }) => item.kind,
    network: ({ item }) => item.network,
    pool: ({ item }) => item.pool,
    node: ({ node }) => node,
    state: ({ state }) => state,
    mtu: ({ device }) => device?.mtu,
    policy: ({ policy }) => policy,
    // Reports change it all the time: the route asks for it.
    traffic: () => undefined,
  },
  texts: () => [],
  text: ({ text }) => text,
  filter: {
    kind: ({ item }, value) => isValue(item.kind, value),
    network: ({ item }, value) => isValue(item.network, value),
    pool: ({ item }, value) => isValue(item.pool, value),
    domain: ({ domain }, value) => isValue(domain, value),
    node: ({ item }, value) => isValue(item.edge?.node, value) || item.devices.some(({ node }) => isValue(node, value)),
    state: ({ state }, value) => isValue(state, value),
    policy: ({ policy, destinationOf }, value) =>
      isValue(policy, value) || destinationOf.some(({ name }) => isValue(name, value)),
    source: ({ policy }, value) => isYes(policy !== undefined, value),
    destination: ({ destinationOf }, value) => isYes(destinationOf.length > 0, value),
    free: ({ asSource }, value) => isYes(asSource.ok, value),
    declared: ({ item }, value) => isYes(item.declared, value),
  },
};
