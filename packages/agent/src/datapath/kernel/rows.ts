/** Translates the state of a data path into rows of maps and programs at hooks. */
import { AROUND_FRAME, ERSPAN_OVERHEAD, VLAN_TAG, WIREGUARD_OVERHEAD } from '@mirrorplane/contract';
import type {
  DatapathState,
  DeliveryEntry,
  ErspanDeliveryEntry,
  Hook,
  HookCapture,
  LocalDeliveryEntry,
} from '../datapath.ts';
import {
  COPY_VLAN_SET,
  encodeArrivalKey,
  encodeArrivalPort,
  encodeBudget,
  encodeCapture,
  encodeCaptureKey,
  encodeCopyMacs,
  encodeDelivery,
  encodeDestination,
  encodeHostAddress,
  encodePeerKey,
  encodePlace,
  encodeTermination,
  encodeTerminationKey,
  encodeVlanSet,
  FIRST_DEVICE_BUDGET,
  LAYOUT,
  u32Key,
} from './layout.ts';
import { type Attachment, PROGRAMS, type ProgramName } from './links.ts';
import type { LookSlot } from './look-layout.ts';
import { buildLooks } from './look-rows.ts';

import type { SlotKind } from './slots.ts';
import type { Rows } from './table-writer.ts';

/** Returns the counter slot of an identity. */
export type TakeSlot = (kind: SlotKind, id: string) => number;

/** A program at a hook, and the parts that need it. */
export interface Placed {
  attachment: Attachment;
  capture?: HookCapture;
  /** ifindex of the bridge whose arrivals are captured here. */
  bridge?: number;
  /** Policies whose copies go into the device. Packets of its guest are checked here. */
  destinationOf?: readonly string[];
  /** ids of looks that look here. */
  looks?: readonly string[];
}

/** The content of every map except the arrivals, and all programs to attach. */
export interface DatapathRows {
  captures: Rows;
  deliveries: Rows;
  terminations: Rows;
  peers: Rows;
  arrivalPorts: Rows;
  destinations: Rows;
  hostAddresses: Rows;
  copyVlans: Rows;
  copyMacs: Rows;
  place: Rows;
  /** All budgets except the node's. */
  budgets: Map<string, Buffer>;
  physicalDevices: Rows;
  looks: Rows;
  lookHooks: Rows;
  lookGuests: Rows;
  attachments: Placed[];
}

/** The information that `buildRows` needs in addition to the state. */
export interface Around {
  take: TakeSlot;
  /** ifindex of the helper device; 0: there is none. */
  helper: number;
  /** Inode of the network namespace. */
  netns: number;
  /** ifindex of the segmenter. 0: there is none. */
  segmenter: number;
  /** Copies for guests that are about to leave can be held. */
  holding: boolean;
  /** ifindexes of destinations' devices with guests that have sent copies on lately. */
  sending: ReadonlySet<number>;
  /**
   * How often devices have become destinations, or deliveries have changed whether they allow
   * feedback, including now. The rows are those of the state.
   */
  begun(destinations: Rows, deliveries: Rows): number;
  /** ifindexes of arrival ports where foreign filters run after ours. */
  overruled: ReadonlySet<number>;
  /** Slots and serial numbers of the looks of the state, by id. */
  looks: ReadonlyMap<string, LookSlot>;
}

/** The attachment of `transform`. */
export function transformAt(helper: number): Attachment {
  return { ifindex: helper, hook: 'egress', program: PROGRAMS.transform };
}

/** The program that captures where frames enter a bridge. */
export function arriveAt(hook: Hook): ProgramName {
  return hook === 'ingress' ? PROGRAMS.arriveIngress : PROGRAMS.arriveEgress;
}

const PRESENT = u32Key(1);
const NOTHING_REFUSED = Buffer.alloc(LAYOUT.peer.size);

/** A state with the information about it that several tables need. */
interface Building {
  state: DatapathState;
  around: Around;
  destinations: Destinations;
  /** The delivery with this id. @throws Error if there is none */
  need: (what: string, id: string) => DeliveryEntry;
}

