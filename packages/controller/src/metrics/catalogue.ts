/**
 * Every metric of the controller: name, kind, meaning, labels. The documentation is generated from
 * it.
 */

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
const FRAMES = 'bytes of the Ethernet frames as the source sent or received them';
const COPIES = 'bytes of the copies, without outer headers';

export const METRICS = {
  buildInfo: gauge('mirrorplane_build_info', '1, with the version of the controller.', 'version'),
  policyState: gauge('mirrorplane_policy_state', '1 for the current state of the policy, else 0.', 'policy', 'state'),
  policyReasons: gauge(
    'mirrorplane_policy_reasons',
    'Number of reasons of this code that the policy has now. No series: none.',
    'policy',
    'code',
  ),
  policySources: gauge('mirrorplane_policy_sources', 'Sources of all policies that are asked for.'),
  policySourcesSummed: gauge(
    'mirrorplane_policy_sources_summed',
    'Sources that have no series of their own, because there are more of them than `sources` of the request: each policy is then one series. 0: every source has its series.',
  ),
  policyMaxRate: gauge(
    'mirrorplane_policy_max_rate_bytes_per_second',
    'Budget of the policy (maxRate). No series: no budget.',
    'policy',
  ),
  policyPackets: counter(
    'mirrorplane_policy_packets_total',
    'Packets at the captures of a source, by outcome: sampled_out, copied, dropped. Their sum is the number of matched packets.',
    ...CAPTURE,
    'outcome',
    'reason',
  ),
  policyBytes: counter(
    'mirrorplane_policy_bytes_total',
    `Like mirrorplane_policy_packets_total, in ${FRAMES}.`,
    ...CAPTURE,
    'outcome',
    'reason',
  ),
  truncatedPackets: counter(
    'mirrorplane_policy_truncated_packets_total',
    'Copied packets whose copy was cut to the underlay MTU.',
    ...CAPTURE,
  ),
  truncatedBytes: counter(
    'mirrorplane_policy_truncated_bytes_total',
    `Copied packets whose copy was cut, in ${FRAMES}.`,
    ...CAPTURE,
  ),
  policySkipped: counter(
    'mirrorplane_policy_skipped_packets_total',
    'Packets at the captures of a source that the policy does not cover. They do not count as matched.',
    ...CAPTURE,
    'reason',
  ),
  deliveredPackets: counter(
    'mirrorplane_policy_delivered_packets_total',
    'Copies handed to the device of the destination. No series: not known.',
    'policy',
  ),
  deliveredBytes: counter(
    'mirrorplane_policy_delivered_bytes_total',
    `Like mirrorplane_policy_delivered_packets_total, in ${COPIES} and without a pushed VLAN tag.`,
    'policy',
  ),
  feedback: counter(
    'mirrorplane_policy_feedback_packets_total',
    'Frames that the guest of the destination sent with source addresses that it got in copies.',
    'policy',
  ),
  pathSentPackets: counter(
    'mirrorplane_path_sent_packets_total',
    'ERSPAN packets, as the sender counts them.',
    ...PATH,
  ),
  pathSentBytes: counter('mirrorplane_path_sent_bytes_total', `Sent copies, in ${COPIES}.`, ...PATH),
  pathSentOuterBytes: counter(
    'mirrorplane_path_sent_outer_bytes_total',
    'Sent ERSPAN packets, in bytes on the underlay: with outer headers.',
    ...PATH,
  ),
  pathReceivedPackets: counter(
    'mirrorplane_path_received_packets_total',
    'ERSPAN packets, as the receiver counts them.',
    ...PATH,
  ),
  pathReceivedBytes: counter('mirrorplane_path_received_bytes_total', `Received copies, in ${COPIES}.`, ...PATH),
  pathDeliveredPackets: counter(
    'mirrorplane_path_delivered_packets_total',
    'Received packets that were handed to the device of the destination.',
    ...PATH,
  ),
  pathDeliveredBytes: counter('mirrorplane_path_delivered_bytes_total', `Delivered copies, in ${COPIES}.`, ...PATH),
  pathRelayedPackets: counter(
    'mirrorplane_path_relayed_packets_total',
    'Received packets that were relayed to the target node of a migrated destination.',
    ...PATH,
  ),
  pathRelayedBytes: counter('mirrorplane_path_relayed_bytes_total', `Relayed copies, in ${COPIES}.`, ...PATH),
  pathMissing: gauge(
    'mirrorplane_path_missing_packets',
    'Sequence numbers that have not arrived: the loss as the receiver alone sees it. The value falls when packets arrive late.',
    ...PATH,
  ),
  pathLost: gauge(
    'mirrorplane_path_lost_packets',
    'Sent packets that were neither delivered nor relayed. Packets that are still on their way are not included. No series: not known.',
    ...PATH,
  ),
  nodeInfo: gauge(
    'mirrorplane_node_info',
    '1, with the labels as the agent reported them. Empty label: not known.',
    'node',
    'pool',
    'agent_version',
    'kernel',
    'hook',
  ),
  nodeConnected: gauge('mirrorplane_node_connected', '1 if the agent is connected, else 0.', 'node'),
  nodeLastSeen: gauge(
    'mirrorplane_node_last_seen_timestamp_seconds',
    'Time of the last message of the agent, seconds since 1970. No series: never.',
    'node',
  ),
  nodePending: gauge(
    'mirrorplane_node_program_pending',
    '1 if the kernel of the node does not run the newest program yet, else 0.',
    'node',
  ),
  nodeProblems: gauge(
    'mirrorplane_node_problems',
    'Number of problems of this code that the node has now. No series: none.',
    'node',
    'code',
  ),
  nodeBudget: gauge(
    'mirrorplane_node_device_budget_bytes_per_second',
    'Rate of copies that a device may send from the node now. No series: no limit, or the agent is not connected.',
    'node',
    'device',
  ),
  nodeCertificateEnd: gauge(
    'mirrorplane_node_certificate_end_timestamp_seconds',
    'End of the certificate of the agent, seconds since 1970. No series: not known yet.',
    'node',
  ),
  unknownErspan: counter(
    'mirrorplane_node_unknown_erspan_packets_total',
    'ERSPAN packets of unknown senders, left to the node.',
    'node',
  ),
  refusedErspan: counter(
    'mirrorplane_node_refused_erspan_packets_total',
    'Refused ERSPAN packets with the address of another node: nothing proves that they are copies of a policy.',
    'node',
    'sender',
    'reason',
  ),
  moves: counter(
    'mirrorplane_interface_moves_total',
    'Migrations of guests to another node, since the controller was started.',
  ),
  movesMissed: counter(
    'mirrorplane_interface_moves_missed_packets_total',
    'Packets that were not copied because of migrations, as far as measured, since the controller was started.',
  ),
  movesDoubled: counter(
    'mirrorplane_interface_moves_doubled_packets_total',
    'Packets that were copied twice because of migrations, as far as measured, since the controller was started.',
  ),
  events: counter('mirrorplane_events_total', 'Events by kind, since the controller was started.', 'kind'),
  requestsRefused: counter(
    'mirrorplane_agent_requests_refused_total',
    "Refused requests on the agents' port, since the controller was started.",
    'request',
    'reason',
  ),
  auditLines: gauge('mirrorplane_audit_last_line', 'Number of the last line of the audit log.'),
  auditUnsigned: gauge(
    'mirrorplane_audit_unsigned_lines',
    'Lines at the end of the audit log that are not signed yet.',
  ),
  auditFailures: counter(
    'mirrorplane_audit_write_failures_total',
    'Entries that the audit log could not take at once.',
  ),
  auditFault: gauge(
    'mirrorplane_audit_fault',
    '1 if the last check of the audit log has found that it was changed, else 0. No series: not checked yet.',
  ),
  auditSyslog: counter(
    'mirrorplane_audit_syslog_lines_total',
    'Lines of the audit log for syslog, by outcome: sent, lost. No series: there is no receiver.',
    'outcome',
  ),
  certificateEnd: gauge(
    'mirrorplane_controller_certificate_end_timestamp_seconds',
    'End of a certificate of the controller, seconds since 1970: authority; agents, which is renewed daily; api, where an address has TLS.',
    'certificate',
  ),
  controllers: gauge(
    'mirrorplane_controllers',
    'Controllers by state: running; stopped in order; lost, which are not heard of any more. The last two are forgotten after a week.',
    'state',
  ),
  leaderTerm: gauge(
    'mirrorplane_leader_term',
    'Grows with each controller that begins to lead. No series: there can be no others.',
  ),
  storeMembers: gauge(
    'mirrorplane_store_members',
    'Members of etcd, by whether they answer and reach most of the others. No series: the store is a file.',
    'answers',
  ),
  processCpu: counter('process_cpu_seconds_total', 'CPU time of the controller, user and system, in seconds.'),
  processMemory: gauge('process_resident_memory_bytes', 'Resident memory of the controller, in bytes.'),
  processHeap: gauge('nodejs_heap_used_bytes', 'Memory of the JavaScript objects of the controller, in bytes.'),
  loopDelayMedian: gauge(
    'nodejs_eventloop_lag_p50_seconds',
    'How long work of the controller waits for its turn: the median of the last half minute to minute, in seconds.',
  ),
  loopDelayP99: gauge('nodejs_eventloop_lag_p99_seconds', 'The same: only 1 % of the samples have waited longer.'),
  loopDelayMax: gauge(
    'nodejs_eventloop_lag_max_seconds',
    'The same: the longest. While it waits, no request is answered, and no agent is heard.',
  ),
  processStart: gauge('process_start_time_seconds', 'Start time of the controller, seconds since 1970.'),
  processFds: gauge('process_open_fds', 'Open file descriptors of the controller. No series: not known.'),
} as const satisfies Record<string, MetricEntry>;

export type MetricKey = keyof typeof METRICS;
