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
    node: ({ summary }) => summary.node,
    state: ({ summary }) => summary.state,
    mtu: ({ summary }) => summary.device?.mtu,
    policy: ({ summary }) => summary.policy,
    traffic: ({ summary: { traffic } }) => traffic && traffic.inbound.bitsPerSecond + traffic.outbound.bitsPerSecond,
  },
  texts: function* ({ item, summary }) {
    yield* [item.name, item.network, item.pool, summary.node, summary.policy, item.edge?.device, item.edge?.mac];
    for (const { name, mac } of item.devices) {
      yield* [name, mac];
    }
  },
  filter: {
    kind: ({ item }, value) => isValue(item.kind, value),
    network: ({ item }, value) => isValue(item.network, value),
    pool: ({ item }, value) => isValue(item.pool, value),
    domain: ({ summary }, value) => isValue(summary.domain, value),
    node: ({ item }, value) => isValue(item.edge?.node, value) || item.devices.some(({ node }) => isValue(node, value)),
    state: ({ summary }, value) => isValue(summary.state, value),
    policy: ({ summary }, value) =>
      isValue(summary.policy, value) || summary.destinationOf.some((name) => isValue(name, value)),
    source: ({ summary }, value) => isYes(summary.policy !== undefined, value),
    destination: ({ summary }, value) => isYes(summary.destinationOfCount > 0, value),
    free: ({ summary }, value) => isYes(summary.mirrorable.source.ok, value),
    declared: ({ item }, value) => isYes(item.declared, value),
  },
};