/** @throws Error if a capture or termination refers to an absent delivery */
export function buildRows(state: DatapathState, around: Around): DatapathRows {
  const { take, helper, netns, segmenter, overruled } = around;
  // Also without captures, because a budget stays in force.
  if (state.protect) {
    for (const delivery of state.deliveries.filter(leaves)) {
      take('device', String(uplinkOf(delivery)));
    }
  }
  const destinations = destinationsOf(state);
  const building = { state, around, destinations, need: deliveriesOf(state) };
  const { captures, attachments } = captureParts(building);
  const destinationRows = rows([...destinations], ([ifindex, { arriving }]) => [
    u32Key(ifindex),
    encodeDestination(arriving),
  ]);
  const looks = buildLooks(state.looks ?? [], around.looks);
  const deliveryRows = rows(state.deliveries, (delivery) => {
    const slot = take('delivery', delivery.id);
    const relay = delivery.kind === 'local' ? delivery.handover?.relay : undefined;
    const relaySlot = relay === undefined ? 0 : take('delivery', relay);
    return [u32Key(slot), encodeDelivery(delivery, slot, relaySlot, segmenter)];
  });
  return {
    captures,
    attachments: [...pathAttachments(building), ...attachments, ...looks.attachments],
    ...looks.rows,
    deliveries: deliveryRows,
    terminations: terminationRows(building),
    peers: rows(senderAddresses(state), (address) => [encodePeerKey(address), NOTHING_REFUSED]),
    arrivalPorts: rows(state.arrivalPorts, ({ ifindex, bridge, uplink = true }) => [
      u32Key(ifindex),
      encodeArrivalPort(bridge, {
        uplink,
        feedback: destinations.has(ifindex),
        overruled: overruled.has(ifindex),
      }),
    ]),
    destinations: destinationRows,
    budgets: budgetRows(state, take),
    hostAddresses: rows(state.hostAddresses, (address) => [encodeHostAddress(address), PRESENT]),
    physicalDevices: rows(state.physicalDevices, (ifindex) => [u32Key(ifindex), PRESENT]),
    place: new Map([
      [
        u32Key(0).toString('hex'),
        encodePlace({
          ...{ helper, netns, begun: around.begun(destinationRows, deliveryRows) },
          tunnels: state.tunnels ?? [],
        }),
      ],
    ]),
    copyVlans: rows(Object.entries(copyVlanSets(state)), ([set, ids]) => [
      u32Key(COPY_VLAN_SET[set as keyof typeof COPY_VLAN_SET]),
      encodeVlanSet(ids),
    ]),
    copyMacs: rows((state.guestCopies ?? []).flatMap(encodeCopyMacs), (row) => row),
  };
}

function deliveriesOf({ deliveries }: DatapathState): Building['need'] {
  const deliveryOf = new Map(deliveries.map((delivery) => [delivery.id, delivery]));
  return (what, id) => {
    const delivery = deliveryOf.get(id);
    if (!delivery) {
      throw new Error(`${what} names delivery ${id}, which does not exist`);
    }
    return delivery;
  };
}

/** The programs of the path that copies take, and of destinations. */
function pathAttachments({ state, around: { helper, holding, sending }, destinations }: Building): Placed[] {
  const attachments: Placed[] = helper === 0 ? [] : [{ attachment: transformAt(helper) }];
  if (holding) {
    attachments.push({ attachment: { ifindex: helper, hook: 'ingress', program: PROGRAMS.release } });
  }
  for (const ifindex of [state.mirrorDevice, ...(state.tunnels ?? [])].filter((device) => device !== 0)) {
    attachments.push({ attachment: { ifindex, hook: 'ingress', program: PROGRAMS.terminate } });
  }
  for (const [ifindex, { policies: destinationOf }] of destinations) {
    if (sending.has(ifindex)) {
      attachments.push({ attachment: { ifindex, hook: 'egress', program: PROGRAMS.feedbackEgress }, destinationOf });
    }
    attachments.push({ attachment: { ifindex, hook: 'ingress', program: PROGRAMS.feedbackIngress }, destinationOf });
  }
  return attachments;
}

