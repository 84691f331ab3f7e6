/**
 * Computes the desired state of the data plane from a node program and the devices of the node.
 * Pure: no I/O, no clock.
 */
import {
  type Capture,
  type Delivery,
  hookCaptureId,
  type NodeProgram,
  type PolicyPart,
  partsOf,
  remembered,
  type Termination,
  tunnelAddress,
  tunnelMtu,
} from '@mirrorplane/contract';
import type { DeliveryEntry, Hook, HookCapture, TerminationEntry } from '../datapath/datapath.ts';
import { isCable } from '../discovery/device-kinds.ts';
import { copiesRefusalOf, type NodeDevice, refusalOf } from '../discovery/devices.ts';
import { firewallUplinks, planArrivals } from './arrivals.ts';
import { handoverDeliveries, handoverOf } from './handover.ts';
import { problemsOf, throttledByCpus, throttledPolicies, unprotected } from './problems.ts';
import type { PlacedCapture, Reconciled, Surroundings } from './surroundings.ts';
import { tunnelDevice, tunnelDevices, underlayAddress } from './tunnel-ways.ts';

/**
 * 2^32: a packet is copied where a random 32-bit number is below the threshold, so this copies all.
 */
const ALL = 2 ** 32;

/** The TTL of every copy, as COPY_TTL in erspan.h. */
const MAX_TTL = 255;

/** The percent as the number that the data plane compares with: 0 to 2^32. */
export function thresholdOf(percent: number): number {
  return Math.round((percent / 100) * ALL);
}

/**
 * The hook for a direction. The host side of a VM's NIC is the far end of its cable, so it receives
 * the packets that the VM sends. An edge-connected interface is the NIC itself.
 * @param reversed the guest's device is the guest's own end of the cable
 */
export function hookOf(kind: Capture['kind'], direction: 'inbound' | 'outbound', reversed = false): Hook {
  const isOwnEnd = kind === 'edge' || reversed;
  const received = isOwnEnd ? direction === 'inbound' : direction === 'outbound';
  return received ? 'ingress' : 'egress';
}

/** The underlay addresses that the program sends copies to. */
export function erspanAddresses(program: NodeProgram): string[] {
  return program.deliveries.flatMap((delivery) => (delivery.kind === 'erspan' ? [underlayAddress(delivery)] : []));
}

/** The underlay addresses that the program receives copies from. */
export function senderAddresses(program: NodeProgram): string[] {
  return program.terminations.map(underlayAddress);
}

/** Translates a node program into the words of the kernel. */
export function reconcile(program: NodeProgram, around: Surroundings): Reconciled {
  const byInterface = new Map(
    around.devices.flatMap((device) => (device.identity ? [[device.identity.id, device]] : [])),
  );
  const during = handoverDeliveries(program, byInterface);
  const choose = (delivery: string) => during.get(delivery) ?? delivery;
  const handingOver = new Set(program.handingOver);
  const placed: PlacedCapture[] = [];
  const waiting: string[] = [];
  const captures: HookCapture[] = [];
  const take = (capture: Capture) => {
    const device = byInterface.get(capture.source);
    const usable = device && refusalOf(device) === undefined ? device : undefined;
    const delivery = choose(capture.delivery);
    const isResting = usable === undefined && delivery === capture.delivery && !handingOver.has(capture.source);
    const hooks = isResting ? restingCaptures(capture) : hookCaptures({ ...capture, delivery }, usable, handingOver);
    if (device === undefined) {
      waiting.push(capture.id);
    } else {
      placed.push({ capture, device, hooks: usable ? hooks.map((hook) => hook.id) : [] });
    }
    captures.push(...hooks);
  };
  const isMoving = during.size > 0 || handingOver.size > 0;
  for (const part of partsOf(program)) {
    if (isMoving || part.captures.some(({ source }) => byInterface.has(source))) {
      part.captures.forEach(take);
    } else {
      const all = restingPart(part);
      captures.push(...all.hooks);
      waiting.push(...all.waiting);
    }
  }
  const expected = new Set(program.standby.filter(({ role }) => role === 'target').map((item) => item.interface));
  const deliveries = program.deliveries.map((delivery) => {
    const entry = deliveryEntry(delivery, byInterface, around);
    if (entry.kind !== 'local' || delivery.kind !== 'local') {
      return entry;
    }
    const handover = handoverOf(program, delivery.duringHandover, byInterface, during.has(entry.id));
    return { ...entry, ...handover, ...(expected.has(delivery.interface) && { arriving: true }) };
  });
  return {
    state: {
      ...planArrivals(captures, around.links ?? [], around.forwarding ?? [], guestDevices(around)),
      deliveries,
      terminations: program.terminations.flatMap((termination) => terminationEntry(termination, around, choose)),
      mirrorDevice: around.underlay.underlay === undefined ? 0 : around.underlay.ifindex,
      ...(tunnelDevices(around).length > 0 && { tunnels: tunnelDevices(around) }),
      hostAddresses: [...(around.hostAddresses ?? [])],
      physicalDevices: [...physicalDevices(around), ...firewallUplinks(captures, around.links ?? [])],
      copyVlans: program.copyVlans.filter((id) => !toldApart(program).has(id)),
      ...(program.guestCopies && { guestCopies: program.guestCopies }),
      ...(around.maxRate !== undefined && { maxRate: bytesPerSecond(around.maxRate) }),
      protect: around.throttled !== undefined,
      protectCpu: around.cpuThrottled !== undefined,
    },
    placed,
    waiting,
    problems: [
      ...problemsOf(program, around),
      ...throttledPolicies(deliveries, around),
      ...throttledByCpus(program, around),
      ...unprotected(around),
    ],
  };
}

