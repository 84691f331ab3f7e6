/** Lists of policies, of their statuses and of their sources: what they can be sorted and filtered by. */
import type { PolicySource, PolicyStatus } from '@mirrorplane/contract';
import type { PolicyEntry } from '../summaries/policies.ts';
import { isValue, isYes } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';

/** From the worst to the best. */
const STATES = ['failed', 'degraded', 'ending', 'waiting', 'pendingApproval', 'disabled', 'active'];

const HEALTH = ['losing', 'throttled', 'unknown', 'ok', 'idle'];

/** Policies, whole or as summaries. */
export const POLICIES: ListSpec<PolicyEntry> = {
  keyName: 'name',
  key: ({ summary }) => summary.name,
  sort: {
    state: ({ summary }) => STATES.indexOf(summary.state),
    type: ({ summary }) => summary.type,
    destination: ({ summary }) => summary.destination.id,
    sourceCount: ({ summary }) => summary.sourceCount,
    percent: ({ summary }) => summary.percent,
    health: ({ summary }) => HEALTH.indexOf(summary.health.state),
    copied: ({ summary }) => summary.rates.copied?.bitsPerSecond,
    delivered: ({ summary }) => summary.rates.delivered?.bitsPerSecond,
    dropped: ({ summary }) => summary.rates.dropped,
    lost: ({ summary }) => summary.rates.lost,
    vlanId: ({ summary }) => summary.vlanId,
    createdAt: ({ summary }) => summary.createdAt,
    updatedAt: ({ summary }) => summary.updatedAt,
  },
  texts: function* ({ summary, sources, nodes }) {
    yield* [summary.description, summary.destination.id, summary.destination.name, summary.createdBy];
    yield* nodes;
    yield* sources;
  },
  filter: {
    state: ({ summary }, value) => isValue(summary.state, value),
    health: ({ summary }, value) => isValue(summary.health.state, value),
    type: ({ summary }, value) => isValue(summary.type, value),
    direction: ({ summary }, value) => isValue(summary.direction, value),
    enabled: ({ summary }, value) => isYes(summary.enabled, value),
    destination: ({ summary }, value) => isValue(summary.destination.id, value),
    source: ({ sources }, value) => sources.some((id) => isValue(id, value)),
    node: ({ nodes }, value) => [...nodes].some((name) => isValue(name, value)),
    consent: ({ summary }, value) => isValue(summary.waitsForConsent ? 'waits' : undefined, value),
    reason: ({ summary }, value) => summary.reasons.some(({ code }) => isValue(code, value)),
  },
};

export const STATUSES: ListSpec<PolicyStatus> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: {
    state: ({ state }) => STATES.indexOf(state),
    copied: ({ totals }) => totals.copied.packets,
    lost: ({ lost }) => lost,
  },
  texts: ({ destination }) => [destination.interface],
  filter: {
    state: ({ state }, value) => isValue(state, value),
    type: ({ type }, value) => isValue(type, value),
    reason: ({ reasons }, value) => reasons.some(({ code }) => isValue(code, value)),
  },
};

const copied = ({ inbound, outbound }: PolicySource) =>
  (inbound?.copied.packets ?? 0) + (outbound?.copied.packets ?? 0);

export const SOURCES: ListSpec<PolicySource> = {
  keyName: 'id',
  key: ({ id }) => id,
  sort: {
    name: ({ name }) => name,
    node: ({ node }) => node,
    state: ({ state }) => state,
    copied,
    rate: ({ rate }) => rate?.bitsPerSecond,
  },
  texts: ({ name, node, device }) => [name, node, device],
  filter: {
    state: ({ state }, value) => isValue(state, value),
    kind: ({ kind }, value) => isValue(kind, value),
    node: ({ node }, value) => isValue(node, value),
    reason: ({ reasons }, value) => reasons.some(({ code }) => isValue(code, value)),
  },
};
