/** Counters and states as metrics. Made anew for each scrape, for what is scraped belongs to others: the agents. */
import { type CaptureCounts, type Count, PolicyState } from '@mirrorplane/contract';
import { Counter, Gauge, Registry, type RegistryContentType } from 'prom-client';
import type { Services } from '../services.ts';
import { policyStatuses } from '../status.ts';

/** Every metric: name, what it says, its labels. Counters of packets have one of bytes beside them. */
export const METRICS = {
  policyState: {
    name: 'mirrorplane_policy_state',
    help: '1 for the state that the policy is in.',
    labels: ['policy', 'state'],
  },
  policyReasons: {
    name: 'mirrorplane_policy_reasons',
    help: 'How many reasons of this code the policy has now. No series: none.',
    labels: ['policy', 'code'],
  },
  policyPackets: {
    name: 'mirrorplane_policy_packets_total',
    help: 'Packets at the captures of a source. matched = sampledOut + copied + dropped; truncated is a share of copied.',
    labels: ['policy', 'source', 'direction', 'outcome', 'reason'],
  },
  policyBytes: {
    name: 'mirrorplane_policy_bytes_total',
    help: 'Bytes of Ethernet frames at the captures of a source.',
    labels: ['policy', 'source', 'direction', 'outcome', 'reason'],
  },
  policySkipped: {
    name: 'mirrorplane_policy_skipped_packets_total',
    help: 'Packets at the captures of a source that the policy does not mean.',
    labels: ['policy', 'source', 'direction', 'reason'],
  },
  pathPackets: {
    name: 'mirrorplane_path_packets_total',
    help: 'ERSPAN packets between two nodes, as each of the two counts them.',
    labels: ['policy', 'from', 'to', 'outcome'],
  },
  pathLost: {
    name: 'mirrorplane_path_lost_packets',
    help: 'Packets that were sent and neither delivered nor relayed, of those that have had the time to arrive.',
    labels: ['policy', 'from', 'to'],
  },
  delivered: {
    name: 'mirrorplane_policy_delivered_packets_total',
    help: 'Packets handed to the device of the destination. Absent while not known.',
    labels: ['policy'],
  },
  nodeConnected: { name: 'mirrorplane_node_connected', help: '1 where the agent is connected.', labels: ['node'] },
  nodeProblems: {
    name: 'mirrorplane_node_problems',
    help: 'How many problems of this code the node has now. No series: none.',
    labels: ['node', 'code'],
  },
  nodeCertificateEnd: {
    name: 'mirrorplane_node_certificate_end_timestamp_seconds',
    help: 'When the certificate of the agent ends, seconds since 1970. No series: not known yet.',
    labels: ['node'],
  },
  certificateEnd: {
    name: 'mirrorplane_controller_certificate_end_timestamp_seconds',
    help: 'When a certificate of the controller ends, seconds since 1970: authority, or agents, which is renewed daily.',
    labels: ['certificate'],
  },
  nodePending: {
    name: 'mirrorplane_node_program_pending',
    help: '1 where the kernel of the node does not run the newest program yet.',
    labels: ['node'],
  },
  unknownErspan: {
    name: 'mirrorplane_node_unknown_erspan_packets_total',
    help: 'ERSPAN packets of an unknown sender, left to the node.',
    labels: ['node'],
  },
  refusedErspan: {
    name: 'mirrorplane_node_refused_erspan_packets_total',
    help: 'ERSPAN packets of another node that were refused: no policy has their session, generation or address now.',
    labels: ['node', 'sender', 'reason'],
  },
  requestsRefused: {
    name: 'mirrorplane_agent_requests_refused_total',
    help: "Requests that were refused on the agents' port, since the controller was started.",
    labels: ['request', 'reason'],
  },
} as const;

