/** What each code of the catalogue means for whoever reads it, and where it is shown. The documentation is made of it. */
import { CATALOGUE, type ErrorCode, NODE_ONLY_CODES } from './errors.ts';

/** What is true where a code is shown, and what it means for copies. One or two sentences; the remedy is in the catalogue. */
export const CODE_MEANINGS: Readonly<Record<ErrorCode, string>> = {
  BAD_REQUEST: 'The body is no JSON, or a path or query parameter is damaged. Nothing is changed.',
  FIELD_INVALID: 'A field has a wrong type, or a value that cannot be. Nothing is changed.',
  FIELD_UNKNOWN: 'A field has a name that nothing has. It is refused, because it may be a misspelt one.',
  NAME_MISMATCH: 'Name in the body and name in the URL differ. Nothing is changed.',
  UNAUTHENTICATED: 'The request has no token, or one that is not valid; of an agent: no certificate that is valid.',
  FORBIDDEN: 'The token is valid, and does not allow this.',
  NOT_FOUND: 'No resource has this name, or no path this form.',
  METHOD_NOT_ALLOWED:
    'There is something at this path, and it does not take the method. The header Allow names those it takes.',
  ALREADY_EXISTS: 'A resource of this name exists, and it was to be created.',
  IN_USE: 'Something that exists would be left without what it needs. Every dependent is listed.',
  NODE_UNCONFIRMED:
    'The agent was not there to confirm that it stopped. Nothing is changed: a node that is forgotten could not be named any more.',
  PRECONDITION_FAILED: 'The resource is not the one that was read (If-Match). The other change stays.',
  BODY_TOO_LARGE: 'The body is larger than the controller reads: 1 MB. Nothing was changed.',
  MEDIA_TYPE_UNSUPPORTED: 'The header Content-Type names something else than JSON. The body was not read.',
  INTERNAL: 'The controller has failed at something that should not fail. The request may be repeated.',
  UNAVAILABLE: 'The controller starts or stops, or it is asked for more than its share.',
  EDGE_UNSUPPORTED: 'The device leads to a guest, or carries packets within packets, and so is no edge.',
  POLICY_INVALID: 'One rule or more is broken. Each is listed with its own code and field, and nothing is changed.',
  POLICY_NAME_INVALID: 'The name of the policy has other characters, or is longer.',
  POLICY_NO_SOURCES: 'The list of sources is empty.',
  POLICY_TOO_MANY_SOURCES: 'The list of sources has more than 1024 interfaces.',
  POLICY_SOURCE_REPEATED: 'One interface is in the list of sources more than once.',
  POLICY_SOURCE_NOT_FOUND: 'No agent sees the interface, and nobody has declared it.',
  POLICY_SOURCE_UNSUPPORTED: 'The node has the device, and packets on it are not those of one guest or one NIC.',
  POLICY_SOURCES_OVERLAP: 'One source is on top of the other, so each packet would be copied twice.',
  POLICY_SOURCE_IN_USE: 'An interface is the source of at most one policy.',
  POLICY_SOURCE_KINDS_MIXED: 'Some sources are guests and some are edges. The type of the policy would not be clear.',
  POLICY_DESTINATION_NOT_FOUND: 'No agent sees the interface, and nobody has declared it.',
  POLICY_DESTINATION_UNSUPPORTED:
    'The node has the device, and a copy that is handed to it would not reach one guest or NIC.',
  POLICY_DESTINATION_IS_SOURCE: 'The destination is in the list of sources.',
  POLICY_CYCLE: 'Along this and other policies, copies would be copied again without end.',
  POLICY_PHYSICAL_TO_VIRTUAL: 'The sources are edges and the destination is a guest.',
  POLICY_CROSS_DOMAIN: 'Nodes of different communication domains do not reach each other.',
  POLICY_DIRECTION_INVALID: 'The direction is another word.',
  POLICY_PERCENT_INVALID: 'The percent is no number of this range, or has more than two decimals.',
  POLICY_VLAN_REQUIRED: 'The destination is an edge: copies need a tag, or the switch could not tell them apart.',
  POLICY_VLAN_NOT_ALLOWED: 'The destination is a guest, which gets copies as they are.',
  POLICY_VLAN_INVALID: 'The VLAN ID is no number of this range.',
  POLICY_VLAN_NOT_IN_TRUNK: 'The switch port of the edge does not let this VLAN pass, as its declaration says.',
  POLICY_FEEDBACK_NOT_ALLOWED:
    'The field allowFeedback is about what the guest of a destination sends, and there is no guest behind an edge.',
  POLICY_RATE_INVALID: 'The rate is no number of this range.',
  POLICY_VLAN_MIRRORED:
    'The policy is taken. At edges of other nodes all frames of that VLAN count as copies that a switch has brought, and are not mirrored; at edges of the node that the copies leave, those that come back are left out.',
  POLICY_VLAN_SHARED: 'The policy is taken. Whoever records that VLAN gets the copies of all of these policies.',
  POLICY_MANY: 'The policy is taken. Much larger numbers work, and are hard to keep in view.',
  DESTINATION_ABSENT: 'No node has the interface now. The policy waits, and nothing is copied.',
  SOURCE_ABSENT: 'No node has the interface now. Other sources of the policy are copied.',
  NODE_DISCONNECTED: 'What the node does is not known. It copies by the last program that it got.',
  PROTOCOL_UNSUPPORTED: 'The agent is turned away. The node copies by the last program that it got.',
  NODE_UNDERLAY_REFUSED:
    'The address is that of another node, or of no host. The address that the node had before stays in force.',
  NODE_SECOND_AGENT: 'The first agent serves the node, and the second one is refused. Copies are not concerned.',
  COUNTERS_REFUSED:
    'The counters go back, grow too fast, or are of what the node does not have. Totals stay as they were.',
  NODE_PENDING: 'The kernel of the node runs an older program, so the newest change is not in force there.',
  NODE_UNDERLAY_UNKNOWN: 'The node neither sends copies to other nodes nor receives any.',
  SESSIONS_EXHAUSTED:
    'ERSPAN has 1023 sessions for each receiver. The policy has none left, and is not copied to that node.',
  CAPTURE_REFUSED: 'The node does not capture the source, for a reason that has no code of its own.',
  DEVICE_UNSUPPORTED: 'The device is there, and is of a kind that cannot be mirrored or cannot take copies.',
  OFFLOAD_UNSEEN: 'What the hardware forwards by itself never comes to the kernel, and is not copied.',
  IDENTITY_UNREADABLE: 'Its NICs are devices without identity and cannot be mirrored. All other interfaces are.',
  DEVICE_DOWN: 'A device that copies need is there, and is switched off.',
  HOOK_OCCUPIED: 'What the other program drops or takes is not seen, so it is not copied.',
  TABLE_FULL: 'What did not find a place is not captured.',
  ATTACH_FAILED: 'What needs the program or device that failed is not captured or not delivered. It is tried again.',
  DESTINATION_SENDS_COPIES:
    'The guest of the destination sends frames with addresses that it got copies of. They end at its port, or pass where the policy has allowFeedback; they are never copied again.',
  FEEDBACK_UNSEEN:
    'The program that stops such frames could not be attached at the device of the destination. Copies flow.',
  ARRIVAL_UNSEEN: 'Packets towards a guest are captured at its own device, behind the firewall on the bridge.',
  NEIGHBOUR_UNKNOWN: 'Copies are handed to the stack, which asks for the address with each of them.',
  ROUTE_MISSING: 'Copies for that node are dropped.',
  INTERFACE_DUPLICATE: 'One device is taken, and the other is left alone. The node that has the interface keeps it.',
  INTERFACE_CONTESTED:
    'The claim is not believed. The node that has the interface keeps it, and its policies are not concerned.',
  INTERFACE_KIND_REFUSED: 'The device is no edge until an operator declares it.',
  COPIES_TRUNCATED: 'Copies were too long for the way and came to the destination shortened, with the T bit set.',
  COPIES_DROPPED: 'A node has dropped copies since the counters of before, and says why by reason.',
  COPIES_LOST: 'The sender sent more than the receiver got, of what has had the time to arrive.',
  COPIES_SURPLUS:
    'Some copies came twice, or somebody else made them. The counters of the path do not close: what is lost may be hidden.',
  COPIES_UNPROVEN:
    'ERSPAN came from a known node with a session, generation or address that no policy has. It was not delivered.',
  ENDING_UNCONFIRMED: 'The policy is switched off or deleted, and the node has not said that it stopped.',
  UPLINK_BUSY: 'Originals need the device, so some copies are dropped as overBudget.',
  CERTIFICATE_ENDING:
    'The agent should have renewed it. After the end it cannot connect, and copies by its last program.',
  CERTIFICATE_ENDED: 'The agent cannot connect. It copies by its last program and hears of no change.',
  UPLINK_UNPROTECTED: 'Neither a speed nor a queue of the device is known, so copies may crowd out originals there.',
  CPU_BUSY: 'The machine drops packets before they are handled, so some copies are dropped as overBudget.',
};

/** Problems of nodes, as the node and the controller find them. They are reasons of policies that they touch, too. */
const NODE_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'PROTOCOL_UNSUPPORTED',
  'NODE_UNDERLAY_REFUSED',
  'COUNTERS_REFUSED',
  'NODE_UNDERLAY_UNKNOWN',
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

/** `answer`: to a request. `rule`: to a policy that is refused. `warning`: to one that is taken. `status`: of a policy. `node`: of a node. */
export type CodePlace = 'answer' | 'rule' | 'warning' | 'status' | 'node';

/** Where a code is shown. */
export function placesOf(code: ErrorCode): CodePlace[] {
  if (CATALOGUE[code].status >= 400) {
    return [code.startsWith('POLICY_') ? 'rule' : 'answer'];
  }
  if (code.startsWith('POLICY_')) {
    return ['warning'];
  }
  if (NODE_ONLY_CODES.has(code)) {
    return ['node'];
  }
  return NODE_CODES.has(code) ? ['status', 'node'] : ['status'];
}
