/**
 * Ids of the parts of a node program. They are text with a structure, so they are made and taken apart here alone. The uid of
 * a policy has no "/"; the id of an interface may have several.
 */
import type { TrafficDirection } from './policy.ts';

/** A capture: a source of a policy. The same on every node. */
export function captureId(policy: string, source: string): string {
  return `${policy}/${source}`;
}

/** One direction of a capture, as the data plane of a node has it. */
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

/** What a delivery was before a change, while senders may still use it. `delivery` is no ERSPAN delivery. */
export function earlierDeliveryId(delivery: string): string {
  return `${delivery}/before`;
}

/** What an id of a delivery says. */
export type DeliveryIdParts =
  | { policy: string; kind: 'local' | 'edge' }
  | { policy: string; kind: 'erspan'; node: string };

/** Takes the id of a delivery apart, also of an earlier one. Undefined where it is none. */
export function parseDeliveryId(id: string): DeliveryIdParts | undefined {
  const [, policy, kind, node] = /^([^/]+)\/(?:(local|edge)(?:\/before)?|to\/([^/]+))$/.exec(id) ?? [];
  if (policy === undefined) {
    return undefined;
  }
  return node === undefined ? { policy, kind: kind as 'local' | 'edge' } : { policy, kind: 'erspan', node };
}

/** The termination of ERSPAN from another node. */
export function terminationId(policy: string, from: string): string {
  return `${policy}/from/${from}`;
}

/** The policy that a capture, delivery or termination is of. Undefined where it is no id of one. */
export function policyOfId(id: string): string | undefined {
  const end = id.indexOf('/');
  return end < 0 ? undefined : id.slice(0, end);
}
