/** What findings say: their codes, and the sentences of these. */
/** As `CatalogueEntry`: a finding answers no request, so its status is 200. */
function entry(title: string, remedy: string): { status: number; title: string; remedy: string } {
  return { status: 200, title, remedy };
}

/** Entries of the catalogue. */
export const FINDING_CATALOGUE = {
  FINDING_NOTHING_LOST: entry(
    'Nothing was lost between two interfaces',
    'look for the cause in the guests; if the fault comes and goes, search again while it is there',
  ),
  FINDING_FILTERED: entry(
    'A rule of a node drops packets',
    'see the rules of that node, for example with "nft list ruleset"; a rule with a limit drops like any other',
  ),
  FINDING_RATE_LIMITED: entry('A limit of a node drops packets', 'raise the limit, or send less'),
  FINDING_SHAPED: entry(
    'A queue or a shaper of a node is full',
    'see "tc -s qdisc show dev DEVICE" on the node; raise the rate or the limit of the queue, or send less',
  ),
  FINDING_RING_FULL: entry(
    'A guest does not take its packets',
    'check that the guest runs and has CPU time; give its NIC more queues',
  ),
  FINDING_TOO_BIG: entry(
    'Packets are longer than a device takes',
    'raise the MTU of the device, or lower the MTU of the guests',
  ),
  FINDING_DEVICE_DOWN: entry(
    'A device of a node does not forward',
    'set the device up, or let its bridge port forward (see "bridge link")',
  ),
  FINDING_NO_ROUTE: entry('A node has no way for packets', 'check routes and neighbours of that node'),
  FINDING_MALFORMED: entry('A node drops packets as malformed', 'check checksums and offloads of the sender'),
  FINDING_PORT_CLOSED: entry(
    'A guest itself refuses',
    'check in the guest that the service runs and listens on this address, and that its own firewall lets it in',
  ),
  FINDING_RESET_BY_RULE: entry(
    'A refusal comes in the name of a guest',
    'look for a rule that rejects, for example with "nft list ruleset" on the node',
  ),
  FINDING_LOST_BETWEEN_NODES: entry(
    'Packets are lost between two nodes',
    'check the network between the nodes: links, MTU, VLANs, and firewalls there',
  ),
  FINDING_GUEST_SILENT: entry(
    'A guest gets packets and does not answer',
    'check that the guest runs; then its own firewall, and that the service answers',
  ),
  FINDING_NEVER_SENT: entry('Nothing was sent', 'check in the guest that it sends, and to which address'),
  FINDING_UNDETERMINED: entry('What was seen does not say the cause', 'do what the message says, and search again'),
} as const;

export type FindingCode = keyof typeof FINDING_CATALOGUE;

/** What has happened when a finding says so. */
export const FINDING_MEANINGS: Readonly<Record<FindingCode, string>> = {
  FINDING_NOTHING_LOST: 'All packets that one interface sent to the other were delivered, both ways.',
  FINDING_FILTERED: 'The kernel of the node said that a rule of its firewall dropped the packets.',
  FINDING_RATE_LIMITED: 'The kernel of the node said that a limit dropped the packets.',
  FINDING_SHAPED: 'The kernel of the node said that a queue was full: packets come faster than it lets them go.',
  FINDING_RING_FULL: 'The packets were delivered, and then dropped, because the device of the guest was full.',
  FINDING_TOO_BIG: 'The node dropped packets, because a device behind takes only shorter ones.',
  FINDING_DEVICE_DOWN: 'The node dropped packets at a device that was down, or at a port that did not forward.',
  FINDING_NO_ROUTE: 'The node dropped packets, because it did not know where to send them.',
  FINDING_MALFORMED: 'The kernel of the node found that the packets themselves were wrong.',
  FINDING_PORT_CLOSED: 'The guest that was asked has sent the refusal itself.',
  FINDING_RESET_BY_RULE: 'A refusal was received that the guest in whose name it came has not sent.',
  FINDING_LOST_BETWEEN_NODES:
    'The packets were sent on one node and never arrived at the other, and neither kernel has dropped them.',
  FINDING_GUEST_SILENT: 'Packets that want an answer were delivered, and the guest has sent none.',
  FINDING_NEVER_SENT: 'The first interface sent no packet to the second while it was looked at.',
  FINDING_UNDETERMINED: 'A wrong cause would be worse than none, so the message says what is not known.',
};

/** All sentences that take one part of each list, the richest first. */
function sentences(...parts: readonly (readonly string[])[]): string[] {
  return parts.reduce<string[]>((begun, next) => begun.flatMap((text) => next.map((part) => text + part)), ['']);
}

