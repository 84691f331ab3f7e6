/** Lists of policies, of their statuses and of their sources: what they can be sorted and filtered by. */
import type { PolicySource } from '@mirrorplane/contract';
import type { PolicyOutline } from '@mirrorplane/planner';
import type { PolicyEntry } from '../summaries/policies.ts';
import { isValue, isYes } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';

/** From the worst to the best. */
const STATES = ['failed', 'degraded', 'ending', 'waiting', 'pendingApproval', 'disabled', 'active'];

const HEALTH = ['losing', 'throttled', 'unknown', 'ok', 'idle'];

/** Policies, whole or as summaries. */
export const POLICIES: ListSpec<PolicyEntry> = {
  keyName: 'name',
  key: ({ name }) => name,
  sort: {
    state: ({ state }) => STATES.indexOf(state),
    type: ({ record }) => record.type,
    destination: ({ record }) => record.destination,
    sourceCount: ({ sources }) => sources.length,
    percent: ({ record }) => record.percent,
    health: ({ health }) => HEALTH.indexOf(health.state),
    copied: ({ rates }) => rates.copied?.bitsPerSecond,
    delivered: ({ rates }) => rates.delivered?.bitsPerSecond,
    dropped: ({ rates }) => rates.dropped,
    lost: ({ rates }) => rates.lost,
    vlanId: ({ record }) => record.vlanId,
    createdAt: ({ record }) => record.createdAt,
    updatedAt: ({ record }) => record.updatedAt,
  },
  texts: () => [],
  text: ({ text }) => text,
  filter: {
    state: ({ state }, value) => isValue(state, value),
    health: ({ health }, value) => isValue(health.state, value),
    type: ({ record }, value) => isValue(record.type, value),
    direction: ({ record }, value) => isValue(record.direction, value),
    enabled: ({ record }, value) => isYes(record.enabled, value),
    destination: ({ record }, value) => isValue(record.destination, value),
    source: ({ sources }, value) => sources.some((id) => isValue(id, value)),
    node: ({ nodes }, value) => nodes.some((name) => isValue(name, value)),
    consent: ({ waitsForConsent }, value) => isValue(waitsForConsent ? 'waits' : undefined, value),
    reason: ({ reasons }, value) => reasons.some(({ code }) => isValue(code, value)),
  },
};

export const STATUSES: ListSpec<PolicyOutline> = {
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
