/** From a node program and what is there to the state that the data plane shall have. Pure: no I/O, no clock. */
import {
  type Capture,
  type CaptureStatus,
  type Delivery,
  type HandoverDelivery,
  hookCaptureId,
  type NodeProblem,
  type NodeProgram,
  type Termination,
} from '@mirrorplane/contract';
import type {
  CaptureRefusal,
  DatapathState,
  DeliveryEntry,
  Hook,
  HookCapture,
  LocalDeliveryEntry,
  TerminationEntry,
} from '../datapath/datapath.ts';
import { isCable } from '../discovery/device-kinds.ts';
import { copiesRefusalOf, type NodeDevice, refusalOf } from '../discovery/devices.ts';
import type { ForwardingEntry } from '../discovery/forwarding.ts';
import type { NextHop } from '../discovery/neighbours.ts';
import type { UnderlayState } from '../discovery/underlay.ts';
import type { Link } from '../netlink/link.ts';
import { firewallUplinks, planArrivals } from './arrivals.ts';

/** What a node program is matched with. */
export interface Surroundings {
  devices: readonly NodeDevice[];
  underlay: UnderlayState;
  /** By ERSPAN address; an address that is absent has not been looked up yet. */
  nextHops: ReadonlyMap<string, NextHop>;
  /** All devices of the node, bridges among them; left out: unicast is captured at the devices of guests alone. */
  links?: readonly Link[];
  /** The bridges' forwarding tables. */
  forwarding?: readonly ForwardingEntry[];
  /** Addresses of the node itself. */
  hostAddresses?: readonly string[];
  /** Mbit/s of copies that the node may make. */
  maxRate?: number;
  /** ifindexes of devices where copies are throttled for service traffic; left out: none shall. */
  throttled?: ReadonlySet<number>;
  /** ifindexes of devices whose service traffic nothing protects from copies. */
  unprotected?: ReadonlySet<number>;
  /** Copies are throttled because packets are lost for want of CPU; left out: CPUs are not followed. */
  cpuThrottled?: boolean | undefined;
}

/** A capture of the program with the device it is on. */
export interface PlacedCapture {
  capture: Capture;
  device: NodeDevice;
  /** ids of its entries in the data path: one, or two for direction `all`. Empty: the device cannot be mirrored. */
  hooks: string[];
}

/** What the data plane shall do, and what stands in the way. */
export interface Reconciled {
  state: DatapathState;
  placed: PlacedCapture[];
  /** ids of the captures whose interface has no device here. */
  waiting: string[];
  problems: NodeProblem[];
}

/** 2^32: a packet is copied where a random 32-bit number is below the threshold, so this copies all. */
const ALL = 2 ** 32;

/** The share of packets as the number that the data plane compares with: 0 to 2^32. */
export function thresholdOf(percent: number): number {
  return Math.round((percent / 100) * ALL);
}

/**
 * Where a direction is seen on the node. The host side of a VM's NIC is the far end of its cable: what the VM sends
 * comes in there. An edge-connected interface is the NIC itself.
 * @param reversed the device of a guest is the guest's own end of the cable
 */
export function hookOf(kind: Capture['kind'], direction: 'inbound' | 'outbound', reversed = false): Hook {
  const isOwnEnd = kind === 'edge' || reversed;
  const received = isOwnEnd ? direction === 'inbound' : direction === 'outbound';
  return received ? 'ingress' : 'egress';
}

