/**
 * The error catalogue: every code that the API, the CLI, the console and the status of a policy can
 * show. It is one list, so it is one file.
 */
import * as z from 'zod';
import { MAX_WORD } from './bounds.ts';
import { FINDING_CATALOGUE } from './finding-codes.ts';
import { Params } from './params.ts';

/**
 * Catalogue entry of a code. `status` is the HTTP status of a problem document whose main code it
 * is.
 */
export interface CatalogueEntry {
  status: number;
  title: string;
  remedy: string;
}

function entry(status: number, title: string, remedy: string): CatalogueEntry {
  return { status, title, remedy };
}

/** Code to meaning. A code, once released, keeps its meaning. */
export const CATALOGUE = {
  // Requests
  BAD_REQUEST: entry(400, 'The request cannot be read', 'send valid JSON in the documented form'),
  FIELD_INVALID: entry(400, 'A field has a wrong form', 'correct the field as the message says'),
  FIELD_UNKNOWN: entry(400, 'A field is unknown', 'remove the field, or check its spelling'),
  NAME_MISMATCH: entry(
    400,
    'The name in the body differs from the name in the URL',
    'remove the name from the body, or make both names the same',
  ),
  UNAUTHENTICATED: entry(401, 'No valid credentials', 'send the API token as "Authorization: Bearer TOKEN"'),
  FORBIDDEN: entry(403, 'Not allowed', 'ask an administrator for a role that has the missing right'),
  CSRF_REFUSED: entry(
    403,
    'The request does not come from the console',
    'use the console, or send a token instead of the cookie',
  ),
  SIGN_IN_REFUSED: entry(
    403,
    'The sign-in is refused',
    'read why; an administrator can change your groups, or who may do what here',
  ),
  NOT_FOUND: entry(404, 'The resource does not exist', 'list the resources and check the name'),
  METHOD_NOT_ALLOWED: entry(405, 'The resource does not support this method', 'use a method of the header Allow'),
  ALREADY_EXISTS: entry(
    409,
    'A resource of this name exists already',
    'choose another name, or change the existing resource',
  ),
  IN_USE: entry(409, 'Other resources depend on this resource', 'change or delete the other resources first'),
  NODE_UNCONFIRMED: entry(
    409,
    'A node may still copy',
    'start the agent of the node; if the host will never copy again, run "mirrorplane node delete NODE --dead"',
  ),
  LIST_EXPIRED: entry(410, 'The rest of the list is not known any more', 'read the list again from its first page'),
  PRECONDITION_FAILED: entry(
    412,
    'The resource has changed in the meantime',
    'read the resource again and repeat the change',
  ),
  BODY_TOO_LARGE: entry(413, 'The body is too large', 'divide the body into smaller requests'),
  MEDIA_TYPE_UNSUPPORTED: entry(
    415,
    'The media type of the body is not supported',
    'send the body as application/json',
  ),
  NOTHING_TO_APPROVE: entry(
    409,
    'Nothing waits for consent',
    'read the policy: it was approved, rejected or changed in the meantime',
  ),
  REQUESTS_EXCEEDED: entry(
    429,
    'Too many policies wait for consent',
    'delete policies that are not needed any more, or wait until others have consented',
  ),
  POLICY_NOT_TESTABLE: entry(
    409,
    'The policy cannot be tested now',
    'enable the policy, and wait until its destination and a source have a device',
  ),
  TESTS_EXCEEDED: entry(429, 'Too many tests of policies', 'wait until the running test has ended, and try again'),
  TOTP_REQUIRED: entry(401, 'A code is needed, too', 'give the code of your authenticator app, or a recovery code'),
  USER_SOURCE: entry(409, 'The user signs in otherwise', 'use the system that the user signs in with'),
  LAST_ADMINISTRATOR: entry(409, 'Nobody could manage users any more', 'make another administrator first'),
  TRIES_EXCEEDED: entry(429, 'Too many tries to sign in', 'wait a minute, and try again'),
  INTERNAL: entry(500, 'The controller failed', 'see the log of the controller'),
  SIGN_IN_AWAY: entry(
    503,
    'The system that knows you does not answer',
    'try again in a moment, or sign in with a local account',
  ),
  UNAVAILABLE: entry(503, 'The controller is not ready', 'try again in a moment'),
  EDGE_UNSUPPORTED: entry(
    422,
    'The device cannot be an edge-connected interface',
    'declare a physical NIC, a bond, a VLAN device or a veth, as the message says',
  ),
  // Rules of a policy
  POLICY_INVALID: entry(422, 'The policy is refused', 'correct every listed field'),
  POLICY_NAME_INVALID: entry(422, 'The name is not valid', 'use 1 to 63 lower-case letters, digits and hyphens'),
  POLICY_NO_SOURCES: entry(422, 'A policy needs a source', 'give 1 to 1024 source interfaces'),
  POLICY_TOO_MANY_SOURCES: entry(422, 'More than 1024 sources', 'divide the sources into several policies'),
  POLICY_SOURCE_REPEATED: entry(422, 'A source is listed twice', 'list every source once'),
  POLICY_SOURCE_NOT_FOUND: entry(422, 'A source does not exist', 'check the id with "mirrorplane interface list"'),
  POLICY_SOURCE_UNSUPPORTED: entry(
    422,
    'The device of a source cannot be mirrored',
    'use the tap or veth of the guest, or the NIC, as the message says',
  ),
  POLICY_SOURCES_OVERLAP: entry(
    422,
    'Two sources carry the same packets',
    'use only one of the two sources, or write one policy for each',
  ),
  POLICY_SOURCE_IN_USE: entry(422, 'A source belongs to another policy', 'remove it from the other policy first'),
  POLICY_SOURCE_KINDS_MIXED: entry(
    422,
    'Virtual and edge sources together',
    'write one policy for the vm and nfv sources, and one for the edge sources',
  ),
  POLICY_DESTINATION_NOT_FOUND: entry(
    422,
    'The destination does not exist',
    'check the id with "mirrorplane interface list"',
  ),
  POLICY_DESTINATION_UNSUPPORTED: entry(
    422,
    'The device of the destination cannot receive copies',
    'use the tap or veth of the guest, or the NIC, as the message says',
  ),
  POLICY_DESTINATION_IS_SOURCE: entry(422, 'The destination is also a source', 'choose another destination'),
  POLICY_CYCLE: entry(
    422,
    'Copies would come back to their source',
    'break the chain of policies that the message names',
  ),
  POLICY_PHYSICAL_TO_VIRTUAL: entry(
    422,
    'Mirroring from physical to virtual is not supported',
    'choose an edge-connected interface as destination',
  ),
  POLICY_CROSS_DOMAIN: entry(
    422,
    'Source and destination are in different communication domains',
    'choose interfaces of pools in one domain',
  ),
  POLICY_DIRECTION_INVALID: entry(422, 'The direction is not valid', 'use all, inbound or outbound'),
  POLICY_PERCENT_INVALID: entry(422, 'The mirror percent is out of range', 'use 0 to 100 with at most two decimals'),
  POLICY_VLAN_REQUIRED: entry(
    422,
    'A VLAN ID is missing',
    'give a vlanId: copies leave by an edge-connected interface',
  ),
  POLICY_VLAN_NOT_ALLOWED: entry(
    422,
    'A VLAN ID is not allowed here',
    'remove vlanId: the destination is not an edge-connected interface',
  ),
  POLICY_VLAN_INVALID: entry(422, 'The VLAN ID is out of range', 'use a whole number from 1 to 4094'),
  POLICY_VLAN_NOT_IN_TRUNK: entry(
    422,
    'The edge does not carry this VLAN',
    'use a VLAN ID from allowedVlans of the edge, or extend allowedVlans',
  ),
  POLICY_FEEDBACK_NOT_ALLOWED: entry(
    422,
    'allowFeedback is not allowed here',
    'remove allowFeedback: the destination is an edge-connected interface',
  ),
  POLICY_RATE_INVALID: entry(422, 'The rate is out of range', 'use 1 to 100000 Mbit/s, or remove maxRate'),
  POLICY_END_PAST: entry(422, 'The end of the policy is past', 'give a later time, or remove endsAt'),
  POLICY_MANY: entry(
    200,
    'More than 100 policies',
    'this is only a warning: consider merging policies that share a destination',
  ),
  POLICY_VLAN_MIRRORED: entry(
    200,
    'A policy mirrors traffic of a VLAN whose ID is also on copies of another policy',
    'this is only a warning: use a VLAN ID that carries no other traffic',
  ),
  POLICY_VLAN_SHARED: entry(
    200,
    'Other policies push the same VLAN ID',
    'this is only a warning: use another VLAN ID if the VLAN ID must identify the policy of a copy',
  ),
  POLICY_END_UNSEEN: entry(
    200,
    'The policy names interfaces that one may not read',
    'this is only a warning: check the ids with the owner, who consents or refuses',
  ),
  GRANT_UNMATCHED: entry(
    200,
    'A grant names what is not there',
    'this is only a warning: check the spelling, or create what it names',
  ),
  // Looks
  LOOK_INVALID: entry(422, 'The look is refused', 'correct every listed field'),
  LOOK_INTERFACE_NOT_FOUND: entry(422, 'An interface does not exist', 'check the id with "mirrorplane interface list"'),
  LOOK_POLICY_NOT_FOUND: entry(422, 'The policy does not exist', 'check the name with "mirrorplane policy list"'),
  LOOK_WORDS_INVALID: entry(
    422,
    'The capture words cannot be carried out',
    'correct the word at the position that the message names',
  ),
  LOOK_LIMIT: entry(409, 'There are too many looks', 'end a look with "mirrorplane look end", or wait for its end'),
  LOOK_ENDED: entry(409, 'The look has ended', 'begin another look'),
  // Why a policy is not active
  DESTINATION_ABSENT: entry(
    200,
    'The destination has no device now',
    'start the VM, attach its NIC, or set the identity of its device again',
  ),
  SOURCE_ABSENT: entry(
    200,
    'A source has no device now',
    'start the VM, attach its NIC, or set the identity of its device again',
  ),
  NODE_DISCONNECTED: entry(200, 'The agent of a node is not connected', 'check the agent and the network of the node'),
  PROTOCOL_UNSUPPORTED: entry(
    200,
    'The agent of a node speaks another version of the protocol',
    'upgrade the agent or the controller, the older of the two',
  ),
  NODE_UNDERLAY_REFUSED: entry(
    200,
    'A node reports an ERSPAN address that cannot be its own',
    'use --mirror-address to give the node an address that no other node has',
  ),
  NODE_SECOND_AGENT: entry(
    200,
    'Two agents have the name of one node',
    'stop one agent, or register its host as another node; never copy a data directory to a second host',
  ),
  COUNTERS_REFUSED: entry(
    200,
    'A node reports counters that cannot be its own',
    'restart the agent of the node; if the reports continue, check who controls that host',
  ),
  MESSAGES_REFUSED: entry(
    200,
    'The agent of a node sends messages that cannot be read',
    'upgrade the agent or the controller, the older of the two; if both are of one release, report it with the message',
  ),
  PROGRAM_UNSAVED: entry(
    200,
    'A node could not store its newest program',
    'make room in the data directory of the agent (/var/lib/mirrorplane), or mend its disk; the agent tries again every ten seconds',
  ),
  NODE_REVOKED: entry(
    200,
    'A node is revoked',
    'find out why; to let the node join again, create a token with "mirrorplane node token NODE"',
  ),
  NODE_PENDING: entry(200, 'A node has not applied the newest program yet', 'wait a moment'),
  NODE_UNDERLAY_UNKNOWN: entry(
    200,
    'A node has no address for ERSPAN',
    'start the agent with a --mirror-device that exists and has an IPv4 address',
  ),
  WIREGUARD_MISSING: entry(
    200,
    'A node cannot encrypt copies, and its pool demands it',
    'let the kernel of the node load WireGuard, upgrade its agent, and free the UDP port; or set the underlay of the pool to plain',
  ),
  SESSIONS_EXHAUSTED: entry(
    200,
    'A node already receives copies of 1023 policies',
    'move some destinations to other nodes',
  ),
  CAPTURE_REFUSED: entry(200, 'A node cannot capture a source', 'see the message of the node'),
  DEVICE_UNSUPPORTED: entry(
    200,
    'The device cannot be mirrored',
    'use the tap or veth of the guest, or the NIC, as the message says',
  ),
  OFFLOAD_UNSEEN: entry(
    200,
    'Flows that a NIC forwards in hardware are not captured; all other traffic is captured',
    'switch hw-tc-offload off, or keep the flows of the sources out of the hardware',
  ),
  IDENTITY_UNREADABLE: entry(
    200,
    'The description of a guest cannot be read, so its NICs are unknown',
    'see the message of the node',
  ),
  DEVICE_DOWN: entry(200, 'The device is down', 'set the device up'),
  HOOK_OCCUPIED: entry(
    200,
    'Another BPF program runs first at the hook',
    'detach the other program, or let it pass packets on to the next program',
  ),
  TABLE_FULL: entry(200, 'A table of the data plane is full', 'mirror fewer interfaces on this node'),
  ATTACH_FAILED: entry(200, 'The kernel refused the program', 'see the message of the node'),
  ARRIVAL_UNSEEN: entry(
    200,
    'Packets that a firewall on a bridge drops are not captured; all other packets are captured',
    'let the agent attach first at every port of the bridge, and keep other filters off these ports',
  ),
  FEEDBACK_UNSEEN: entry(
    200,
    'Copies that the destination sends on are not dropped; everything else works',
    'let the agent attach its BPF programs at the device of the destination',
  ),
  DESTINATION_SENDS_COPIES: entry(
    200,
    'The destination sends copies on',
    'stop bridging and forwarding in the monitor; if the monitor must send such frames, set allowFeedback',
  ),
  DESTINATION_SLOW: entry(
    200,
    'The destination does not read all copies that it is given',
    'give the monitor more CPU time, or its NIC more queues; or mirror less: percent, maxRate',
  ),
  NEIGHBOUR_UNKNOWN: entry(
    200,
    'The next hop to a node has no link-layer address yet',
    'check that the nodes can reach each other on the underlay',
  ),
  ROUTE_MISSING: entry(200, 'There is no route to a node', 'check the routes of the underlay'),
  INTERFACE_DUPLICATE: entry(200, 'Two devices claim the same interface', 'give every device an id of its own'),
  INTERFACE_CONTESTED: entry(
    200,
    'A node claims an interface that is in another communication domain, or bound to another node',
    'give the device an id of its own; if the guest has moved to this node for good, remove its device on the other node, or bind the interface: "mirrorplane interface bind"',
  ),
  INTERFACE_KIND_REFUSED: entry(
    200,
    'A node reports a device as an edge',
    'declare edges with "mirrorplane interface declare"; agents can only report vm and nfv interfaces',
  ),
  COPIES_TRUNCATED: entry(
    200,
    'Copies are cut to the underlay MTU',
    'raise the MTU of the underlay to the MTU of the sources plus 50 bytes, and the MTU of the destination to the MTU of the sources',
  ),
  COPIES_DROPPED: entry(200, 'Copies were dropped', 'see the counters by reason'),
  COPIES_LOST: entry(
    200,
    'Copies are lost between two nodes',
    'check the underlay: its MTU, firewalls for GRE (IP protocol 47), and the load of its links',
  ),
  COPIES_SURPLUS: entry(
    200,
    'More copies arrived at a node than were sent to it',
    'look for a cause of duplicate packets on the underlay (bonds, mirror ports, loops), and for another host that uses the address of the sending node',
  ),
  COPIES_UNPROVEN: entry(
    200,
    'Copies were refused, because nothing proves that they belong to a policy',
    'check that the agent of the sending node runs and has the newest program',
  ),
  COPIES_FORGED: entry(
    200,
    'Another host sends ERSPAN with the address of a node',
    'find the sender with a capture on the mirror device, keep other hosts and guests out of the underlay, and let its routers and switches drop foreign source addresses',
  ),
  PROBE_CUT: entry(
    200,
    'A probe reached the destination cut',
    'raise the MTU of the underlay to the MTU of the sources plus 50 bytes',
  ),
  PROBE_TOO_BIG: entry(
    200,
    'A probe is larger than the MTU of the destination allows',
    'raise the MTU of the destination to the MTU of the sources',
  ),
  PROBE_DESTINATION_DOWN: entry(
    200,
    'A probe met a device that is absent or down',
    'bring the device up that the message names',
  ),
  PROBE_DROPPED: entry(
    200,
    'A node dropped a probe',
    'look the reason up in docs/data-plane.md, and see the log of the agent',
  ),
  PROBE_LOST: entry(
    200,
    'No probe arrived at the node of the destination',
    'let IP protocol 47 (GRE) pass between the two nodes, in their firewalls and in the network, and check that both mirror devices are up',
  ),
  PROBE_LOST_BY_SIZE: entry(
    200,
    'Small probes arrive at the node of the destination, and larger ones do not',
    'raise the MTU of the network between the two nodes, or lower the MTU of their mirror devices to what it carries',
  ),
  PROBE_LOST_IN_PART: entry(
    200,
    'Some packets of a probe did not arrive at the node of the destination',
    'test again; if it stays so, check the load of the links between the two nodes',
  ),
  PROBE_NOT_MADE: entry(200, 'A node could not make a probe', 'see the status of the policy, and the log of the agent'),
  PROBE_UNKNOWN: entry(
    200,
    'A node has not said what became of a probe',
    'check the agent of the node, and its version',
  ),
  ENDING_UNCONFIRMED: entry(
    200,
    'A node has not confirmed that it has stopped copying',
    'check the agent of the node; the node may still copy until its agent is connected again',
  ),
  UPLINK_BUSY: entry(
    200,
    'Copies are throttled for service traffic',
    'use a separate mirror device on the node, or mirror less: percent, maxRate',
  ),
  CERTIFICATE_ENDING: entry(
    200,
    'A certificate ends within weeks',
    'check that the agent is connected and can write its data directory: the agent renews its certificate automatically',
  ),
  CERTIFICATE_ENDED: entry(
    200,
    'The certificate of an agent has ended',
    'create a token with "mirrorplane node token NODE", and start the agent with --token-file',
  ),
  CERTIFICATE_CONTESTED: entry(
    200,
    'A node has shown an older certificate than the one that is in use',
    'find out who has a copy of its key; "mirrorplane node revoke NODE" cuts both off, and a new join token ends it',
  ),
  UPLINK_UNPROTECTED: entry(
    200,
    'Service traffic shares a device with copies, and the copies are not throttled',
    'start the agent with --uplink-rate, give the device a queue ("tc qdisc"), or use a separate mirror device',
  ),
  CPU_BUSY: entry(
    200,
    'Copies are throttled because a node drops packets for lack of CPU time',
    'mirror less on this node: percent, maxRate; or spread the received packets of the node over more CPUs',
  ),
  // What findings say
  ...FINDING_CATALOGUE,
} as const satisfies Record<string, CatalogueEntry>;
export type ErrorCode = keyof typeof CATALOGUE;
export const ErrorCode = z
  .enum(Object.keys(CATALOGUE) as [ErrorCode, ...ErrorCode[]])
  .meta({ id: 'ErrorCode', description: 'A code of the catalogue. A code keeps its meaning.' });