/** @param accept Accept header of the request: OpenMetrics where it names it, else the Prometheus text format. */
export async function renderMetrics(
  services: Services,
  accept: string,
): Promise<{ contentType: string; text: string }> {
  const open = accept.includes('application/openmetrics-text');
  const registry: Registry<RegistryContentType> = new Registry();
  registry.setContentType(open ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE);
  const registers = [registry];
  const gauge = ({ name, help, labels }: { name: string; help: string; labels: readonly string[] }) =>
    new Gauge({ name, help, labelNames: [...labels], registers });
  const counter = ({ name, help, labels }: { name: string; help: string; labels: readonly string[] }) =>
    new Counter({ name, help, labelNames: [...labels], registers });
  const metrics = {
    state: gauge(METRICS.policyState),
    reasons: gauge(METRICS.policyReasons),
    problems: gauge(METRICS.nodeProblems),
    packets: counter(METRICS.policyPackets),
    bytes: counter(METRICS.policyBytes),
    skipped: counter(METRICS.policySkipped),
    path: counter(METRICS.pathPackets),
    lost: gauge(METRICS.pathLost),
    delivered: counter(METRICS.delivered),
    connected: gauge(METRICS.nodeConnected),
    nodeCertificate: gauge(METRICS.nodeCertificateEnd),
    certificate: gauge(METRICS.certificateEnd),
    pending: gauge(METRICS.nodePending),
    unknown: counter(METRICS.unknownErspan),
    refused: counter(METRICS.refusedErspan),
    requestsRefused: counter(METRICS.requestsRefused),
  };
  for (const { request, reason, count } of services.refusals.counts()) {
    metrics.requestsRefused.inc({ request, reason }, count);
  }
  const { endsAt, serverEndsAt } = services.authority;
  metrics.certificate.set({ certificate: 'authority' }, endsAt / 1000);
  if (serverEndsAt !== undefined) {
    metrics.certificate.set({ certificate: 'agents' }, serverEndsAt / 1000);
  }
  for (const status of policyStatuses(services)) {
    const policy = status.name;
    for (const state of PolicyState.options) {
      metrics.state.set({ policy, state }, state === status.state ? 1 : 0);
    }
    for (const { code } of status.reasons) {
      metrics.reasons.inc({ policy, code });
    }
    for (const source of status.sources) {
      for (const direction of ['inbound', 'outbound'] as const) {
        const counts = source[direction];
        if (counts) {
          const labels = { policy, source: source.interface, direction };
          for (const [outcome, reason, count] of outcomes(counts)) {
            metrics.packets.inc({ ...labels, outcome, reason }, count.packets);
            metrics.bytes.inc({ ...labels, outcome, reason }, count.bytes);
          }
          for (const [reason, count] of Object.entries(counts.skipped)) {
            metrics.skipped.inc({ ...labels, reason }, count.packets);
          }
        }
      }
    }
    for (const { from, to, lost, ...counts } of status.paths) {
      if (lost !== null) {
        metrics.lost.set({ policy, from, to }, lost);
      }
      for (const [outcome, count] of Object.entries(counts)) {
        if (count) {
          metrics.path.inc({ policy, from, to, outcome }, count.packets);
        }
      }
    }
    if (status.delivered) {
      metrics.delivered.inc({ policy }, status.delivered.packets);
    }
  }
  const { view, live } = services;
  for (const name of view.all('nodes').keys()) {
    const node = live.get(name);
    const program = view.get('programs', name)?.value.revision;
    metrics.connected.set({ node: name }, node?.connected ? 1 : 0);
    metrics.pending.set({ node: name }, program !== undefined && node?.appliedRevision !== program ? 1 : 0);
    if (node?.certificateEndsAt !== undefined) {
      metrics.nodeCertificate.set({ node: name }, Date.parse(node.certificateEndsAt) / 1000);
    }
    for (const { code } of node ? live.problemsOf(node) : []) {
      metrics.problems.inc({ node: name, code });
    }
    const sums = node?.counters.sums();
    if (sums) {
      metrics.unknown.inc({ node: name }, sums.unknownErspan);
      for (const { address: sender, staleSession, wrongAddress } of sums.peers) {
        metrics.refused.inc({ node: name, sender, reason: 'staleSession' }, staleSession);
        metrics.refused.inc({ node: name, sender, reason: 'wrongAddress' }, wrongAddress);
      }
    }
  }
  return { contentType: registry.contentType, text: await registry.metrics() };
}

function* outcomes(counts: CaptureCounts): Generator<[outcome: string, reason: string, Count]> {
  for (const outcome of ['matched', 'sampledOut', 'copied', 'truncated'] as const) {
    yield [outcome, '', counts[outcome]];
  }
  for (const [reason, count] of Object.entries(counts.dropped)) {
    if (count) {
      yield ['dropped', reason, count];
    }
  }
}
