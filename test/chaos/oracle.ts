/**
 * Judges the packet captures. It does not know how copies are made. It only knows the sender and
 * receiver of each frame, the policies at that moment, and the places where the frame was seen.
 */
import type { Seen } from './captures.ts';
import { dissect, type Numbered, type Outer } from './dissect.ts';
import { END_HOSTS, FLOWS, type Flow, passages } from './flows.ts';
import { FABRIC, type Ports, SWITCH } from './ports.ts';
import type { Timeline } from './timeline.ts';
import {
  type EdgeNic,
  interfaceOf,
  NODES,
  nicKey,
  nodeOf,
  RECEIVERS,
  type Spec,
  TOPOLOGY,
  vmOf,
  type World,
} from './world.ts';

/** A numbered frame on a device of a host. */
export interface Sighting extends Numbered {
  at: number;
  host: string;
  ifindex: number;
  out: boolean;
}

/** Something that must never be. */
export interface Violation {
  message: string;
  /** When the frame was sent, or the thing was noticed. */
  at: number;
  /** All places where the frame was seen. */
  sightings?: Sighting[];
}

/** How often copies of a frame may come to a place. */
interface Range {
  min: number;
  max: number;
}

/** Where copies of a policy come out: a VM, or the wire of an edge NIC in a VLAN. */
export type Place = string;

const IPV4 = 0x0800;
const TCP = 6;
const GRE = 47;
const UNDERLAY_MTU = TOPOLOGY.underlayMtu;

/** VM by its IPv4 address. */
const VM_OF = new Map(TOPOLOGY.vms.flatMap(({ name, address }) => (address ? [[address, name] as const] : [])));
const addressAt = (packet: Buffer, offset: number) => packet.subarray(offset, offset + 4).join('.');

export const placeOf = (spec: Spec, world: World): Place =>
  vmOf(spec.destination) ?? edgePlace(world.edges[spec.destination]!, spec.vlanId!);

const edgePlace = (nic: EdgeNic, vlan: number): Place => `${nicKey(nic)}#${vlan}`;

/** What was seen in a round, frame by frame. */
export class Round {
  readonly frames = new Map<string, Sighting[]>();
  /** Packets without a number that a host sent or received, on any device. */
  readonly others = new Map<string, number>();
  readonly violations: Violation[] = [];
  copies = 0;
  erspan = 0;
  truncated = 0;

  constructor(seen: readonly Seen[], run: number, timeline: Timeline, ports: Ports) {
    for (const packet of seen) {
      const { numbered, outer } = dissect(packet);
      if (outer && isOnWire(packet)) {
        this.#checkOuter(outer, packet, timeline, ports.fabric.get(packet.ifindex)!);
      }
      if (numbered === undefined || numbered.run !== run) {
        if (!packet.out && RECEIVERS.some((name) => name === packet.host)) {
          this.#checkSource(packet, timeline);
        }
        this.others.set(packet.host, (this.others.get(packet.host) ?? 0) + 1);
        continue;
      }
      const key = `${numbered.flow}/${numbered.sequence}`;
      const { at, host, ifindex, out } = packet;
      const list = this.frames.get(key) ?? [];
      list.push({ ...numbered, at, host, ifindex, out });
      this.frames.set(key, list);
    }
    for (const list of this.frames.values()) {
      list.sort((a, b) => a.at - b.at);
    }
  }

