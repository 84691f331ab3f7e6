/** The way of the copies of one policy, and its sources. */
import type { PolicyPath, PolicySource } from '@mirrorplane/contract';
import { type PolicyOutline, sourceRates } from '@mirrorplane/planner';
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
    if (policy === undefined) {
      return undefined;
    }
    lookAt(this.#parts, policy.value);
    return pathOf(this.#parts, this.#parts.statuses.outline(policy), policy.value);
  }

  /** The sources of a policy in its order, with what nodes report of each. */
  sources(policy: Stored<PolicyRecord>): PolicySource[] {
    const { view, statuses } = this.#parts;
    lookAt(this.#parts, policy.value);
    const rates = sourceRates(policy.value.uid, statuses.observation());
    return sourcesOf(statuses.one(policy), rates, declaredEnds(policy.value, view));
  }
}

function pathOf(parts: Parts, status: PolicyOutline, policy: PolicyRecord): PolicyPath {
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

function nodesOf({ sourcesAt, destination }: PolicyOutline, { view, live }: StatusParts): PolicyPath['nodes'] {
  const ends = new Set(destination.devices.map(({ node }) => node));
  const names = [...new Set([...sourcesAt.keys(), ...ends])].sort();
  return names.map((name) => {
    const { sources, capturing } = sourcesAt.get(name) ?? { sources: 0, capturing: 0 };
    return {
      name,
      state: stateOfNode(live.get(name), view.get('programs', name)?.value.revision),
      sourceCount: sources,
      capturingCount: capturing,
      isEnd: ends.has(name),
    };
  });
}
