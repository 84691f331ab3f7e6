/** Every metric of the controller: name, kind, what it says, labels. The documentation is made of it. */

export interface MetricEntry {
  kind: 'gauge' | 'counter';
  name: string;
  help: string;
  labels: readonly string[];
}

function gauge(name: string, help: string, ...labels: string[]): MetricEntry {
  return { kind: 'gauge', name, help, labels };
}

function counter(name: string, help: string, ...labels: string[]): MetricEntry {
  return { kind: 'counter', name, help, labels };
}

const CAPTURE = ['policy', 'source', 'direction'];
const PATH = ['policy', 'from', 'to'];
const FRAMES = 'bytes of Ethernet frames as the source sent or got them';
const COPIES = 'bytes of the copies, without outer headers';

export const METRICS = {
  buildInfo: gauge('mirrorplane_build_info', '1, with the version of the controller.', 'version'),
  policyState: gauge('mirrorplane_policy_state', '1 for the state that the policy is in, else 0.', 'policy', 'state'),
  policyReasons: gauge(
    'mirrorplane_policy_reasons',
    'How many reasons of this code the policy has now. No series: none.',
    'policy',
    'code',
  ),
  policyMaxRate: gauge(
    'mirrorplane_policy_max_rate_bytes_per_second',
    'The budget of the policy (maxRate). No series: it has none.',
    'policy',
  ),
  policyPackets: counter(
    'mirrorplane_policy_packets_total',
    'Packets at the captures of a source, by what became of them: sampled_out, copied, dropped. Their sum is what was matched.',
    ...CAPTURE,
    'outcome',
    'reason',
  ),
  policyBytes: counter(
    'mirrorplane_policy_bytes_total',
    `As mirrorplane_policy_packets_total, in ${FRAMES}.`,
    ...CAPTURE,
    'outcome',
    'reason',
  ),
  truncatedPackets: counter(
    'mirrorplane_policy_truncated_packets_total',
    'Of the packets copied: those whose copy was cut to the underlay MTU.',
    ...CAPTURE,
  ),
  truncatedBytes: counter(
    'mirrorplane_policy_truncated_bytes_total',
    `Of the bytes copied: those of packets whose copy was cut, in ${FRAMES}.`,
    ...CAPTURE,
  ),
  policySkipped: counter(
    'mirrorplane_policy_skipped_packets_total',
    'Packets at the captures of a source that the policy does not mean. They are not among those matched.',
    ...CAPTURE,
    'reason',
  ),
  deliveredPackets: counter(
    'mirrorplane_policy_delivered_packets_total',
    'Packets handed to the device of the destination. No series: not known.',
    'policy',
  ),
  deliveredBytes: counter(
    'mirrorplane_policy_delivered_bytes_total',
    `As mirrorplane_policy_delivered_packets_total, in ${COPIES} and without a VLAN tag that was pushed.`,
    'policy',
  ),
  feedback: counter(
    'mirrorplane_policy_feedback_packets_total',
    'Frames that the guest of the destination sent with addresses of others that it got copies of.',
    'policy',
  ),
  pathSentPackets: counter(
    'mirrorplane_path_sent_packets_total',
    'ERSPAN packets, as the sender counts them.',
    ...PATH,
  ),
  pathSentBytes: counter('mirrorplane_path_sent_bytes_total', `What was sent, in ${COPIES}.`, ...PATH),
  pathSentOuterBytes: counter(
    'mirrorplane_path_sent_outer_bytes_total',
    'What was sent, in bytes on the underlay: with outer headers.',
    ...PATH,
  ),
  pathReceivedPackets: counter(
    'mirrorplane_path_received_packets_total',
    'ERSPAN packets, as the receiver counts them.',
    ...PATH,
  ),
  pathReceivedBytes: counter('mirrorplane_path_received_bytes_total', `What was received, in ${COPIES}.`, ...PATH),
  pathDeliveredPackets: counter(
    'mirrorplane_path_delivered_packets_total',
    'Of the packets received: those handed to the device of the destination.',
    ...PATH,
  ),
  pathDeliveredBytes: counter('mirrorplane_path_delivered_bytes_total', `What was delivered, in ${COPIES}.`, ...PATH),
  pathRelayedPackets: counter(
    'mirrorplane_path_relayed_packets_total',
    'Of the packets received: those relayed to the node that the destination has moved to.',
    ...PATH,
  ),
  pathRelayedBytes: counter('mirrorplane_path_relayed_bytes_total', `What was relayed, in ${COPIES}.`, ...PATH),
  pathMissing: gauge(
    'mirrorplane_path_missing_packets',
    'Sequence numbers that have not come: what the receiver alone can tell of a loss. It falls when they come late.',
    ...PATH,
  ),
  pathLost: gauge(
    'mirrorplane_path_lost_packets',
    'Packets that were sent and neither delivered nor relayed, of those that have had the time to arrive. No series: not known.',
    ...PATH,
  ),
  nodeInfo: gauge(
    'mirrorplane_node_info',
    '1, with what the agent said of the node. Empty: not known.',
    'node',
    'pool',
    'agent_version',
    'kernel',
    'hook',
  ),
  nodeConnected: gauge('mirrorplane_node_connected', '1 where the agent is connected, else 0.', 'node'),
  nodeLastSeen: gauge(
    'mirrorplane_node_last_seen_timestamp_seconds',
    'When the agent was heard last, seconds since 1970. No series: never.',
    'node',
  ),
  nodePending: gauge(
    'mirrorplane_node_program_pending',
    '1 where the kernel of the node does not run the newest program yet, else 0.',
    'node',
  ),
  nodeProblems: gauge(
    'mirrorplane_node_problems',
    'How many problems of this code the node has now. No series: none.',
    'node',
    'code',
  ),
  nodeBudget: gauge(
    'mirrorplane_node_device_budget_bytes_per_second',
    'What a device by which copies leave the node may send of them now. No series: no limit, or the agent is away.',
    'node',
    'device',
  ),
  nodeCertificateEnd: gauge(
    'mirrorplane_node_certificate_end_timestamp_seconds',
    'When the certificate of the agent ends, seconds since 1970. No series: not known yet.',
    'node',
  ),
  unknownErspan: counter(
    'mirrorplane_node_unknown_erspan_packets_total',
    'ERSPAN packets of an unknown sender, left to the node.',
    'node',
  ),
  refusedErspan: counter(
    'mirrorplane_node_refused_erspan_packets_total',
    'ERSPAN packets of another node that were refused: no policy has their session, generation or address now.',
    'node',
    'sender',
    'reason',
  ),
  moves: counter(
    'mirrorplane_interface_moves_total',
    'Guests that came to run on another node, since the controller was started.',
  ),
  movesMissed: counter(
    'mirrorplane_interface_moves_missed_packets_total',
    'Packets that were not copied because of moves, as far as it was measured, since the controller was started.',
  ),
  movesDoubled: counter(
    'mirrorplane_interface_moves_doubled_packets_total',
    'Packets that were copied twice because of moves, as far as it was measured, since the controller was started.',
  ),
  events: counter('mirrorplane_events_total', 'Events by kind, since the controller was started.', 'kind'),
  requestsRefused: counter(
    'mirrorplane_agent_requests_refused_total',
    "Requests that were refused on the agents' port, since the controller was started.",
    'request',
    'reason',
  ),
  certificateEnd: gauge(
    'mirrorplane_controller_certificate_end_timestamp_seconds',
    'When a certificate of the controller ends, seconds since 1970: authority, or agents, which is renewed daily.',
    'certificate',
  ),
  processCpu: counter('process_cpu_seconds_total', 'CPU time of the controller, user and system, in seconds.'),
  processMemory: gauge('process_resident_memory_bytes', 'Resident memory of the controller, in bytes.'),
  processHeap: gauge('nodejs_heap_used_bytes', 'Memory that JavaScript objects of the controller take, in bytes.'),
  processStart: gauge('process_start_time_seconds', 'When the controller was started, seconds since 1970.'),
  processFds: gauge('process_open_fds', 'File descriptors that the controller has open. No series: not known.'),
} as const satisfies Record<string, MetricEntry>;

export type MetricKey = keyof typeof METRICS;