/** The rows of captures, and the programs that capture. */
function captureParts(building: Building): { captures: Map<string, Buffer>; attachments: Placed[] } {
  const { state, around, destinations, need } = building;
  const overruledBridges = new Set(
    (state.arrivalPorts ?? []).filter(({ ifindex }) => around.overruled.has(ifindex)).map(({ bridge }) => bridge),
  );
  const captures = new Map<string, Buffer>();
  const attachments: Placed[] = [];
  for (const capture of state.captures) {
    const delivery = need(`capture ${capture.id}`, capture.delivery);
    const { ifindex, hook } = capture;
    if (ifindex === 0) {
      continue;
    }
    const row = captureRow(capture, delivery, around, {
      protect: state.protect ?? false,
      feedback: destinations.has(ifindex),
      overruled: hook === 'egress' && overruledBridges.has(capture.arrivalBridge ?? 0),
    });
    captures.set(encodeCaptureKey(ifindex, hook).toString('hex'), row);
    const program = hook === 'ingress' ? PROGRAMS.captureIngress : PROGRAMS.captureEgress;
    attachments.push({ attachment: { ifindex, hook, program }, capture });
  }
  // Arrival ports come after the captures. Each attach may wait for the kernel, and packets are
  // missed until the guest's own device is captured.
  for (const { ifindex, hook, bridge } of state.arrivalPorts ?? []) {
    attachments.push({ attachment: { ifindex, hook, program: arriveAt(hook) }, bridge });
  }
  attachments.push(...watchStandby(building, captures));
  return { captures, attachments };
}

/**
 * If only traffic to a guest is captured, the guest's own first frame must still be seen. Adds rows
 * to `captures` for that. Returns the programs.
 */
function watchStandby({ state, around, destinations, need }: Building, captures: Map<string, Buffer>): Placed[] {
  const standby = state.captures.filter(({ ifindex, hook, standby: is }) => is && ifindex && hook === 'egress');
  return standby.flatMap((capture): Placed[] => {
    const { ifindex } = capture;
    const key = encodeCaptureKey(ifindex, 'ingress').toString('hex');
    if (captures.has(key)) {
      return [];
    }
    const row = captureRow(capture, need(capture.id, capture.delivery), around, {
      protect: state.protect ?? false,
      feedback: destinations.has(ifindex),
      watch: true,
    });
    captures.set(key, row);
    return [{ attachment: { ifindex, hook: 'ingress', program: PROGRAMS.captureIngress }, capture }];
  });
}

function terminationRows({ state, around: { take, holding }, need }: Building): Rows {
  return rows(state.terminations, (termination) => {
    const { id, address, session, delivery, device = state.mirrorDevice } = termination;
    const end = need(`termination ${id}`, delivery);
    return [
      encodeTerminationKey(address, session, device),
      encodeTermination(termination, end, {
        slot: take('termination', id),
        deliverySlot: take('delivery', end.id),
        hold: holding && isHeld(end),
        device,
      }),
    ];
  });
}

/** Addresses that no ERSPAN is believed of unless it belongs to a termination. */
function senderAddresses({ terminations }: DatapathState): string[] {
  return terminations.flatMap(({ address, carrierAddress }) => [address, carrierAddress ?? address]);
}

/** Addresses of guests by port, without bridges where not every entry is captured. */
export function arrivalRows({ arrivals }: DatapathState, unwatched: ReadonlySet<number>): Rows {
  const watched = arrivals?.filter(({ bridge }) => !unwatched.has(bridge));
  return rows(watched, ({ bridge, mac, ifindex }) => [encodeArrivalKey(bridge, mac), u32Key(ifindex)]);
}

/** Devices that copies are delivered into, by ifindex, with the policies of these copies. */
type Destinations = ReadonlyMap<number, { policies: readonly string[]; arriving: boolean }>;

function destinationsOf({ deliveries }: DatapathState): Destinations {
  const local = deliveries.filter((delivery) => delivery.kind === 'local' && delivery.ifindex !== 0);
  const byDevice = Map.groupBy(local as LocalDeliveryEntry[], ({ ifindex }) => ifindex);
  return new Map(
    [...byDevice].map(([ifindex, group]) => {
      const policies = group.map(({ policy }) => policy);
      return [ifindex, { policies, arriving: group.some(({ arriving }) => arriving) }];
    }),
  );
}

function copyVlanSets(state: DatapathState): Record<keyof typeof COPY_VLAN_SET, number[]> {
  const guests = (state.guestCopies ?? []).map(({ vlanId }) => vlanId);
  return { others: state.copyVlans ?? [], node: ownVlans(state), guests };
}

/** VLAN IDs that edges of this node push on copies. */
function ownVlans({ deliveries }: DatapathState): number[] {
  return deliveries.flatMap((delivery) => (delivery.kind === 'edge' ? [delivery.vlanId] : []));
}

