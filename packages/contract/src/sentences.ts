/**
 * The sentences of codes: a message is made of a code and of values, here alone. A list of the same form in another language
 * gives the same message in that language.
 */
import { ERSPAN_OVERHEAD } from './counters.ts';
import { CATALOGUE, type ErrorCode } from './errors.ts';
import { FINDING_SENTENCES } from './finding-codes.ts';
import type { Params } from './params.ts';

/** Sentences of one code. The first one is used of which all values are there. `{remedy}` is that of the catalogue. */
export type Sentences = Readonly<Partial<Record<ErrorCode, readonly string[]>>>;

const ABSENT = [
  '"{interface}" has no device now: it is bound to node "{boundTo}", but {claimants} has it: bind it to that node, or run "mirrorplane interface release {interface}"',
  '"{edge}" has no device now: check the NIC and its declaration',
  '"{interface}" has no device now: start the VM, attach its NIC, or set the identity of its device again',
];

/** What a node says of itself, in words of its own. */
const OF_NODE = 'node "{node}": {text}';

/** The text says more of it: it is the name of a device, or has no device that can be mirrored. */
const NOT_FOUND = ['there is no interface "{interface}": check the id with "mirrorplane interface list"', '{text}'];

/** Which MTUs are known decides what can be said of them: the most first. */
const TRUNCATED = [' {underlayMtu}', ''].flatMap((known) => {
  const why = `to fit into the underlay${known && `, which has MTU${known} on this node`}`;
  const larger = [
    'raise the MTU of the underlay to {underlay} on both nodes (MTU {largest} of the sources + {encrypted} for ERSPAN and WireGuard)',
    `raise the MTU of the underlay to {underlay} on both nodes (MTU {largest} of the sources + ${ERSPAN_OVERHEAD})`,
    `raise the MTU of the underlay to the MTU of the sources plus ${ERSPAN_OVERHEAD} bytes`,
  ];
  return larger.flatMap((raise) => [
    `node "{node}" cut {packets} copies ${why}: ${raise}, and the MTU of the destination "{destination}", now {mtu}, to {needed}`,
    `node "{node}" cut {packets} copies ${why}: ${raise}`,
  ]);
});

