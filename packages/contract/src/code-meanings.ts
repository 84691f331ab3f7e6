/**
 * What each code of the catalogue means, and where it is shown. docs/reference/codes.md is
 * generated from this file.
 */

import { CATALOGUE, type ErrorCode, NODE_ONLY_CODES } from './errors.ts';
import { FINDING_MEANINGS } from './finding-codes.ts';

/**
 * What has happened when a code is shown, and what this means for copies. One or two sentences. The
 * remedy is in the catalogue.
 */
export const CODE_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'The body is not JSON, or a path or query parameter is malformed. Nothing is changed.',
  FIELD_INVALID: 'A field has a wrong type or an impossible value. Nothing is changed.',
  FIELD_UNKNOWN: 'No field has this name. The request is refused, because the name may be misspelt.',
  NAME_MISMATCH: 'The body and the URL name different resources. Nothing is changed.',
  SIGN_IN_REFUSED:
    'A provider or a directory has not signed the person in, or the person has no rights here. The message says why.',
  UNAUTHENTICATED: 'The request has no valid token. For an agent: it has no valid certificate.',
  FORBIDDEN: 'The sender of the request is known, but lacks the right that the request needs. The message names it.',
  CSRF_REFUSED:
    'The request has the cookie of a session, but comes from a page of another origin, or lacks the header X-Mirrorplane-CSRF.',
  NOT_FOUND: 'No resource has this name, or the path does not exist.',
  METHOD_NOT_ALLOWED: 'The path exists, but does not support the method. The header Allow lists the supported methods.',
  ALREADY_EXISTS: 'The request asked to create a resource, and a resource of this name exists.',
  IN_USE: 'Other resources need this resource. The answer lists all of them.',
  NODE_UNCONFIRMED:
    'The agent was not connected, so it could not confirm that it stopped. Nothing is changed: a deleted node could no longer be shown as copying.',
  LIST_EXPIRED:
    'The list is sorted by a field that changes. Its order is kept for ten minutes after each page, and not over a restart.',
  PRECONDITION_FAILED: 'The resource is not the version that was read (If-Match). The other change stays.',
  BODY_TOO_LARGE: 'The body is larger than the limit of 1 MB. Nothing is changed.',
  MEDIA_TYPE_UNSUPPORTED: 'The header Content-Type is not a JSON type. The body was not read.',
  NOTHING_TO_APPROVE: 'The policy waits for no consent, so there is nothing to approve or reject.',
  REQUESTS_EXCEEDED: 'A user has as many policies and changes that wait for consent as one may have.',
  POLICY_NOT_TESTABLE:
    'The policy is disabled, or its destination or all its sources have no device. No probe was made.',
  TESTS_EXCEEDED: 'The policy is being tested, or was tested a moment ago, or many policies are being tested.',
  TOTP_REQUIRED: 'User and password are right, and the user also needs a code to sign in.',
  USER_SOURCE: 'The user has an account of another source, for example of single sign-on, or has no password here.',
  LAST_ADMINISTRATOR:
    'The request would delete, disable or demote the last enabled user with the role admin everywhere.',
  TRIES_EXCEEDED:
    'There were too many tries to sign in: from the address, as the user, or with a code. Nothing was looked at. An address from which the user has signed in before has a bound of its own.',
  SIGN_IN_AWAY:
    'The provider or the directory that knows the person did not answer, or not as it should. Local accounts work.',
  INTERNAL: 'The controller had an unexpected error. The request may be repeated.',
  UNAVAILABLE: 'The controller is starting or stopping, or a limit is reached.',
  EDGE_UNSUPPORTED: 'The device leads to a guest or is a tunnel, so it cannot be an edge.',
  POLICY_INVALID: 'The policy breaks one or more rules. Each is listed with its code and field. Nothing is changed.',
  POLICY_NAME_INVALID: 'The name has characters that are not allowed, or is too long.',
  POLICY_NO_SOURCES: 'The list of sources is empty.',
  POLICY_TOO_MANY_SOURCES: 'The list of sources has more than 1024 interfaces.',
  POLICY_SOURCE_REPEATED: 'One interface is in the list of sources more than once.',
  POLICY_SOURCE_NOT_FOUND: 'No agent sees the interface, and nobody has declared it.',
  POLICY_SOURCE_UNSUPPORTED: 'The node has the device, but its packets are not those of one guest or one NIC.',
  POLICY_SOURCES_OVERLAP: 'One source is on top of the other, so each packet would be copied twice.',
  POLICY_SOURCE_IN_USE: 'An interface is the source of at most one policy.',
  POLICY_SOURCE_KINDS_MIXED: 'Some sources are guests and some are edges. The type of the policy would not be clear.',
  POLICY_DESTINATION_NOT_FOUND: 'No agent sees the interface, and nobody has declared it.',
  POLICY_DESTINATION_UNSUPPORTED:
    'The node has the device, but a copy that is sent to the device would not reach one guest or one NIC.',
  POLICY_DESTINATION_IS_SOURCE: 'The destination is in the list of sources.',
  POLICY_CYCLE: 'This policy and other policies would copy the same copies again without end.',
  POLICY_PHYSICAL_TO_VIRTUAL: 'The sources are edges and the destination is a guest.',
  POLICY_CROSS_DOMAIN: 'Nodes of different communication domains cannot reach each other.',
  POLICY_DIRECTION_INVALID: 'The direction is none of all, inbound and outbound.',
  POLICY_PERCENT_INVALID: 'The percent is not a number from 0 to 100, or has more than two decimals.',
  POLICY_VLAN_REQUIRED: 'The destination is an edge: copies need a tag, so that the switch can tell them apart.',
  POLICY_VLAN_NOT_ALLOWED: 'The destination is a guest. A guest gets copies without an additional tag.',
  POLICY_VLAN_INVALID: 'The VLAN ID is not a whole number from 1 to 4094.',
  POLICY_VLAN_NOT_IN_TRUNK: 'According to the declaration of the edge, its switch port does not allow this VLAN.',
  POLICY_FEEDBACK_NOT_ALLOWED:
    'The field allowFeedback concerns packets that the guest of a destination sends. An edge has no guest.',
  POLICY_RATE_INVALID: 'The rate is not a number from 1 to 100000.',
  POLICY_END_PAST: 'The policy is enabled, and the time of its end is over.',
  POLICY_VLAN_MIRRORED:
    'The policy is accepted. Edges of other nodes do not mirror frames of that VLAN that can be copies which a switch has brought: those with a MAC address of a source, broadcast and multicast, or, where the addresses are not known, all. The message says which. Edges of the node that sends the copies leave out only the copies that come back.',
  POLICY_VLAN_SHARED: 'The policy is accepted. A recorder of that VLAN gets the copies of all these policies.',
  POLICY_MANY: 'The policy is accepted. Many more policies work, but are hard to oversee.',
  POLICY_END_UNSEEN:
    'The policy waits for consent. What it names outside of the own scope is checked with the last consent. Until then nobody learns whether it exists.',
  GRANT_UNMATCHED: 'The grant is accepted. Its scope names a resource pool, a network or a label that nothing has now.',
  LOOK_INVALID: 'The look breaks one or more rules. Each is listed with its code and field. Nothing is looked at.',
  LOOK_INTERFACE_NOT_FOUND: 'No agent sees the interface, and nobody has declared it.',
  LOOK_POLICY_NOT_FOUND: 'No policy has this name.',
  LOOK_WORDS_INVALID: 'The words are not those of a look, or come to more comparisons than a look may make.',
  LOOK_LIMIT: 'At most 16 looks run at a time in the cluster, and at most four on a node.',
  LOOK_ENDED:
    'The look was ended, was not renewed, or is ten minutes old. What it has seen can be read for ten minutes more.',
  DESTINATION_ABSENT: 'No node has the interface now. The policy waits, and nothing is copied.',
  SOURCE_ABSENT: 'No node has the interface now. Other sources of the policy are copied.',
  NODE_DISCONNECTED: 'The state of the node is unknown. The node continues to copy by its last program.',
  PROTOCOL_UNSUPPORTED: 'The agent is refused. The node continues to copy by its last program.',
  NODE_UNDERLAY_REFUSED:
    'The address belongs to another node, or is not the address of a host. The previous address of the node stays in force.',
  NODE_SECOND_AGENT: 'The first agent serves the node, and the second agent is refused. Copies are not affected.',
  COUNTERS_REFUSED:
    'The counters decrease, grow too fast, or count something that the node does not have. The totals are not changed.',
  MESSAGES_REFUSED:
    'The connection ends with each such message. After some of them, the agent may connect again only after a pause of a minute at most, in which its node copies by its last program.',
  PROGRAM_UNSAVED:
    'The node copies by its newest program all the same. An agent that is started again before it is stored begins with an older one, until it is connected. So a policy that the node was told to copy for before is not said to be disabled meanwhile.',
  NODE_REVOKED:
    'An operator has cut the node off. Its interfaces count as absent, and no node takes copies of it or sends copies to it.',
  NODE_PENDING: 'The kernel of the node runs an older program, so the newest change is not in force there yet.',
  NODE_UNDERLAY_UNKNOWN: 'The node cannot send copies to other nodes or receive copies from them.',
  WIREGUARD_MISSING:
    'Copies that the node would send in clear text, or get so, are not sent. Copies within the node are made.',
  SESSIONS_EXHAUSTED:
    'ERSPAN has 1023 sessions for each receiver. No session is left for this policy, so nothing is copied to that node.',
  CAPTURE_REFUSED: 'The node does not capture the source, for a reason that has no code of its own.',
  DEVICE_UNSUPPORTED: 'The device exists, but devices of this kind cannot be mirrored or cannot receive copies.',
  OFFLOAD_UNSEEN: 'Packets that the hardware forwards never reach the kernel, and are not copied.',
  IDENTITY_UNREADABLE:
    'The NICs of the guest are devices without identity and cannot be mirrored. All other interfaces are mirrored.',
  DEVICE_DOWN: 'A device that copies need exists, but is down.',
  HOOK_OCCUPIED: 'Packets that the other program drops or takes are not seen, and are not copied.',
  TABLE_FULL: 'Interfaces for which there is no room are not captured.',
  ATTACH_FAILED: 'Captures and deliveries that need the failed program or device do not work. The agent tries again.',
  DESTINATION_SENDS_COPIES:
    'The guest of the destination sends frames with source addresses that it got in copies. The frames are dropped at its port, or pass if the policy has allowFeedback. They are never copied again.',
  DESTINATION_SLOW:
    'The device of the destination drops packets, because its guest has not read earlier ones: the guest is slow, stopped, or has no driver for its NIC. The copies have arrived, and the mirror has lost none. Only a tap says this.',
  FEEDBACK_UNSEEN:
    'The BPF program that drops such frames could not be attached at the device of the destination. Copies are delivered.',
  ARRIVAL_UNSEEN: 'Packets to a guest are captured at its own device, after the firewall on the bridge.',
  NEIGHBOUR_UNKNOWN:
    'The kernel asks for the address, and keeps some copies until it gets an answer. Copies that find no room are lost.',
  ROUTE_MISSING: 'Copies for that node are dropped.',
  INTERFACE_DUPLICATE: 'The agent uses one device and ignores the other. The node that has the interface keeps it.',
  INTERFACE_CONTESTED:
    'The claim is refused. The node that has the interface keeps it, and its policies are not affected.',
  INTERFACE_KIND_REFUSED: 'The device is not an edge until an operator declares it.',
  COPIES_TRUNCATED:
    'Copies were too long for the underlay. They reached the destination shortened, with the T bit set.',
  COPIES_DROPPED: 'A node has dropped copies since the previous counters. The counters name the reasons.',
  PROBE_CUT: 'Copies of this size are longer than the underlay allows. They reach the destination shortened.',
  PROBE_TOO_BIG: 'Copies of this size are dropped before the destination, if they are not TCP.',
  PROBE_DESTINATION_DOWN:
    'Copies are dropped, because the device of the destination, or a mirror device, is absent or down.',
  PROBE_DROPPED: 'Copies of this size are dropped on the node, for the reason that the message names.',
  PROBE_LOST: 'Copies leave the first node, and not even the smallest arrives at the second.',
  PROBE_LOST_BY_SIZE: 'The network between two nodes carries smaller packets than their mirror devices send.',
  PROBE_LOST_IN_PART: 'The network between two nodes lost some packets of a super-packet.',
  PROBE_NOT_MADE: 'The node has no capture of the policy in force, or its kernel did not take the frame.',
  PROBE_UNKNOWN: 'The agent of the node did not answer within the time of the test. Copies may flow nevertheless.',
  COPIES_LOST:
    'The receiver got fewer copies than the sender sent. Copies that are still on their way are not included.',
  COPIES_SURPLUS:
    'Some copies arrived twice, or another host made them. The counters of the path do not add up, so losses may be hidden.',
  COPIES_FORGED:
    'The node refuses ERSPAN that another node cannot have sent. It is not delivered. Copies of policies are not affected.',
  COPIES_UNPROVEN:
    'ERSPAN came from a known node with a session, secret, address or header that no copy of a policy has. It was not delivered.',
  ENDING_UNCONFIRMED: 'The policy is switched off or deleted, and the node has not confirmed that it stopped.',
  UPLINK_BUSY: 'Service traffic needs the device, so some copies are dropped as overBudget.',
  CERTIFICATE_ENDING:
    'The agent should have renewed the certificate. After the end the agent cannot connect, and copies by its last program.',
  CERTIFICATE_ENDED: 'The agent cannot connect. It copies by its last program and gets no changes.',
  CERTIFICATE_CONTESTED:
    'Two agents have the key of the node, or its host was set back to an earlier state. The agent with the newer certificate serves the node, and the other one is refused.',
  UPLINK_UNPROTECTED:
    'The agent knows neither the speed nor a queue of the device, so copies may displace service traffic.',
  CPU_BUSY: 'The node drops packets before it handles them, so some copies are dropped as overBudget.',
  ...FINDING_MEANINGS,
};