  /**
   * A frame without a number that reaches a receiver of copies, and is not addressed to it, must
   * belong to a source of a policy with this destination.
   */
  #checkSource({ at, host, etherType, body }: Seen, timeline: Timeline): void {
    if (etherType !== IPV4 || body.length < 20) {
      return;
    }
    const ends = [VM_OF.get(addressAt(body, 12)), VM_OF.get(addressAt(body, 16))];
    const [from, to] = ends;
    // Otherwise it is a broadcast, or not between VMs.
    if (from === undefined || to === undefined || ends.includes(host)) {
      return;
    }
    // In search of a guest that moves, it may have been flooded.
    if (timeline.excuseFor([from, to], at)) {
      return;
    }
    const specs = timeline.worlds(at).flatMap(({ policies }) => Object.values(policies));
    const sources = specs.filter(({ destination }) => vmOf(destination) === host).flatMap((spec) => spec.sources);
    if (ends.some((vm) => sources.includes(interfaceOf(vm!)))) {
      return;
    }
    this.violations.push({
      message: `${host} got a packet from ${from} to ${to}, which are no sources of its policies`,
      at,
    });
  }

  #checkOuter(outer: Outer, { at, body }: Seen, timeline: Timeline, node: string): void {
    this.erspan++;
    if (outer.truncated) {
      this.truncated++;
    }
    const mtu = Math.max(...timeline.worlds(at).map(({ mtus }) => mtus[node] ?? UNDERLAY_MTU));
    const report = (message: string) => this.violations.push({ message: `${message} from ${node}`, at });
    if (outer.fragment) {
      report('an ERSPAN packet is a fragment, or may become some,');
    }
    // The inner frame begins after IP, GRE, ERSPAN and Ethernet.
    const inner = body.subarray(20 + 8 + 8);
    const protocol = inner.length >= 14 + 20 && inner.readUInt16BE(12) === IPV4 ? inner[14 + 9] : undefined;
    // A veth pair carries super-packets whole. Each segment would get separate outer headers when
    // it is cut.
    if (outer.length > mtu && protocol !== TCP) {
      report(`an ERSPAN packet of ${outer.length} bytes, the MTU is ${mtu},`);
    }
    if (protocol === GRE) {
      report('ERSPAN within ERSPAN');
    }
  }
}

/**
 * As the fabric received it. A node's own packet capture shows sent frames other than IP without
 * their outer headers, because the kernel still has the old offset of the network header.
 */
const isOnWire = ({ host, out }: { host: string; out: boolean }) => host === FABRIC && !out;

/** Judges every frame of a round. */
export function judge(round: Round, timeline: Timeline, ports: Ports): Violation[] {
  const violations = [...round.violations];
  const last = new Map<number, number>();
  const byFlow = [...round.frames.values()].sort((a, b) => a[0]!.flow - b[0]!.flow || a[0]!.sequence - b[0]!.sequence);
  for (const sightings of byFlow) {
    const flow = FLOWS[sightings[0]!.flow]!;
    const report = (message: string) => {
      const name = `frame ${sightings[0]!.sequence} of flow ${flow.id} (${flow.from} to ${flow.to})`;
      violations.push({ message: `${name}: ${message}`, at: sightings[0]!.at, sightings });
    };
    const original = sightings.find(({ host, out }) => host === flow.from && out);
    if (original === undefined) {
      report('was never sent, and yet seen');
      continue;
    }
    const excuse = timeline.excuseFor([flow.from, flow.to], original.at);
    checkContents(original, sightings, timeline, report);
    const arrived = checkOriginal(flow, sightings, excuse, report);
    if (arrived !== undefined) {
      // Only where it was undisturbed: what a device still held when it went away comes late.
      if (!excuse && arrived < (last.get(flow.id) ?? 0)) {
        report('overtook the one before it');
      }
      last.set(flow.id, Math.max(arrived, last.get(flow.id) ?? 0));
    }
    checkCopies({ flow, sightings, original, excuse, arrived: arrived !== undefined, round }, timeline, ports, report);
  }
  return violations;
}

/**
 * Every sighting of a frame is that frame, byte by byte; one that was truncated is its beginning.
 */