const COUNT = ['{segments} of {ofSegments} segments', '{packets} of {ofPackets} packets'];
const SERVICE = [' ({service})', ''];
const LOST = [COUNT, [' from "{from}" to "{to}"'], SERVICE] as const;
const REASON = [' ({reason})', ''];
const DEVICE = [' at "{device}"', ''];
const SINCE = [' since {since}', ''];
const OTHER_WAY = [
  '; the other direction lost {otherLost} of {otherSent}',
  '; the other direction lost none of {otherSent}',
  '',
];
const droppedBy = (what: string) =>
  sentences(...LOST, [` were dropped on node "{node}" by ${what}`], REASON, DEVICE, SINCE, OTHER_WAY);
const droppedBecause = (why: string) =>
  sentences(...LOST, [' were dropped on node "{node}"'], DEVICE, SINCE, [`, because ${why}`], REASON, OTHER_WAY);
const undetermined = (why: string) => sentences(['undetermined: '], ...LOST, [` ${why}`], OTHER_WAY);

/** In English, see `SENTENCES`. */
export const FINDING_SENTENCES: Readonly<Record<FindingCode, readonly string[]>> = {
  FINDING_NOTHING_LOST: [
    'nothing was lost between "{from}" and "{to}" in {seconds} s: all {sent} packets there and {otherSent} packets back were delivered',
  ],
  FINDING_FILTERED: droppedBy('a rule of its firewall'),
  FINDING_RATE_LIMITED: droppedBy('a limit'),
  FINDING_SHAPED: droppedBy('a full queue or shaper'),
  FINDING_RING_FULL: droppedBecause('the guest of "{to}" does not take them: it is stopped, or too slow'),
  FINDING_TOO_BIG: droppedBecause('they are longer than a device there takes'),
  FINDING_DEVICE_DOWN: droppedBecause('a device is down, or does not forward'),
  FINDING_NO_ROUTE: droppedBecause('it had no route or neighbour for them'),
  FINDING_MALFORMED: droppedBecause('its kernel found them malformed'),
  FINDING_PORT_CLOSED: sentences(
    [
      '"{to}" itself refused {attempts} of {ofAttempts} connections from "{from}"',
      '"{to}" itself refused {refused} packets from "{from}"',
    ],
    SERVICE,
    SINCE,
    [': nothing listens there, or its own firewall refuses'],
  ),
  FINDING_RESET_BY_RULE: sentences(
    ['node "{node}" refused in the name of "{to}": {resets} resets or ICMP errors'],
    SERVICE,
    [' reached "{from}" that "{to}" has not sent'],
    SINCE,
  ),
  FINDING_LOST_BETWEEN_NODES: sentences(
    ...LOST,
    [' left node "{node}" and never arrived at node "{otherNode}"'],
    SINCE,
    [
      ', and neither node dropped them: all of {lostBytes} bytes and more were lost, and all of up to {throughBytes} bytes arrived',
      ', and neither node dropped them',
    ],
    OTHER_WAY,
  ),
  FINDING_GUEST_SILENT: sentences(['{delivered} packets from "{from}" were delivered to "{to}"'], SERVICE, [
    ', which has answered none of them; it has sent {others} packets of others',
    ', which has sent nothing back',
  ]),
  FINDING_NEVER_SENT: sentences(
    ['nothing was sent: "{from}" has sent no packet to "{to}" in {seconds} s, and {elsewhere} packets to others'],
    ['; "{to}" sent {otherSent} packets to "{from}"', ''],
  ),
  FINDING_UNDETERMINED: [
    'undetermined: the look has not seen {unseen} of {seen} packets on node "{node}": give words that ask for fewer packets, such as "tcp port 5432"',
    'undetermined: there were more than {most} packets: give words that ask for fewer, such as "tcp port 5432", or look for fewer seconds',
    'undetermined: not every place was looked at: {places}',
    ...undetermined('were lost while {movedInterfaces} moved to another node: search again'),
    ...undetermined('were lost on node "{node}", whose kernel does not say why (in {function})'),
    ...undetermined('were lost for more than one reason: {reasons}'),
    ...undetermined('were lost, and node "{node}" does not hear what its kernel drops: {deafness}'),
    ...undetermined('were lost on node "{node}", whose kernel does not say why'),
    'undetermined: {movedInterfaces} moved to another node meanwhile: search again',
    'undetermined: {resets} resets or ICMP errors reached "{from}" that "{to}" has not sent, and it is not known who sent them',
    'undetermined: "{from}" asked for the MAC address of {addresses} and got no answer, and it is not known whether "{to}" has that address',
    'undetermined: it is not known which packets of "{from}" are for "{to}", whose addresses are not known',
  ],
};
