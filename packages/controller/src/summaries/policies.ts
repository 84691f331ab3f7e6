/** Policies in a few fields each, however many sources they have. */
import { MAX_SUMMARY_ITEMS, type PolicyStatus, type PolicySummary } from '@mirrorplane/contract';
import { policyStatuses, type StatusParts } from '../planning/policy-status.ts';
import { displayNames } from './display-names.ts';

/** Codes of reasons that mean that a node is behind. */
const BEHIND: ReadonlySet<string> = new Set(['NODE_PENDING', 'NODE_DISCONNECTED', 'ENDING_UNCONFIRMED']);

/** A summary, and what its list can be filtered by beside it. */
export interface PolicyEntry {
  summary: PolicySummary;
  sources: readonly string[];
  /** Nodes of its sources and its destination. */
  nodes: ReadonlySet<string>;
}

/** All policies. */
export function policyEntries(parts: StatusParts): PolicyEntry[] {
  const names = displayNames(parts.view);
  return policyStatuses(parts).flatMap((status): PolicyEntry[] => {
    const stored = parts.view.get('policies', status.name);
    if (!stored) {
      return [];
    }
    const { sources, destination, allowFeedback: _, ...record } = stored.value;
    const devices = [...status.sources, status.destination].flatMap((end) => end.devices);
    const summary: PolicySummary = {
      ...record,
      destination: { id: destination, name: names(destination) },
      sourceCount: sources.length,
      revision: stored.revision,
      ...stateOf(status),
    };
    return [{ summary, sources, nodes: new Set(devices.map(({ node }) => node)) }];
  });
}

function stateOf({
  state,
  reasons,
}: PolicyStatus): Pick<PolicySummary, 'state' | 'reasons' | 'reasonCount' | 'pending'> {
  const behind = reasons.flatMap(({ code, node }) => (node !== undefined && BEHIND.has(code) ? [node] : []));
  return {
    state,
    reasons: reasons.slice(0, MAX_SUMMARY_ITEMS),
    reasonCount: reasons.length,
    pending: [...new Set(behind)].slice(0, MAX_SUMMARY_ITEMS),
  };
}
