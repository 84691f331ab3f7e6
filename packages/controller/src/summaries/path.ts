/** The way of the copies of one policy. */
import type { PolicyPath, PolicyStatus } from '@mirrorplane/contract';
import type { History } from '../history/history.ts';
import { hopRates, rateOf } from '../history/rates.ts';
import { policyStatuses, type StatusParts } from '../planning/policy-status.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { displayNames } from './display-names.ts';
import { stateOfNode } from './nodes.ts';

/** The nodes of a policy, the hops between them, and its destination. */
export function policyPath(parts: StatusParts & { history: History }, policy: Stored<PolicyRecord>): PolicyPath {
  const status = policyStatuses(parts, policy)[0]!;
  const track = parts.history.policy(status.uid);
  const { interface: id, devices } = status.destination;
  const device = devices.at(-1);
  return {
    nodes: nodesOf(status, parts),
    hops: status.paths.map((path) => ({ ...path, rates: hopRates(track, path) })),
    destination: {
      id,
      name: displayNames(parts.view)(id),
      ...(device && { node: device.node, device: device.name }),
      delivered: status.delivered,
      rate: rateOf(track, 'delivered'),
    },
  };
}

function nodesOf({ sources, destination }: PolicyStatus, { view, live }: StatusParts): PolicyPath['nodes'] {
  const ends = new Set(destination.devices.map(({ node }) => node));
  const here = sources.flatMap(({ devices, state }) => devices.map(({ node }) => ({ node, state })));
  const byNode = Map.groupBy(here, ({ node }) => node);
  const names = [...new Set([...byNode.keys(), ...ends])].sort();
  return names.map((name) => {
    const there = byNode.get(name) ?? [];
    return {
      name,
      state: stateOfNode(live.get(name), view.get('programs', name)?.value.revision),
      sourceCount: there.length,
      capturingCount: there.filter(({ state }) => state === 'capturing').length,
      isEnd: ends.has(name),
    };
  });
}