function checkContents(
  original: Sighting,
  sightings: readonly Sighting[],
  timeline: Timeline,
  report: (message: string) => void,
): void {
  const small = timeline.worlds(original.at).some(({ mtus }) => Object.keys(mtus).length > 0);
  for (const sighting of sightings) {
    if (sighting.out && NODES.includes(sighting.host)) {
      continue;
    }
    const kept = Math.min(original.body.length, sighting.body.length);
    const same = sighting.body.subarray(0, kept).equals(original.body.subarray(0, kept));
    const where = `on ${sighting.host}, device ${sighting.ifindex}`;
    if (!same || sighting.etherType !== original.etherType) {
      report(`has other bytes ${where}`);
    }
    if (sighting.sender !== original.sender) {
      report(`has another sender's address ${where}`);
    }
    if (sighting.length > original.length || (sighting.length < original.length && !small)) {
      report(`is ${sighting.length} bytes long ${where}, and ${original.length} at first`);
    }
  }
}

/**
 * The lab's switch forwards in user space, and drops frames that it has no time to read. A frame
 * that came to the switch and did not leave it is no loss of Mirrorplane, nor is a frame that a
 * host at the switch sent and that was seen nowhere else.
 */
function lostInSwitch(flow: Flow, sightings: readonly Sighting[]): boolean {
  const atSwitch = sightings.filter(({ host }) => host === 'switch');
  if (atSwitch.length > 0) {
    return atSwitch.every(({ out }) => !out);
  }
  return flow.from.startsWith('phys-') && sightings.every(({ host }) => host === flow.from);
}

/** The original must reach its receiver once. Returns the time, or undefined. */
function checkOriginal(
  flow: Flow,
  sightings: readonly Sighting[],
  excuse: string | undefined,
  report: (message: string) => void,
): number | undefined {
  // A receiver of copies may get some of this frame as well; those are counted with the copies.
  const arrivals = sightings.filter(({ host, out }) => host === flow.to && !out);
  if (arrivals.length === 0 && !excuse && !lostInSwitch(flow, sightings)) {
    report('was lost');
  }
  const sent = sightings.filter(({ host, out }) => host === flow.from && out).length;
  if (sent > 1) {
    report(`was sent ${sent} times`);
  }
  return arrivals[0]?.at;
}

interface Case {
  flow: Flow;
  sightings: readonly Sighting[];
  original: Sighting;
  excuse: string | undefined;
  arrived: boolean;
  round: Round;
}

/** Copies must reach their destinations, as often as allowed, and no other place. */
function checkCopies(
  { flow, sightings, original, excuse, arrived, round }: Case,
  timeline: Timeline,
  ports: Ports,
  report: (message: string) => void,
): void {
  const worlds = timeline.worlds(original.at);
  const ranges = expected(flow, worlds, timeline, original.at);
  const counted = countPlaces(flow, sightings, ports);
  const places = new Set([...counted.keys(), ...ranges.keys()]);
  // What a bridge floods in search of a guest passes other guests, which may be sources too.
  const flooded = excuse ? 1 + Math.max(...worlds.map((world) => Object.keys(world.policies).length * 3)) : 0;
  let most = 0;
  for (const place of places) {
    const { min: least, max } = ranges.get(place) ?? { min: 0, max: 0 };
    const min = excuse || !arrived ? 0 : least;
    most += max;
    const count = counted.get(place) ?? 0;
    round.copies += count;
    const because = excuse ? ` (${excuse})` : '';
    if (count < min) {
      report(`${count} copies at ${place}, ${min} at least expected${because}`);
    }
    if (count > max + flooded) {
      report(`${count} copies at ${place}, ${max} at most allowed${because}`);
    }
  }
  const outer = sightings.filter((sighting) => sighting.outer && isOnWire(sighting)).length;
  if (outer > most * hops(worlds) + flooded) {
    report(`${outer} ERSPAN packets with it, ${most} at most allowed`);
  }
}

/**
 * How many nodes a copy may pass: where a destination was before, copies are passed on to where it
 * is now.
 */
