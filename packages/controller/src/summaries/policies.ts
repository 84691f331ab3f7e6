/** Policies in a few fields each, however many sources they have. */
import { MAX_SUMMARY_ITEMS, type PolicyStatus, type PolicySummary } from '@mirrorplane/contract';
import type { History } from '../history/history.ts';
import { healthOf, hopRates, ratesOf, sparklineOf } from '../history/rates.ts';
import type { Track } from '../history/track.ts';
import { policyStatuses, type StatusParts } from '../planning/policy-status.ts';
import type { PolicyRecord } from '../store/records.ts';
import { declaredEnds } from './display-names.ts';

/** Codes of reasons that mean that a node is behind. */
const BEHIND: ReadonlySet<string> = new Set(['NODE_PENDING', 'NODE_DISCONNECTED', 'ENDING_UNCONFIRMED']);

/** What is shown of one policy beside its summary. */
type PolicyDetail = Pick<PolicyStatus, 'totals' | 'delivered' | 'lost' | 'feedback' | 'countersAt' | 'stale'> & {
  paths: (PolicyStatus['paths'][number] & { rates: ReturnType<typeof hopRates> })[];
};

/** A summary, and what its list can be filtered by beside it. */
export interface PolicyEntry {
  summary: PolicySummary;
  sources: readonly string[];
  /** Nodes of its sources and its destination. */
  nodes: ReadonlySet<string>;
  /** What is shown of one policy alone. */
  detail: PolicyDetail;
  /** What was delivered, as a sparkline. */
  sparkline: (number | null)[];
}

/** All policies. */
export function policyEntries(parts: StatusParts & { history: History }): PolicyEntry[] {
  return policyStatuses(parts).flatMap((status): PolicyEntry[] => {
    const stored = parts.view.get('policies', status.name);
    if (!stored) {
      return [];
    }
    // What waits for consent names interfaces of others to who sees the summary.
    const { sources, destination, allowFeedback: _, approval, change, ...record } = stored.value;
    const devices = [...status.sources, status.destination].flatMap((end) => end.devices);
    const track = parts.history.policy(stored.value.uid);
    const summary: PolicySummary = {
      ...record,
      destination: { id: destination, name: declaredEnds(stored.value, parts.view)(destination)?.name ?? '' },
      sourceCount: sources.length,
      ...(isWaiting({ approval, change }) && { waitsForConsent: true }),
      revision: stored.revision,
      ...stateOf(status),
      health: healthOf(track, status),
      rates: ratesOf(track),
      sparkline: sparklineOf(track, 'copied'),
    };
    const nodes = new Set(devices.map(({ node }) => node));
    const sparkline = sparklineOf(track, 'delivered');
    return [{ summary, sources, nodes, sparkline, detail: detailOf(status, track) }];
  });
}

function isWaiting({ approval, change }: Pick<PolicyRecord, 'approval' | 'change'>): boolean {
  return change !== undefined || approval?.state === 'pending';
}

/**
 * What is shown of a policy to who may see a part of its sources: nothing that names or counts the
 * others, or says how much they send.
 * @param sourceCount number of the sources that one may see
 */
export function summaryOfPart(summary: PolicySummary, sourceCount: number): PolicySummary {
  return {
    ...summary,
    sourceCount,
    reasons: [],
    reasonCount: 0,
    pending: [],
    health: { state: 'unknown', reasons: [] },
    rates: { copied: null, delivered: null, dropped: null, lost: null },
    sparkline: summary.sparkline.map(() => null),
  };
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

function detailOf(status: PolicyStatus, track: Track | undefined): PolicyDetail {
  const { totals, delivered, lost, feedback, countersAt, stale } = status;
  const paths = status.paths.map((path) => ({ ...path, rates: hopRates(track, path) }));
  return { totals, delivered, lost, ...(feedback && { feedback }), countersAt, stale, paths };
}
