/**
 * Ids of the parts of a node program. An id is text with a structure. Only this file composes and
 * parses ids. The uid of a policy has no "/". The id of an interface may have several.
 */
import type { TrafficDirection } from './policy.ts';

/** The capture of one source of a policy. Its id is the same on every node. */
export function captureId(policy: string, source: string): string {
  return `${policy}/${source}`;
}

/** The source of a capture, from the id of the capture. Undefined for any other text. */
export function sourceOfCapture(id: string): string | undefined {
  const end = id.indexOf('/');
  return end < 0 ? undefined : id.slice(end + 1);
}

/** One direction of a capture, as the data plane of a node stores it. */
export function hookCaptureId(capture: string, direction: Exclude<TrafficDirection, 'all'>): string {
  return `${capture}/${direction}`;
}

/** The capture that an id of `hookCaptureId` is one direction of. */
export function captureOfHook(id: string): string {
  return id.slice(0, id.lastIndexOf('/'));
}

/** The delivery into a local device. A policy has one at most, on the node of its destination. */
export function localDeliveryId(policy: string): string {
  return `${policy}/local`;
}

/** The delivery out of an edge device. A policy has one at most, on the node of its destination. */
export function edgeDeliveryId(policy: string): string {
  return `${policy}/edge`;
}

/** The delivery in ERSPAN to another node. */
export function erspanDeliveryId(policy: string, node: string): string {
  return `${policy}/to/${node}`;
}

const EARLIER = '/before';
/** The most changes of a destination on its node whose deliveries can stay at once. */
const MAX_EARLIER = 8;

/**
 * The state of a delivery before a change. It stays while senders may still use it. `delivery` is
 * the id of a local or edge delivery, or of an earlier one: a destination may change again.
 */
export function earlierDeliveryId(delivery: string): string {
  return `${delivery}${EARLIER}`;
}

/** The parts of a delivery id. */
export type DeliveryIdParts =
  | { policy: string; kind: 'local' | 'edge' }
  | { policy: string; kind: 'erspan'; node: string };

/** Parses the id of a delivery or of an earlier delivery. Undefined for any other text. */
export function parseDeliveryId(id: string): DeliveryIdParts | undefined {
  // Not by a pattern: some are read for each report of a node.
  const end = id.indexOf('/');
  if (end < 1) {
    return undefined;
  }
  if (id.startsWith('/to/', end)) {
    const node = id.slice(end + 4);
    return node === '' || node.includes('/') ? undefined : { policy: id.slice(0, end), kind: 'erspan', node };
  }
  let kind = id.slice(end + 1);
  for (let times = 0; times < MAX_EARLIER && kind.endsWith(EARLIER); times++) {
    kind = kind.slice(0, -EARLIER.length);
  }
  return kind === 'local' || kind === 'edge' ? { policy: id.slice(0, end), kind } : undefined;
}

/** The termination of ERSPAN from another node. */
export function terminationId(policy: string, from: string): string {
  return `${policy}/from/${from}`;
}

/** The policy of a capture, delivery or termination. Undefined where the text is not such an id. */
export function policyOfId(id: string): string | undefined {
  const end = id.indexOf('/');
  return end < 0 ? undefined : id.slice(0, end);
}