/**
 * A code that a node may report. An agent that is newer than the controller may know more codes.
 */
export const ReasonCode = z
  .union([ErrorCode, z.string().max(MAX_WORD)])
  .meta({ id: 'ReasonCode', description: 'A code of the catalogue, or a code that only a newer agent knows.' });

/**
 * Problems of a node that do not affect its policies: all copies are made. They are shown only with
 * the node.
 */
export const NODE_ONLY_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'NODE_SECOND_AGENT',
  'MESSAGES_REFUSED',
  'PROGRAM_UNSAVED',
  'IDENTITY_UNREADABLE',
  'CERTIFICATE_ENDING',
  'CERTIFICATE_ENDED',
  'CERTIFICATE_CONTESTED',
  'UPLINK_UNPROTECTED',
  'COPIES_FORGED',
]);

/** Reasons of a policy that are about its traffic: what became of packets and copies. */
export const TRAFFIC_CODES: ReadonlySet<string> = new Set<ErrorCode>([
  'COPIES_TRUNCATED',
  'COPIES_DROPPED',
  'COPIES_LOST',
  'COPIES_SURPLUS',
  'COPIES_UNPROVEN',
  'DESTINATION_SENDS_COPIES',
  'DESTINATION_SLOW',
  'UPLINK_BUSY',
  'CPU_BUSY',
]);

