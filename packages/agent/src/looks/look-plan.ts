/** Where looks look: from interfaces to devices, hooks and ports of bridges. Pure. */
import type { CompiledWords, CopyFate, LookPlace, NodeProgram } from '@mirrorplane/contract';
import type { Hook, LookEntry, LookGap } from '../datapath/datapath.ts';
import { type NodeDevice, refusalOf } from '../discovery/devices.ts';
import { planArrivals } from '../reconcile/arrivals.ts';
import { hookOf } from '../reconcile/reconcile.ts';
import type { Surroundings } from '../reconcile/surroundings.ts';

/** What a look wants to see. */
export interface LookWish {
  id: string;
  /** ids of interfaces, or of the policy whose sources are meant. */
  of: { interfaces: readonly string[] } | { policy: string };
  words: CompiledWords;
  /** Default all. */
  fates?: readonly CopyFate[];
  /** Bytes of a packet at most. */
  length: number;
  /** Packets, and bytes of records, a second. */
  packetRate: number;
  byteRate: number;
  /** Milliseconds of CLOCK_MONOTONIC. */
  endsAt: number;
}

/** What `planLooks` finds. */
export interface LookPlan {
  looks: LookEntry[];
  /** Interfaces with a device that no look can see. */
  unseen: LookGap[];
}

type Around = Pick<Surroundings, 'devices' | 'links' | 'forwarding'>;

/** A direction of an interface at its device. */
interface LookedAt {
  ifindex: number;
  hook: Hook;
  edge: boolean;
  place: LookPlace;
}

/** The looks as the data path wants them. An interface without a device here is left out. */
export function planLooks(wishes: readonly LookWish[], program: NodeProgram, around: Around): LookPlan {
  const plans = wishes.map((wish) => ({ wish, devices: devicesOf(wish, program, around) }));
  return {
    looks: plans.map(({ wish, devices }) => entryOf(wish, devices.filter(isUsable), around)),
    unseen: plans.flatMap(({ wish: { id }, devices }) => devices.flatMap((device) => gapOf(id, device))),
  };
}

function devicesOf({ of }: LookWish, { captures }: NodeProgram, { devices }: Around): NodeDevice[] {
  const ids =
    'interfaces' in of
      ? of.interfaces
      : captures.filter(({ policy }) => policy === of.policy).map((item) => item.source);
  const wanted = new Set(ids);
  return devices.filter(({ identity }) => identity && wanted.has(identity.id));
}

const isUsable = (device: NodeDevice) => refusalOf(device) === undefined;

function gapOf(look: string, device: NodeDevice): LookGap[] {
  const message = refusalOf(device);
  return message === undefined
    ? []
    : (['ingress', 'egress'] as const).map((hook) => ({ look, ifindex: device.ifindex, hook, message }));
}

function entryOf({ of: _, ...wish }: LookWish, devices: readonly NodeDevice[], around: Around): LookEntry {
  const lookedAt = devices.flatMap(directionsOf);
  const guests = new Set(lookedAt.filter(({ edge }) => !edge).map(({ ifindex }) => ifindex));
  const { arrivalPorts, arrivals } = planArrivals(lookedAt, around.links ?? [], around.forwarding ?? []);
  return {
    ...wish,
    hooks: lookedAt.map(({ ifindex, hook, place }) => ({ ifindex, hook, place })),
    ports: arrivalPorts.map(({ ifindex, hook, bridge }) => ({ ifindex, hook, bridge })),
    guests: arrivals.filter(({ ifindex }) => guests.has(ifindex)),
    ...(isOnOpenVswitch(devices, around) && { isOnOpenVswitch: true }),
  };
}

function isOnOpenVswitch(devices: readonly NodeDevice[], { links = [] }: Around): boolean {
  const byIfindex = new Map(links.map((link) => [link.ifindex, link]));
  return devices.some(({ ifindex }) => {
    const { master = 0 } = byIfindex.get(ifindex) ?? {};
    return byIfindex.get(master)?.linkType === 'openvswitch';
  });
}

/** What a guest is sent is delivered at its device. What an edge receives arrives there. */
function directionsOf({ ifindex, identity, reversed }: NodeDevice): LookedAt[] {
  const { kind } = identity!;
  const edge = kind === 'edge';
  return [
    { ifindex, edge, hook: hookOf(kind, 'outbound', reversed), place: 'sent' },
    { ifindex, edge, hook: hookOf(kind, 'inbound', reversed), place: edge ? 'arrived' : 'delivered' },
  ];
}