function rows<T>(
  entries: readonly T[] | undefined,
  encode: (entry: T) => [key: Buffer, value: Buffer],
): Map<string, Buffer> {
  return new Map(
    (entries ?? []).map((entry) => {
      const [key, value] = encode(entry);
      return [key.toString('hex'), value];
    }),
  );
}

function captureRow(
  capture: HookCapture,
  delivery: DeliveryEntry,
  { take, helper, holding }: Around,
  {
    protect,
    feedback,
    overruled = false,
    watch = false,
  }: { protect: boolean; feedback: boolean; overruled?: boolean; watch?: boolean },
): Buffer {
  const direct = isDirect(capture, delivery, helper);
  return encodeCapture({
    threshold: capture.threshold,
    slot: take('capture', capture.id),
    delivery: take('delivery', delivery.id),
    outIfindex: direct ? delivery.ifindex : helper,
    directMtu: direct ? delivery.mtu : 0,
    erspanIndex: (capture.sourceSlot << 1) | (capture.direction === 'outbound' ? 1 : 0),
    skipVlanId: capture.skipVlanId,
    flags: [
      ...(capture.edge ? (['edge'] as const) : []),
      ...(capture.standby ? (['standby'] as const) : []),
      ...(watch ? (['watch'] as const) : []),
      ...(capture.handingOver ? (['handover'] as const) : []),
      ...(feedback ? (['feedback'] as const) : []),
      ...(overruled ? (['overruled'] as const) : []),
      ...(holding && direct && isHeld(delivery) ? (['hold'] as const) : []),
    ],
    budget: delivery.maxRate === undefined ? 0 : budgetKey(take('delivery', delivery.id)),
    deviceBudget: protect && leaves(delivery) ? deviceBudgetKey(take('device', String(uplinkOf(delivery)))) : 0,
    overhead: OVERHEAD[delivery.kind] + (isEncrypted(delivery) ? WIREGUARD_OVERHEAD : 0),
  });
}

/**
 * Whether copies go to the device directly. A local delivery does not change the packet, so it
 * needs no helper device. If the destination has a smaller MTU than the source, TCP must be cut,
 * which needs the helper device. Held copies are never changed.
 */
function isDirect({ mtu = 0 }: HookCapture, delivery: DeliveryEntry, helper: number): boolean {
  if (delivery.kind !== 'local' || delivery.ifindex === 0) {
    return false;
  }
  return helper === 0 || mtu <= delivery.mtu || isHeld(delivery);
}

function isHeld(delivery: DeliveryEntry): boolean {
  return delivery.kind === 'local' && delivery.handover !== undefined;
}

/** Bytes on the wire that a copy needs in addition to its original. */
const OVERHEAD = {
  local: 0,
  edge: VLAN_TAG + AROUND_FRAME,
  erspan: ERSPAN_OVERHEAD + AROUND_FRAME,
} as const;

/**
 * Whether copies of this delivery leave the node by a device that may also carry service traffic.
 */
export function leaves({ kind, ifindex }: DeliveryEntry): boolean {
  return kind !== 'local' && ifindex !== 0;
}

/** ifindex of the device by which copies leave the node, below a tunnel too. 0: it is absent. */
export function uplinkOf(delivery: DeliveryEntry): number {
  return isEncrypted(delivery) ? delivery.carrier : delivery.ifindex;
}

function isEncrypted(delivery: DeliveryEntry): delivery is ErspanDeliveryEntry & { carrier: number } {
  return delivery.kind === 'erspan' && delivery.carrier !== undefined;
}

/** Key of the budget of a device, by its slot. */
export function deviceBudgetKey(slot: number): number {
  return FIRST_DEVICE_BUDGET + slot;
}

/** Key of the budget of a policy, by the slot of its delivery. Key 0 is the node's. */
export function budgetKey(deliverySlot: number): number {
  return deliverySlot + 1;
}

function budgetRows(state: DatapathState, take: TakeSlot): Map<string, Buffer> {
  const budgets = state.deliveries.flatMap(({ id, maxRate }): [number, number][] =>
    maxRate === undefined ? [] : [[budgetKey(take('delivery', id)), maxRate]],
  );
  return rows(budgets, ([key, rate]) => [u32Key(key), encodeBudget(rate)]);
}
