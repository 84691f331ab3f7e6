/**
 * Decides where interfaces are. A node is trusted about its own interfaces, but its claim cannot
 * take an interface from another node.
 */
import { type Device, type InterfaceDevice, type InterfaceKind, whyNotMirrorable } from '@mirrorplane/contract';

/**
 * Milliseconds for which a second device in a communication domain counts as the start of a
 * migration. QEMU first makes the device on the target node, and then copies the memory of the
 * guest.
 */
export const MOVE_MS = 15 * 60 * 1000;
/**
 * Milliseconds for which two nodes may both report the running guest. In a migration, the origin
 * node reports `absent` or loses the device before, or within milliseconds after, the guest runs on
 * the target node.
 */
export const BOTH_RUN_MS = 5000;

/** One device that an agent reports for the interface. */
export interface Sighting {
  node: string;
  /** Communication domain of the node. Undefined if its pool is unknown. */
  domain: string | undefined;
  /** The agent's report. For a declared edge it has no identity. */
  source: Device;
  /**
   * Time when it was first seen. This and the next two are milliseconds since 1970, and unique for
   * each device. Two times of one device are equal if one message reported both.
   */
  since: number;
  /**
   * Since when the agent reports the guest as present, or as unknown. Undefined: the guest is
   * absent.
   */
  claimedSince: number | undefined;
  /** Since when the agent reports that the guest runs there. */
  runningSince: number | undefined;
  /** The agent is connected, or was within the grace period. */
  present: boolean;
}

/** A refused claim: another node has the interface. */
export interface Contest {
  interface: string;
  claimant: string;
  claimantDevice: string;
  holder: string;
  /** Undefined if the holder has no device. */
  holderDevice: string | undefined;
  /** An operator has bound the interface to the holder, which may have no device for it. */
  bound?: true;
  /** If the two nodes are in different communication domains: both domains. */
  domains?: { claimant: string; holder: string };
}

/** The devices of an interface, the newest last, and the device with the guest. */
export interface Place {
  devices: InterfaceDevice[];
  home: string | undefined;
  /** Nodes with an accepted claim. */
  granted: readonly string[];
  contests: Contest[];
  /** Time when a second device no longer counts as part of a migration, milliseconds since 1970. */
  due: number | undefined;
}

/** Nearly all places have none. Nobody changes it. */
const NO_CONTESTS: Contest[] = [];

/** An interface without a device. */
export const NOWHERE: Place = {
  devices: [],
  home: undefined,
  granted: [],
  contests: NO_CONTESTS,
  due: undefined,
};

/** What is placed. */
interface Subject {
  id: string;
  kind: InterfaceKind;
  /** Name of the node that an operator has bound it to. */
  boundTo: string | undefined;
}

/**
 * Decides where an interface is, from the reports of agents.
 * @param now milliseconds since 1970
 */
export function placeOf({ id, kind, boundTo }: Subject, sightings: readonly Sighting[], now: number): Place {
  if (boundTo !== undefined) {
    return boundPlaceOf({ id, kind, boundTo }, sightings);
  }
  const known = stillKnown(sightings);
  const holder = holderOf(known);
  if (holder === undefined) {
    return NOWHERE;
  }
  const contests: Contest[] = [];
  const moves: Sighting[] = [];
  let due = Number.POSITIVE_INFINITY;
  for (const other of known) {
    if (other === holder) {
      continue;
    }
    const elsewhere = other.domain !== holder.domain;
    const until = elsewhere ? now : moveEnds(other, holder);
    if (until > now) {
      moves.push(other);
      due = Math.min(due, until);
    } else if (!elsewhere || other.claimedSince !== undefined) {
      contests.push(contestOf(id, other, holder, elsewhere));
    }
  }
  const second = moves.findLast(({ source }) => whyNotMirrorable(source, kind) === undefined);
  const kept = [holder, ...(second ? [second] : [])].sort((a, b) => a.since - b.since);
  return {
    devices: kept.map(({ node, source }) => toInterfaceDevice(node, source, kind)),
    home: holder.node,
    granted: [holder, ...moves].map(({ node }) => node),
    contests: contests.length === 0 ? NO_CONTESTS : contests,
    due: due === Number.POSITIVE_INFINITY ? undefined : due,
  };
}