/** The addresses that the program sends ERSPAN to. */
export function erspanAddresses(program: NodeProgram): string[] {
  return program.deliveries.flatMap((delivery) => (delivery.kind === 'erspan' ? [delivery.address] : []));
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
  const captures = program.captures.flatMap((capture) => {
    const device = byInterface.get(capture.source);
    const usable = device && refusalOf(device) === undefined ? device : undefined;
    const hooks = hookCaptures({ ...capture, delivery: choose(capture.delivery) }, usable, handingOver);
    if (device === undefined) waiting.push(capture.id);
    else placed.push({ capture, device, hooks: usable ? hooks.map((hook) => hook.id) : [] });
    return hooks;
  });
  const expected = new Set(program.standby.filter(({ role }) => role === 'target').map((item) => item.interface));
  const deliveries = program.deliveries.map((delivery) => {
    const entry = deliveryEntry(delivery, byInterface, around);
    if (entry.kind !== 'local' || delivery.kind !== 'local') return entry;
    const handover = handoverOf(program, delivery.duringHandover, byInterface, during.has(entry.id));
    return { ...entry, ...handover, ...(expected.has(delivery.interface) && { arriving: true }) };
  });
  return {
    state: {
      ...planArrivals(captures, around.links ?? [], around.forwarding ?? [], guestDevices(around)),
      deliveries,
      terminations: program.terminations.flatMap((termination) => terminationEntry(termination, around, choose)),
      mirrorDevice: around.underlay.underlay === undefined ? 0 : around.underlay.ifindex,
      hostAddresses: [...(around.hostAddresses ?? [])],
      physicalDevices: [...physicalDevices(around), ...firewallUplinks(captures, around.links ?? [])],
      copyVlans: program.copyVlans.filter((id) => !program.ownCopyVlans?.includes(id)),
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

/** Which delivery is used in place of one of a migrating destination: that depends on where the guest is seen. */
function handoverDeliveries(
  program: NodeProgram,
  byInterface: ReadonlyMap<string, NodeDevice>,
): ReadonlyMap<string, string> {
  const left = new Set(program.standby.filter(({ role }) => role === 'origin').map((item) => item.interface));
  return new Map(
    program.deliveries.flatMap(({ id, duringHandover: other }) => {
      if (other === undefined) return [];
      const device = byInterface.get(other.interface);
      const guest = device === undefined ? 'absent' : device.guest;
      // A guest that has stopped here and does not run there yet: copies are held (`handoverOf`). QEMU may throw away what it
      // finds in a tap before its guest runs.
      const between = device?.linkType === 'tun' && guest === 'absent' && !left.has(other.interface);
      if (between) return [];
      return guest === 'absent' ? [[id, other.delivery] as const] : [];
    }),
  );
}

function guestDevices({ devices }: Surroundings): ReadonlySet<number> {
  const guests = devices.filter(({ identity }) => identity && identity.kind !== 'edge');
  return new Set(guests.map(({ ifindex }) => ifindex));
}

/** Edges, and NICs that nobody has declared. */
function physicalDevices({ devices }: Surroundings): number[] {
  return devices
    .filter(({ ethernet, linkType, identity }) => ethernet && (identity?.kind === 'edge' || linkType === ''))
    .map(({ ifindex }) => ifindex);
}

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

/** Whether what is sent into the device reaches no guest, so that it is left out until a frame of the guest comes. */
function standsBy({ guest, reversed, expected, linkType }: NodeDevice): boolean {
  // libvirt holds a macvtap device down while its guest is elsewhere (qemuInterfaceStopDevice), so nothing passes there.
  if (guest !== 'absent' || reversed) return false;
  // A guest at the other end of a cable gets all from the first frame on, also one that never sends.
  return !(expected && isCable({ linkType }));
}

function bytesPerSecond(megabits: number): number {
  return (megabits * 1_000_000) / 8;
}

function deliveryEntry(
  delivery: Delivery,
  byInterface: ReadonlyMap<string, NodeDevice>,
  { underlay, nextHops }: Surroundings,
): DeliveryEntry {
  const { id, policy } = delivery;
  const budget = delivery.maxRate !== undefined && { maxRate: bytesPerSecond(delivery.maxRate) };
  if (delivery.kind !== 'erspan') {
    const found = byInterface.get(delivery.interface);
    // A device that is down would lose what it is handed without a word, when a redirect takes it there.
    const device = found?.up && copiesRefusalOf(found) === undefined ? found : undefined;
    const base = { ...budget, id, policy, ifindex: device?.ifindex ?? 0, mtu: device?.mtu ?? 0 };
    const allow = delivery.kind === 'local' && delivery.allowFeedback && { allowFeedback: true };
    return delivery.kind === 'local'
      ? { ...base, ...allow, kind: 'local' }
      : { ...base, kind: 'edge', vlanId: delivery.vlanId };
  }
  const { address, destinationMtu, session, generation, remoteMtu } = delivery;
  const base = { ...budget, id, policy, kind: 'erspan', address, session, generation } as const;
  if (underlay.underlay === undefined || !underlay.up)
    return { ...base, ifindex: 0, mtu: remoteMtu, sourceAddress: '0.0.0.0' };
  const hop = nextHops.get(address);
  return {
    ...base,
    ifindex: underlay.ifindex,
    mtu: Math.min(underlay.underlay.mtu, remoteMtu),
    ...(destinationMtu !== undefined && { destinationMtu }),
    sourceAddress: underlay.underlay.address,
    ...(hop?.state === 'resolved' ? { nextHop: { sourceMac: hop.sourceMac, destinationMac: hop.destinationMac } } : {}),
  };
}

/** Of a destination that is about to leave this node, or has. Only of a tap the kernel tells what its guest reads. */
function handoverOf(
  { deliveries }: NodeProgram,
  during: HandoverDelivery | undefined,
  byInterface: ReadonlyMap<string, NodeDevice>,
  released: boolean,
): Pick<LocalDeliveryEntry, 'handover'> {
  if (during === undefined) return {};
  const device = byInterface.get(during.interface);
  const relay = deliveries.find(({ id }) => id === during.delivery);
  if (relay?.kind !== 'erspan' || (device !== undefined && device.linkType !== 'tun')) return {};
  return { handover: { interface: during.interface, target: relay.node, relay: relay.id, released } };
}

/** None without an address of this node: nothing can be sent to it. */
function terminationEntry(
  { delivery, ...termination }: Termination,
  { underlay }: Surroundings,
  choose: (delivery: string) => string,
): TerminationEntry[] {
  const ownAddress = underlay.underlay?.address;
  return ownAddress === undefined ? [] : [{ ...termination, ownAddress, delivery: choose(delivery) }];
}

function problemsOf(program: NodeProgram, { underlay, nextHops, devices }: Surroundings): NodeProblem[] {
  const problems: NodeProblem[] = [];
  const erspan = program.deliveries.filter((delivery) => delivery.kind === 'erspan');
  // A device that was asked for and is not there is said before a policy needs it.
  const asked = underlay.underlay === undefined && underlay.asked;
  if (asked || erspan.length > 0 || program.terminations.length > 0) {
    if (underlay.underlay === undefined) problems.push({ code: 'NODE_UNDERLAY_UNKNOWN', message: underlay.why });
    else if (!underlay.up) {
      problems.push({ code: 'DEVICE_DOWN', message: `the mirror device ${underlay.underlay.device} is down` });
    }
  }
  for (const { address, node, policy } of underlay.underlay === undefined ? [] : erspan) {
    const hop = nextHops.get(address);
    if (hop?.state === 'noRoute') problems.push({ code: 'ROUTE_MISSING', message: `node ${node}: ${hop.why}`, policy });
    if (hop?.state === 'unresolved') {
      const via = hop.via === address ? '' : ` by ${hop.via}`;
      problems.push({
        code: 'NEIGHBOUR_UNKNOWN',
        message: `node ${node} (${address}${via}) does not answer to ARP on ${underlay.underlay?.device}`,
        policy,
      });
    }
  }
  for (const delivery of program.deliveries) {
    if (delivery.kind === 'erspan') continue;
    const device = devices.find((candidate) => candidate.identity?.id === delivery.interface);
    const base = { policy: delivery.policy, interface: delivery.interface };
    if (device === undefined || refusalOf(device) !== undefined) continue; // said with the devices, whatever uses it
    const refused = copiesRefusalOf(device);
    if (refused !== undefined) problems.push({ code: 'DEVICE_UNSUPPORTED', message: refused, ...base });
    else if (!device.up) problems.push({ code: 'DEVICE_DOWN', message: `${device.name} is down`, ...base });
  }
  return problems;
}

/** Which policies have copies throttled, so that service traffic has its device to itself. */
function throttledPolicies(deliveries: readonly DeliveryEntry[], { throttled, devices }: Surroundings): NodeProblem[] {
  const concerned = deliveries.filter(({ kind, ifindex }) => kind !== 'local' && throttled?.has(ifindex));
  return concerned.map(({ policy, ifindex }) => {
    const name = devices.find((device) => device.ifindex === ifindex)?.name ?? `device ${ifindex}`;
    const message = `service traffic leaves ${name} too little room for all copies, which are dropped as overBudget`;
    return { code: 'UPLINK_BUSY', message, policy };
  });
}

/** Devices by which copies and service traffic leave, and of which nobody knows what they can send: of the node alone. */
function unprotected({ unprotected: ifindexes = new Set(), devices, underlay }: Surroundings): NodeProblem[] {
  return [...ifindexes].map((ifindex) => {
    const mirror =
      underlay.underlay !== undefined && underlay.ifindex === ifindex ? underlay.underlay.device : undefined;
    const name = mirror ?? devices.find((device) => device.ifindex === ifindex)?.name ?? `device ${ifindex}`;
    const shape = `give it a queue of the rate that it can send, as with "tc qdisc replace dev ${name} root tbf rate 1gbit burst 256k latency 10ms"`;
    const remedy = mirror === undefined ? shape : `say what it can send with --uplink-rate, or ${shape}`;
    const message = `${name} carries service traffic beside copies, and neither its speed nor a queue is known, so copies do not give way: ${remedy}`;
    return { code: 'UPLINK_UNPROTECTED', message };
  });
}

/** Which policies have copies throttled, so that originals have the CPUs to themselves: all that are captured here. */
function throttledByCpus({ captures }: NodeProgram, { cpuThrottled }: Surroundings): NodeProblem[] {
  if (!cpuThrottled) return [];
  const message = 'packets are lost for want of CPU time: copies are throttled, and dropped as overBudget';
  return [...new Set(captures.map(({ policy }) => policy))].map((policy) => ({ code: 'CPU_BUSY', message, policy }));
}

/** What to report of every capture that has a device here, after the data path has taken the state. */
export function captureStatuses(reconciled: Reconciled, refused: readonly CaptureRefusal[]): CaptureStatus[] {
  const refusals = new Map(refused.map((refusal) => [refusal.id, refusal]));
  return reconciled.placed.map(({ capture, device, hooks }) => {
    const base = { capture: capture.id, device: device.name };
    if (hooks.length === 0) {
      const message = refusalOf(device) ?? '';
      return { ...base, state: 'refused', code: 'DEVICE_UNSUPPORTED', message };
    }
    const refusedHooks = hooks.flatMap((id) => refusals.get(id) ?? []);
    const [refusal] = refusedHooks;
    if (refusal === undefined) return { ...base, state: 'capturing' };
    const { code, arrives } = refusal;
    const isPart = (arrives || refusedHooks.length < hooks.length) && !refusedHooks.some(({ gone }) => gone);
    const message = arrives
      ? `only frames whose way the bridge knows are captured, where they enter it, and none that it floods: ${refusal.message}`
      : refusal.message;
    return { ...base, state: isPart ? 'capturing' : 'refused', code, message };
  });
}