function hops(worlds: readonly World[]): number {
  const names = new Set(worlds.flatMap(({ policies }) => Object.keys(policies)));
  const nodes = [...names].map((name) => {
    const homes = worlds.map((world) => world.policies[name] && nodeOf(world, world.policies[name].destination));
    return new Set(homes.filter((node) => node !== undefined)).size;
  });
  return Math.max(1, ...nodes);
}

/** How often a frame came to each place, less the original. */
function countPlaces(flow: Flow, sightings: readonly Sighting[], ports: Ports): Map<Place, number> {
  const counted = new Map<Place, number>();
  const add = (place: Place, count: number) => counted.set(place, (counted.get(place) ?? 0) + count);
  for (const { host, out, ifindex, vlans } of sightings) {
    if (out) {
      continue;
    }
    if (host === SWITCH) {
      const nic = ports.switch.get(ifindex);
      if (nic !== undefined && vlans.length > 0) {
        add(`${nic}#${vlans[0]}`, 1);
      }
    } else if (END_HOSTS.includes(host) && !RECORDERS.has(host)) {
      add(host, 1);
    }
  }
  if (counted.has(flow.to)) {
    add(flow.to, -1);
  }
  return counted;
}

/**
 * Hosts at the switch that get every copy of a VLAN, whichever edge it left by: judged at the
 * edge's wire.
 */
const RECORDERS = new Map(
  (TOPOLOGY.switch?.hosts ?? []).flatMap(({ name, vlan, address }) => (address ? [] : [[name, vlan]])),
);

/**
 * The places and numbers of allowed copies of a frame, in any of these worlds. Nodes apply a change
 * one after the other. So between two worlds, copies that one world needs may reach a place of the
 * other world.
 */
function expected(flow: Flow, worlds: readonly World[], timeline: Timeline, at: number): Map<Place, Range> {
  const sums = new Map<Place, Range>();
  const all = worlds.flatMap((world) => passages(flow, world));
  const keys = new Set(all.map(({ source, direction }) => `${direction} ${source}`));
  for (const key of keys) {
    const [direction, source] = key.split(' ') as ['inbound' | 'outbound', string];
    const isPassed = (world: World) =>
      passages(flow, world).some((one) => one.source === source && one.direction === direction);
    // A source belongs to one policy at a time, so each world asks for one copy at most.
    const asked = worlds.map((world) => {
      const specs = isPassed(world) ? Object.values(world.policies) : [];
      const spec = specs.find((one) => shareOf(one, source, direction, world).max > 0);
      if (!spec) {
        return undefined;
      }
      const doubt = timeline.doubtAbout(spec, source, at) ?? timeline.isCutOff(world, spec, source, at);
      const { min } = shareOf(spec, source, direction, world);
      return { name: spec.name, place: placeOf(spec, world), min: doubt ? 0 : min };
    });
    const names = new Set(asked.flatMap((one) => (one ? [one.name] : [])));
    const places = new Set(
      worlds.flatMap((world) =>
        [...names].flatMap((name) => (world.policies[name] ? [placeOf(world.policies[name], world)] : [])),
      ),
    );
    for (const place of places) {
      const min = Math.min(...asked.map((one) => (one?.place === place ? one.min : 0)));
      const sum = sums.get(place) ?? { min: 0, max: 0 };
      sums.set(place, { min: sum.min + min, max: sum.max + 1 });
    }
  }
  return sums;
}

/** Copies that one policy makes of one frame at one source. */
export function shareOf(spec: Spec, source: string, direction: 'inbound' | 'outbound', world: World): Range {
  const none = { min: 0, max: 0 };
  if (!spec.enabled || !spec.sources.includes(source)) {
    return none;
  }
  if (spec.direction !== 'all' && spec.direction !== direction) {
    return none;
  }
  const absent = [source, spec.destination].some((id) => world.hidden.includes(vmOf(id) ?? ''));
  if (absent || spec.percent === 0) {
    return none;
  }
  return { min: spec.percent === 100 && spec.maxRate === undefined ? 1 : 0, max: 1 };
}