/** VLAN IDs of which something else than the ID tells what is a copy. */
function toldApart({ ownCopyVlans = [], guestCopies = [] }: NodeProgram): ReadonlySet<number> {
  return new Set([...ownCopyVlans, ...guestCopies.map(({ vlanId }) => vlanId)]);
}

function guestDevices({ devices }: Surroundings): ReadonlySet<number> {
  const guests = devices.filter(({ identity }) => identity && identity.kind !== 'edge');
  return new Set(guests.map(({ ifindex }) => ifindex));
}

/** Edges, and NICs that are not declared. */
function physicalDevices({ devices }: Surroundings): number[] {
  return devices
    .filter(({ ethernet, linkType, identity }) => ethernet && (identity?.kind === 'edge' || linkType === ''))
    .map(({ ifindex }) => ifindex);
}

const resting = new WeakMap<Capture, readonly HookCapture[]>();

/**
 * The entries of a capture without a device: of most captures of a pool, in every pass. Nobody
 * changes them, and captures that stay in the program are the same objects.
 */
function restingCaptures(capture: Capture): readonly HookCapture[] {
  const entries = resting.get(capture) ?? hookCaptures(capture, undefined, NOTHING);
  resting.set(capture, entries);
  return entries;
}

/**
 * The entries of a part none of whose sources is here: of most parts of a program. Nobody changes them,
 * and a part that stays in the program is the same object.
 */
const restingPart = remembered(({ captures }: PolicyPart) => ({
  hooks: captures.flatMap(restingCaptures),
  waiting: captures.map(({ id }) => id),
}));

const NOTHING: ReadonlySet<string> = new Set();

function hookCaptures(
  capture: Capture,
  device: NodeDevice | undefined,
  handingOver: ReadonlySet<string>,
): HookCapture[] {
  const directions = capture.direction === 'all' ? (['inbound', 'outbound'] as const) : [capture.direction];
  return directions.map((direction) => ({
    id: hookCaptureId(capture.id, direction),
    policy: capture.policy,
    source: capture.source,
    direction,
    ifindex: device?.ifindex ?? 0,
    ...(device && { mtu: device.mtu }),
    hook: hookOf(capture.kind, direction, device?.reversed),
    threshold: thresholdOf(capture.percent),
    skipVlanId: capture.skipVlanId ?? 0,
    sourceSlot: capture.sourceSlot,
    delivery: capture.delivery,
    edge: capture.kind === 'edge',
    ...(device && standsBy(device) && { standby: true }),
    ...(handingOver.has(capture.source) && { handingOver: true }),
  }));
}