/** Reasons of policies, in English. */
export const SENTENCES: Sentences = {
  SOURCE_ABSENT: ['interface "{gone}" no longer exists: remove it from the sources', ...ABSENT],
  DESTINATION_ABSENT: ['interface "{gone}" no longer exists: choose another destination', ...ABSENT],
  NODE_DISCONNECTED: ['the agent of node "{node}" is not connected: check the agent and the network of the node'],
  NODE_REVOKED: [
    'node "{node}" is revoked, and interface "{interface}" was there: enrol the node again, or migrate the guest',
  ],
  NODE_PENDING: [
    'node "{node}" runs program {applied}, and not yet {planned}: wait a moment',
    'node "{node}" has not reported a capture of "{interface}" yet: wait a moment',
  ],
  NODE_UNDERLAY_UNKNOWN: [
    'node "{node}", where "{interface}" is, is not known: start its agent',
    'node "{end}" of the destination is unknown: start its agent',
    'node "{node}" has no address for ERSPAN: start its agent with a --mirror-device that exists and has an IPv4 address (see the problems of the node)',
  ],
  WIREGUARD_MISSING: [
    'pool "{pool}" demands encrypted copies, and node "{node}" cannot encrypt: let its kernel load WireGuard, upgrade its agent, or set the underlay of the pool to plain (see the problems of the node)',
    OF_NODE,
  ],
  SESSIONS_EXHAUSTED: ['node "{node}" receives {most} policies already: move some destinations to other nodes'],
  POLICY_VLAN_REQUIRED: ['"{interface}" is an edge-connected interface: give the policy a vlanId'],
  POLICY_VLAN_NOT_IN_TRUNK: [
    '"{interface}" no longer carries VLAN {vlanId}: extend its allowedVlans, or change the vlanId',
  ],
  POLICY_PHYSICAL_TO_VIRTUAL: [
    '"{interface}" is an edge-connected interface and the destination "{destination}" is not: choose an edge-connected interface as destination',
  ],
  POLICY_CROSS_DOMAIN: [
    '"{interface}" is in communication domain "{domain}" (pool "{pool}"), the destination "{destination}" in "{otherDomain}" (pool "{otherPool}"): move one of them, or change the policy',
  ],
  COPIES_DROPPED: [
    'node "{node}" dropped {packets} copies ({reasons}): raise the MTU of the destination "{destination}", now {mtu}, to {needed}',
    'node "{node}" dropped {packets} copies ({reasons}): raise the MTU of the destination "{destination}" to the MTU of its sources',
    'node "{node}" dropped {packets} copies ({reasons}): {remedy}',
  ],
  COPIES_TRUNCATED: TRUNCATED,
  ENDING_UNCONFIRMED: [
    'node "{away}" has not confirmed that it stopped, and may still copy: its agent is not connected: check the agent',
    'node "{node}" has not confirmed that it stopped, and may still copy: wait a moment',
  ],
  COPIES_UNPROVEN: [
    'node "{to}" refused {packets} copies of node "{from}", because they carry no session that a policy has on this node now: check the agent of "{from}"',
  ],
  COPIES_LOST: ['{lately} copies from node "{from}" to node "{to}" were lost recently, {ever} in all: {remedy}'],
  PROBE_CUT: [
    'copies of {length} bytes reach the destination cut: raise the MTU of the underlay on both nodes, now {mtu}, to {needed}',
    'copies of {length} bytes reach the destination cut: {remedy}',
  ],
  PROBE_TOO_BIG: [
    'copies of {length} bytes do not fit into the destination "{destination}" on node "{node}": raise its MTU to {needed}',
  ],
  PROBE_DESTINATION_DOWN: [
    'the device of the destination "{destination}" on node "{node}" is absent or down, or refuses copies: bring it up',
    'the mirror device of node "{from}" is absent: bring it up',
  ],
  PROBE_DROPPED: ['node "{node}" dropped the probe ({reason}): {remedy}'],
  PROBE_LOST: [
    'nothing that node "{from}" ({sender}) sent arrived at node "{to}" ({receiver}), not even the smallest probe: {remedy}',
    'nothing that node "{from}" sent arrived at node "{to}", not even the smallest probe: {remedy}',
  ],
  PROBE_LOST_BY_SIZE: [
    'copies of {length} bytes from node "{from}" do not arrive at node "{to}", and smaller ones do: let the network between the nodes carry IP packets of {packet} bytes, or lower the MTU of their mirror devices to what it carries',
  ],
  PROBE_LOST_IN_PART: ['{lost} of {sent} packets from node "{from}" did not arrive at node "{to}": {remedy}'],
  PROBE_NOT_MADE: ['node "{maker}" made no probe of this size ({why}): {remedy}'],
  PROBE_UNKNOWN: ['node "{node}" has not said what became of the probe: {remedy}'],
  COPIES_SURPLUS: ['{packets} more copies have arrived at node "{to}" than node "{from}" has sent to it: {remedy}'],
  DESTINATION_SLOW: [
    '"{interface}" is slow: its device "{device}" on node "{node}" dropped {unread} packets a second of {given} that it was given lately, because the guest did not read earlier ones; the mirror lost none: {remedy}',
  ],
  DESTINATION_SENDS_COPIES: [
    '"{allowed}" recently sent {packets} frames with source addresses that it got in copies; they were allowed by the policy, and not copied again',
    '"{interface}" recently sent {packets} frames with source addresses that it got in copies; they were dropped at its port: {remedy}',
  ],
  ...FINDING_SENTENCES,
};

