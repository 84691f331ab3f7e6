/** A verdict as a code and values, of which the contract makes the sentence. Pure. */
import { type FindingCause, type FindingCode, type Params, type Said, say } from '@mirrorplane/contract';
import { along, type Ends } from './circumstances.ts';
import type { Way } from './conversations.ts';
import type { Verdict } from './verdict.ts';

/** What a sentence needs beside the verdict. */
export interface Around {
  /** ids of the interfaces. */
  ends: Ends;
  nodes: Ends;
  seconds: number;
  /** Packets that are counted, by way. */
  sent: Readonly<Record<Way, number>>;
  lost: Readonly<Record<Way, number>>;
  sentElsewhere: number;
  /** Packets that can be compared at most. */
  most: number;
}

const CODES: Readonly<Record<FindingCause, FindingCode>> = {
  nothingLost: 'FINDING_NOTHING_LOST',
  filtered: 'FINDING_FILTERED',
  rateLimited: 'FINDING_RATE_LIMITED',
  shaped: 'FINDING_SHAPED',
  ringFull: 'FINDING_RING_FULL',
  tooBig: 'FINDING_TOO_BIG',
  deviceDown: 'FINDING_DEVICE_DOWN',
  noRoute: 'FINDING_NO_ROUTE',
  malformed: 'FINDING_MALFORMED',
  portClosed: 'FINDING_PORT_CLOSED',
  resetByRule: 'FINDING_RESET_BY_RULE',
  lostBetweenNodes: 'FINDING_LOST_BETWEEN_NODES',
  guestSilent: 'FINDING_GUEST_SILENT',
  neverSent: 'FINDING_NEVER_SENT',
  undetermined: 'FINDING_UNDETERMINED',
};

/** The sentence of a verdict. */
export function sentenceOf(verdict: Verdict, around: Around): Said<FindingCode> {
  const { way = 'there', services, since } = verdict;
  const params: Params = {
    ...along(way, around.ends),
    ...(services.length === 1 && { service: services[0]! }),
    ...(since !== undefined && { since: timeOf(since) }),
    ...valuesOf(verdict, around),
  };
  return say(CODES[verdict.cause], params);
}

/** Time of day with its zone: which day it was is said beside the sentence. */
function timeOf(microseconds: number): string {
  return `${new Date(microseconds / 1000).toISOString().slice(11, 19)} UTC`;
}

function valuesOf(verdict: Verdict, around: Around): Params {
  const { cause, count = 0, of = 0 } = verdict;
  switch (cause) {
    case 'nothingLost':
      return { seconds: around.seconds, sent: around.sent.there, otherSent: around.sent.back };
    case 'portClosed':
      return isOf('TCP', verdict) ? { attempts: count, ofAttempts: of } : { refused: count };
    case 'resetByRule':
      return { node: verdict.node!, resets: count };
    case 'guestSilent':
      return { delivered: count, ...(of > 0 && { others: of }) };
    case 'neverSent':
      return { seconds: around.seconds, elsewhere: of, ...(count > 0 && { otherSent: count }) };
    case 'lostBetweenNodes':
      return { ...lossValues(verdict, around), ...betweenValues(verdict, around) };
    case 'undetermined':
      return undeterminedValues(verdict, around);
    default:
      return lossValues(verdict, around);
  }
}

/** Share with its base, where, by whose words, and how it is the other way. */
function lossValues(verdict: Verdict, { sent, lost }: Around): Params {
  const { way = 'there', count = 0, of = 0, node, device, reason } = verdict;
  const other = way === 'there' ? 'back' : 'there';
  return {
    ...(isOf('TCP', verdict) ? { segments: count, ofSegments: of } : { packets: count, ofPackets: of }),
    ...(node && { node }),
    ...(device && { device }),
    ...(reason && { reason }),
    ...(sent[other] > 0 && { otherSent: sent[other] }),
    ...(lost[other] > 0 && { otherLost: lost[other] }),
  };
}

function betweenValues({ way = 'there', sizes }: Verdict, { nodes }: Around): Params {
  return {
    otherNode: along(way, nodes).to,
    ...(sizes && { lostBytes: sizes.lost, throughBytes: sizes.through }),
  };
}

function undeterminedValues(verdict: Verdict, around: Around): Params {
  const { undetermined, count = 0, of = 0, node = '', text } = verdict;
  switch (undetermined) {
    case 'lookLost':
      return { node, unseen: count, seen: of };
    case 'tooMany':
      return { most: around.most };
    case 'notSeen':
      return { places: text ?? '' };
    case 'addressUnknown':
      return text === undefined ? {} : { addresses: text };
    case 'refuserUnknown':
      return { resets: count };
    case 'moved':
      return { ...(count > 0 && lossValues(verdict, around)), movedInterfaces: text ?? '' };
    case 'mixed':
      return { ...lossValues(verdict, around), reasons: text ?? '' };
    case 'notHeard':
      return { ...lossValues(verdict, around), deafness: text ?? '' };
    default:
      return { ...lossValues(verdict, around), ...(text !== undefined && { function: text }) };
  }
}

function isOf(protocol: string, { services }: Verdict): boolean {
  return services.length > 0 && services.every((service) => service.startsWith(protocol));
}