/**
 * Whether packets into the device reach no guest. They are then skipped until a frame of the guest
 * comes.
 */
function standsBy({ guest, reversed, expected, linkType }: NodeDevice): boolean {
  // libvirt holds a macvtap device down while its guest is on another node
  // (qemuInterfaceStopDevice), so no packet passes.
  if (guest !== 'absent' || reversed) {
    return false;
  }
  // A guest at the other end of a cable gets every frame from the first one on, also if it never
  // sends.
  return !(expected && isCable({ linkType }));
}

function bytesPerSecond(megabits: number): number {
  return (megabits * 1_000_000) / 8;
}

function deliveryEntry(
  delivery: Delivery,
  byInterface: ReadonlyMap<string, NodeDevice>,
  around: Surroundings,
): DeliveryEntry {
  const { id, policy } = delivery;
  const budget = delivery.maxRate !== undefined && { maxRate: bytesPerSecond(delivery.maxRate) };
  if (delivery.kind !== 'erspan') {
    const found = byInterface.get(delivery.interface);
    // A device that is down would drop redirected copies without a report.
    const device = found?.up && copiesRefusalOf(found) === undefined ? found : undefined;
    const base = { ...budget, id, policy, ifindex: device?.ifindex ?? 0, mtu: device?.mtu ?? 0 };
    const allow = delivery.kind === 'local' && delivery.allowFeedback && { allowFeedback: true };
    return delivery.kind === 'local'
      ? { ...base, ...allow, kind: 'local' }
      : { ...base, kind: 'edge', vlanId: delivery.vlanId };
  }
  return erspanEntry(delivery, budget, around);
}

function erspanEntry(
  delivery: Extract<Delivery, { kind: 'erspan' }>,
  budget: false | { maxRate: number },
  around: Surroundings,
): DeliveryEntry {
  const { underlay } = around;
  const { id, policy, tunnel } = delivery;
  const { address, destinationMtu, session, generation, secret, remoteMtu, lanes } = delivery;
  const proof = { session, generation, ...(secret !== undefined && { secret }) };
  const base = { ...budget, id, policy, kind: 'erspan', address, ...proof } as const;
  if (underlay.underlay === undefined || !underlay.up) {
    return { ...base, ifindex: 0, mtu: remoteMtu, sourceAddress: '0.0.0.0' };
  }
  const mtu = Math.min(underlay.underlay.mtu, remoteMtu);
  const whole = { ...base, ...(destinationMtu !== undefined && { destinationMtu }), ...(lanes && { lanes }) };
  if (tunnel === undefined) {
    return { ...whole, ifindex: underlay.ifindex, mtu, sourceAddress: underlay.underlay.address };
  }
  return {
    ...whole,
    ifindex: tunnelDevice(tunnel, around),
    carrier: underlay.ifindex,
    mtu: tunnelMtu(mtu),
    sourceAddress: tunnelAddress(tunnel.ownKey),
  };
}

/**
 * The entry of a termination. None without an underlay address of this node, because nothing can be
 * sent to it.
 */
function terminationEntry(
  { delivery, tunnel, ...termination }: Termination,
  around: Surroundings,
  choose: (delivery: string) => string,
): TerminationEntry[] {
  const { maxHops, noWayBack } = around;
  const own = around.underlay.underlay?.address;
  if (own === undefined) {
    return [];
  }
  const ownAddress = tunnel ? tunnelAddress(tunnel.ownKey) : own;
  const entry: TerminationEntry = { ...termination, ownAddress, delivery: choose(delivery) };
  if (tunnel) {
    entry.device = tunnelDevice(tunnel, around);
    entry.carrierAddress = tunnel.endpoint.address;
  }
  if (maxHops !== undefined && termination.secret !== undefined) {
    entry.leastTtl = MAX_TTL - maxHops; // a sender that knows no secret sends with a lower TTL
  }
  if (noWayBack?.has(underlayAddress({ ...termination, tunnel }))) {
    entry.hasWayBack = false;
  }
  return [entry];
}