/** What rules of a policy refuse, and what they warn of, in English. */
export const RULE_SENTENCES: Sentences = {
  POLICY_NAME_INVALID: [
    '"{reserved}" is not a valid name, because its URL shows the status of all policies: choose another name',
    '"{name}" is not a valid name: use 1 to 63 lower-case letters, digits and hyphens, with a letter or digit at both ends',
  ],
  POLICY_NO_SOURCES: ['the policy has no source: give 1 to {most} interfaces'],
  POLICY_TOO_MANY_SOURCES: [
    'the policy has {count} sources: a policy can have at most {most}; divide them into several policies',
  ],
  POLICY_SOURCE_KINDS_MIXED: [
    '"{edge}" is an edge-connected interface and "{other}" is not: write one policy for the edge sources and one for the others',
  ],
  POLICY_SOURCE_REPEATED: ['"{source}" is already sources[{first}]: list every source once'],
  POLICY_SOURCE_NOT_FOUND: NOT_FOUND,
  POLICY_SOURCE_UNSUPPORTED: ['"{source}" cannot be mirrored: {devices}', '{text}'],
  POLICY_SOURCES_OVERLAP: [
    '{device} of "{source}" and {otherDevice} of "{other}" on node "{onNode}" carry the same packets, which would be copied twice: use only one of the two',
  ],
  POLICY_SOURCE_IN_USE: [
    '"{source}" is a source of policy "{disabled}", which is disabled: remove it from the sources of "{disabled}" first',
    '"{source}" is a source of policy "{policy}": remove it from the sources of "{policy}" first',
  ],
  POLICY_CROSS_DOMAIN: ['destination', 'otherSource'].map(
    (end) =>
      `"{source}" is in communication domain "{domain}" (pool "{pool}"), the ${end === 'destination' ? end : 'source'} "{${end}}" in "{otherDomain}" (pool "{otherPool}"): choose interfaces of pools in one domain`,
  ),
  POLICY_DESTINATION_NOT_FOUND: NOT_FOUND,
  POLICY_DESTINATION_UNSUPPORTED: ['"{destination}" cannot receive copies: {devices}', '{text}'],
  POLICY_DESTINATION_IS_SOURCE: ['"{destination}" is also sources[{at}] of this policy: choose another destination'],
  POLICY_PHYSICAL_TO_VIRTUAL: [
    'the source "{source}" is an edge-connected interface and "{destination}" is not: choose an edge-connected interface as destination',
  ],
  POLICY_CYCLE: [
    'copies would come back to their source: {chain}: choose another destination, or change one of the other policies',
  ],
  POLICY_DIRECTION_INVALID: ['"{direction}" is not a direction: use all, inbound or outbound'],
  POLICY_PERCENT_INVALID: ['{percent} is not a percentage: use 0 to 100 with at most two decimals'],
  POLICY_VLAN_REQUIRED: ['"{destination}" is an edge-connected interface: give a vlanId from 1 to 4094 for the copies'],
  POLICY_VLAN_NOT_ALLOWED: ['"{destination}" is not an edge-connected interface: remove vlanId {vlanId}'],
  POLICY_VLAN_INVALID: ['{vlanId} is not a VLAN ID: use a whole number from 1 to 4094'],
  POLICY_VLAN_NOT_IN_TRUNK: [
    '"{destination}" does not carry VLAN {vlanId}: use one of its allowedVlans ({allowed}), or extend that list',
  ],
  POLICY_RATE_INVALID: ['{maxRate} is out of range: use 1 to {most} Mbit/s, or remove it'],
  POLICY_END_PAST: ['{endsAt} is past: for the controller it is {now}. Give a later time, or remove it'],
  POLICY_FEEDBACK_NOT_ALLOWED: [
    '"{destination}" is an edge-connected interface, which has no guest: remove allowFeedback',
  ],
  POLICY_MANY: ['there are {count} policies now: consider merging policies that share a destination'],
  POLICY_VLAN_MIRRORED: ['{text}'],
  POLICY_VLAN_SHARED: ['{text}'],
  GRANT_UNMATCHED: ['there is no {what} now, so the grant allows nothing there'],
  POLICY_END_UNSEEN: [
    '{interfaces} cannot be read by you: check the spelling with the owner. With the last consent the policy is checked again',
  ],
};