/**
 * Problems of nodes, found by the node or the controller. They are also reasons of the affected
 * policies.
 */
const NODE_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'PROTOCOL_UNSUPPORTED',
  'NODE_UNDERLAY_REFUSED',
  'COUNTERS_REFUSED',
  'NODE_UNDERLAY_UNKNOWN',
  'WIREGUARD_MISSING',
  'NODE_REVOKED',
  'DEVICE_UNSUPPORTED',
  'OFFLOAD_UNSEEN',
  'DEVICE_DOWN',
  'HOOK_OCCUPIED',
  'TABLE_FULL',
  'ATTACH_FAILED',
  'ARRIVAL_UNSEEN',
  'FEEDBACK_UNSEEN',
  'NEIGHBOUR_UNKNOWN',
  'ROUTE_MISSING',
  'INTERFACE_DUPLICATE',
  'INTERFACE_CONTESTED',
  'INTERFACE_KIND_REFUSED',
  'UPLINK_BUSY',
  'CPU_BUSY',
]);

/**
 * `answer`: answers a request. `rule`: a policy is refused. `warning`: a policy is accepted with a
 * warning. `status`: a reason in the status of a policy. `node`: a problem of a node. `finding`: the
 * answer of a finding. `test`: what the test of a policy found.
 */
export type CodePlace = 'answer' | 'rule' | 'warning' | 'status' | 'node' | 'finding' | 'test';

/** Where a code is shown. */
export function placesOf(code: ErrorCode): CodePlace[] {
  if (CATALOGUE[code].status >= 400) {
    return [code.startsWith('POLICY_') && code !== 'POLICY_NOT_TESTABLE' ? 'rule' : 'answer'];
  }
  if (code.startsWith('PROBE_')) {
    return ['test'];
  }
  if (code.startsWith('POLICY_')) {
    return ['warning'];
  }
  if (code.startsWith('FINDING_')) {
    return ['finding'];
  }
  if (NODE_ONLY_CODES.has(code)) {
    return ['node'];
  }
  return NODE_CODES.has(code) ? ['status', 'node'] : ['status'];
}
