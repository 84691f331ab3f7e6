/** The way of the copies of one policy, and its sources. */
import type { PolicyPath, PolicySource, PolicyStatus } from '@mirrorplane/contract';
import { sourceRates } from '@mirrorplane/planner';
import type { History } from '../history/history.ts';
import { hopRates, rateOf } from '../history/rates.ts';
import type { KeptStatuses } from '../planning/kept-statuses.ts';
import { lookAt, type StatusParts } from '../planning/policy-status.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { Stored } from '../store/view.ts';
import { declaredEnds } from './display-names.ts';
import { stateOfNode } from './nodes.ts';
import { sourcesOf } from './sources.ts';

type Parts = StatusParts & { history: History; statuses: KeptStatuses };

/** What a page of one policy shows beside its summary. */
export class PolicyPaths {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** The nodes of a policy, the hops between them, and its destination. */
  of(name: string): PolicyPath | undefined {
    const policy = this.#parts.view.get('policies', name);
    return policy && pathOf(this.#parts, this.#status(policy), policy.value);
  }

  /** The sources of a policy in its order, with what nodes report of each. */
  sources(policy: Stored<PolicyRecord>): PolicySource[] {
    const rates = sourceRates(policy.value.uid, this.#parts.statuses.observation());
    return sourcesOf(this.#status(policy), rates, declaredEnds(policy.value, this.#parts.view));
  }

  #status(policy: Stored<PolicyRecord>): PolicyStatus {
    lookAt(this.#parts, policy.value);
    return this.#parts.statuses.one(policy);
  }
}

function pathOf(parts: Parts, status: PolicyStatus, policy: PolicyRecord): PolicyPath {
  const track = parts.history.policy(status.uid);
  const { interface: id, devices } = status.destination;
  const device = devices.at(-1);
  return {
    nodes: nodesOf(status, parts),
    hops: status.paths.map((path) => ({ ...path, rates: hopRates(track, path) })),
    destination: {
      id,
      name: declaredEnds(policy, parts.view)(id)?.name ?? '',
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