/** The device that the interface is, as far as agents say so: at its home. */
export function sourceOf(sightings: readonly Sighting[], boundTo: string | undefined): Device | undefined {
  const holder =
    boundTo === undefined ? holderOf(stillKnown(sightings)) : sightings.find(({ node }) => node === boundTo);
  return holder?.source;
}

/** The place of an interface that an operator has bound to a node: this node, or none. */
function boundPlaceOf({ id, kind, boundTo }: Subject & { boundTo: string }, sightings: readonly Sighting[]): Place {
  const holder = sightings.find(({ node }) => node === boundTo);
  const others = sightings.filter((other) => other !== holder && other.present && other.claimedSince !== undefined);
  return {
    devices: holder ? [toInterfaceDevice(boundTo, holder.source, kind)] : [],
    home: holder?.node,
    granted: holder ? [boundTo] : [],
    contests: others.map((other) => ({
      interface: id,
      claimant: other.node,
      claimantDevice: other.source.name,
      holder: boundTo,
      holderDevice: holder?.source.name,
      bound: true,
    })),
    due: undefined,
  };
}

/**
 * Sightings that count, the oldest first. A disconnected node keeps a device until a connected node
 * reports the interface later.
 */
function stillKnown(sightings: readonly Sighting[]): Sighting[] {
  const newestPresent = Math.max(-1, ...sightings.filter(({ present }) => present).map(({ since }) => since));
  return sightings.filter(({ present, since }) => present || since > newestPresent).sort((a, b) => a.since - b.since);
}

/**
 * The node that has had the guest longest without reporting its absence. A later claim does not
 * replace it.
 */
function holderOf(known: readonly Sighting[]): Sighting | undefined {
  const claims = known.filter(({ claimedSince }) => claimedSince !== undefined);
  return claims.length > 0 ? claims.reduce((a, b) => (b.claimedSince! < a.claimedSince! ? b : a)) : known[0];
}

/**
 * Until when a second device counts as part of a migration. A device that reports its guest as
 * absent may stay longer.
 */
function moveEnds(other: Sighting, holder: Sighting): number {
  const begun = Math.max(other.since, holder.claimedSince ?? 0);
  if (other.claimedSince === undefined && other.since < begun) {
    return Number.POSITIVE_INFINITY;
  }
  if (holder.claimedSince === undefined || other.runningSince === undefined) {
    return begun + MOVE_MS;
  }
  // On a target node, the device is always first seen without its guest.
  return other.runningSince === other.since ? other.since : Math.min(begun + MOVE_MS, other.runningSince + BOTH_RUN_MS);
}

function contestOf(id: string, other: Sighting, holder: Sighting, elsewhere: boolean): Contest {
  return {
    interface: id,
    claimant: other.node,
    claimantDevice: other.source.name,
    holder: holder.node,
    holderDevice: holder.source.name,
    ...(elsewhere && { domains: { claimant: other.domain ?? 'unknown', holder: holder.domain ?? 'unknown' } }),
  };
}

/** A device as the API shows it with its interface. */
function toInterfaceDevice(node: string, device: Device, kind: InterfaceKind): InterfaceDevice {
  const { name, ifindex, mac, mtu, up, guest, guestMacs, warning, sharesWith } = device;
  const notMirrorable = whyNotMirrorable(device, kind);
  const noDestination = kind === 'edge' ? undefined : device.notMirrorable?.destination;
  const others = {
    ...(guest && { guest }),
    ...(guestMacs && { guestMacs }),
    ...(notMirrorable !== undefined && { notMirrorable }),
    ...(noDestination !== undefined && { noDestination }),
    ...(warning !== undefined && { warning }),
    ...(sharesWith && { sharesWith }),
  };
  // Made in one step, it takes half of the memory that it takes with parts that are added.
  return Object.assign({ node, name, ifindex, mac, mtu, up }, others);
}
