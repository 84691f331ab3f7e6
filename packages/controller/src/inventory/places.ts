/** Where interfaces are. A node is trusted about its own interfaces: a claim does not take away the interface of another node. */
import { type Device, type InterfaceDevice, type InterfaceKind, whyNotMirrorable } from '@mirrorplane/contract';

/**
 * Milliseconds that a second device within a communication domain is taken for that of a guest that is about to move: QEMU
 * makes the device of the target first, and then copies the memory of the guest.
 */
export const MOVE_MS = 15 * 60 * 1000;
/**
 * Milliseconds that two nodes may both say that they have the running guest. In a migration the one that it leaves says
 * `absent`, or loses the device, before or within milliseconds after the guest runs on the other.
 */
export const BOTH_RUN_MS = 5000;

/** One device that an agent says is the interface. */
export interface Sighting {
  node: string;
  /** Communication domain of the node; undefined where its pool is not known. */
  domain: string | undefined;
  /** What its agent says; of a declared edge without identity. */
  source: Device;
  /**
   * When it was seen first. This and the next two are milliseconds since 1970. No two devices have the same; those of one
   * device are the same where one message said both.
   */
  since: number;
  /** Since when the agent says that the guest is there, or does not say that it is not; undefined: it is not. */
  claimedSince: number | undefined;
  /** Since when the agent says that the guest runs there. */
  runningSince: number | undefined;
  /** The agent is there, or was a moment ago. */
  present: boolean;
}

/** A claim that is refused: another node has the interface. */
export interface Contest {
  interface: string;
  claimant: string;
  claimantDevice: string;
  holder: string;
  /** Undefined where the holder has none. */
  holderDevice: string | undefined;
  /** An operator has bound the interface to the holder, which may have no device of it. */
  bound?: true;
  /** Where the two are in different communication domains: that of the claimant and that of the holder. */
  domains?: { claimant: string; holder: string };
}

/** Where an interface has devices, the newest last, and at which of them the guest is. */
export interface Place {
  devices: InterfaceDevice[];
  home: string | undefined;
  /** Nodes that are believed to have it: all that say so, without those whose claim is refused. */
  granted: string[];
  contests: Contest[];
  /** When a second device is one too long to be that of a migration, milliseconds since 1970. */
  due: number | undefined;
}

/** Where nothing is. */
export const NOWHERE: Place = {
  devices: [],
  home: undefined,
  granted: [],
  contests: [],
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
 * Sorts out what agents say of one interface.
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
    contests,
    due: due === Number.POSITIVE_INFINITY ? undefined : due,
  };
}

/** The device that the interface is, as far as agents say so: at its home. */
export function sourceOf(sightings: readonly Sighting[], boundTo: string | undefined): Device | undefined {
  const holder =
    boundTo === undefined ? holderOf(stillKnown(sightings)) : sightings.find(({ node }) => node === boundTo);
  return holder?.source;
}

/** Where an interface is that an operator has bound to a node: there, or nowhere. */
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

/** A node that is gone keeps a device only until the interface is seen later on a node that is there. Oldest first. */
function stillKnown(sightings: readonly Sighting[]): Sighting[] {
  const newestPresent = Math.max(-1, ...sightings.filter(({ present }) => present).map(({ since }) => since));
  return sightings.filter(({ present, since }) => present || since > newestPresent).sort((a, b) => a.since - b.since);
}

/** Who has had the guest longest and has not let go of it: what a later one says takes nothing away. */
function holderOf(known: readonly Sighting[]): Sighting | undefined {
  const claims = known.filter(({ claimedSince }) => claimedSince !== undefined);
  return claims.length > 0 ? claims.reduce((a, b) => (b.claimedSince! < a.claimedSince! ? b : a)) : known[0];
}

/** Until when a second device is that of a migration. One that the guest has left, and that lets go of it, may stay. */
function moveEnds(other: Sighting, holder: Sighting): number {
  const begun = Math.max(other.since, holder.claimedSince ?? 0);
  if (other.claimedSince === undefined && other.since < begun) {
    return Number.POSITIVE_INFINITY;
  }
  if (holder.claimedSince === undefined || other.runningSince === undefined) {
    return begun + MOVE_MS;
  }
  // The device of a guest that is to come is seen without it first.
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

/** A device as it is shown with its interface. */
function toInterfaceDevice(node: string, device: Device, kind: InterfaceKind): InterfaceDevice {
  const { name, ifindex, mac, mtu, up, guest, warning, sharesWith } = device;
  const notMirrorable = whyNotMirrorable(device, kind);
  const noDestination = kind === 'edge' ? undefined : device.notMirrorable?.destination;
  return {
    node,
    name,
    ifindex,
    mac,
    mtu,
    up,
    ...(guest && { guest }),
    ...(notMirrorable !== undefined && { notMirrorable }),
    ...(noDestination !== undefined && { noDestination }),
    ...(warning !== undefined && { warning }),
    ...(sharesWith && { sharesWith }),
  };
}