/**
 * One reason why a policy is refused. `field` is a path such as `sources[3]`. `message` also names
 * the remedy.
 */
export const Refusal = z
  .object({
    code: ErrorCode,
    field: z.string().meta({ description: 'Path of the field, for example `sources[3]` or `edge.allowedVlans[2]`.' }),
    message: z.string().meta({ description: 'What is wrong with the field, and how to correct it.' }),
    params: Params.optional(),
    remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
  })
  .meta({ id: 'Refusal' });
export type Refusal = z.infer<typeof Refusal>;

/** RFC 9457 problem document, served as application/problem+json. `errors` lists every refusal. */
export const Problem = z
  .object({
    type: z.string().meta({ description: 'urn:mirrorplane:error:CODE' }),
    title: z.string(),
    status: z.number().int(),
    code: ErrorCode,
    detail: z.string().meta({ description: 'What is wrong with the request, and how to correct it.' }),
    params: Params.optional(),
    remedy: z.string().optional().meta({ description: 'What to do, as the catalogue says.' }),
    instance: z.string().optional().meta({ description: 'Path of the request.' }),
    errors: z.array(Refusal).default([]),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof Problem>;

/** Builds the problem document of a code. Title and status come from the catalogue. */
export function problem(code: ErrorCode, detail: string, errors: readonly Refusal[] = [], params?: Params): Problem {
  const { status, title, remedy } = CATALOGUE[code];
  const explained = errors.map((error) => ({ ...error, remedy: CATALOGUE[error.code].remedy }));
  const type = `urn:mirrorplane:error:${code}`;
  return { type, title, status, code, detail, ...(params && { params }), remedy, errors: explained };
}