/** What any code may be said with, before its own sentences: why a node does not capture. */
const OF_CAPTURE = [
  'node "{node}" captures "{interface}" on device "{inPart}" only in part: {text}',
  'node "{node}" cannot capture "{interface}" on device "{device}": {text}',
];

/** The message of a code. @param values of one of its sentences @throws Error where no sentence has all its values */
export function messageOf(code: string, values: Params, sentences: Sentences = SENTENCES): string {
  const entry = (CATALOGUE as Partial<Record<string, { remedy: string }>>)[code];
  const all: Params = entry ? { remedy: entry.remedy, ...values } : values;
  const ofCode = sentences[code as ErrorCode] ?? [];
  const sentence = [...OF_CAPTURE, OF_NODE, ...ofCode]
    .map(partsOf)
    .find(({ names }) => names.every((name) => name in all));
  if (sentence === undefined) {
    throw new Error(`${code} has no sentence with ${Object.keys(values).join(', ')}`);
  }
  const { names, texts } = sentence;
  return names.reduce((said, name, index) => {
    const [before, after] = [texts[index]!, texts[index + 1]!];
    const value = textOf(all[name]!);
    // Text of an operator may have double quotes and control characters itself.
    const isQuoted = before.endsWith('"') && after.startsWith('"');
    return said + (isQuoted ? JSON.stringify(value).slice(1, -1) : value) + after;
  }, texts[0]!);
}

/** A code with its message, the values in it, and what to do. */
export interface Said<C extends string> {
  code: C;
  message: string;
  params: Params;
  remedy?: string;
}

/** Makes the message of a reason. @throws Error where the code has no sentence with these values */
export function say<C extends string>(code: C, params: Params): Said<C> {
  return said(code, params, SENTENCES);
}

/** Makes the message of a rule of a policy: a refusal or a warning. @throws Error as `say` does */
export function sayRule<C extends string>(code: C, params: Params): Said<C> {
  return said(code, params, RULE_SENTENCES);
}

function said<C extends string>(code: C, params: Params, sentences: Sentences): Said<C> {
  const remedy = remedyOf(code);
  return { code, message: messageOf(code, params, sentences), params, ...(remedy !== undefined && { remedy }) };
}

/** What to do about a code, as the catalogue says. Undefined: a code that only a newer agent knows. */
export function remedyOf(code: string): string | undefined {
  return (CATALOGUE as Partial<Record<string, { remedy: string }>>)[code]?.remedy;
}

/** A sentence, cut at its values. */
interface Parts {
  /** One more than names: each name stands between two of them. */
  texts: readonly string[];
  names: readonly string[];
}

/** Sentences that were cut already. A policy may have a reason for each of 1024 sources. */
const CUT = new Map<string, Parts>();

function partsOf(sentence: string): Parts {
  const known = CUT.get(sentence);
  if (known !== undefined) {
    return known;
  }
  const pieces = sentence.split(/\{(\w+)\}/);
  const isName = (_: string, index: number) => index % 2 === 1;
  const parts = { texts: pieces.filter((_, index) => index % 2 === 0), names: pieces.filter(isName) };
  CUT.set(sentence, parts);
  return parts;
}

function textOf(value: Params[string]): string {
  if (typeof value !== 'object') {
    return String(value);
  }
  return Array.isArray(value)
    ? value.map((one) => `"${one}"`).join(', ')
    : Object.entries(value)
        .map(([name, count]) => `${name} ${count}`)
        .join(', ');
}
