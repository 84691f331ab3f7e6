/**
 * What a policy would make of the traffic of the last minute. Pure: what devices carry and what
 * uplinks can send is given.
 */
import {
  AROUND_FRAME,
  type Count,
  ERSPAN_OVERHEAD,
  type Forecast,
  type InterfaceTraffic,
  type Inventory,
  type NodeForecast,
  type PolicySpec,
  roomForCopies,
  tunnelMtu,
  VLAN_TAG,
  WIREGUARD_OVERHEAD,
} from '@mirrorplane/contract';
import { type Cluster, type ClusterInterface, homeNode, indexCluster } from './cluster.ts';
import { ETHERNET, onTheWire, shareAbove } from './frame-sizes.ts';
import { demandingPool } from './tunnels.ts';

/** A device by which copies leave a node. All rates are bytes a second, as on the wire. */
export interface UplinkNow {
  device: string;
  /** Undefined: not known. */
  speed: number | undefined;
  /** Whether copies give way to service traffic. */
  throttled: boolean;
  /** Everything that it sends now. */
  sent: number;
  /** Copies that it sends now: those of the policy that is replaced, and all others. */
  copies: { own: number; others: number };
}

/** What a forecast is made of. */
export interface ForecastParts {
  inventory: Inventory;
  /** Undefined: not known. */
  traffic: (item: ClusterInterface) => InterfaceTraffic | undefined;
  /** @param device name; undefined: the underlay. Returns undefined where it is not known. */
  uplink: (node: string, device: string | undefined) => UplinkNow | undefined;
}

/** The most unknown sources that are named. */
const MOST_NAMED = 8;
const DIRECTIONS = ['inbound', 'outbound'] as const;
/** Bytes on the wire that a copy needs beside its original. */
const AROUND_COPY = { local: 0, edge: VLAN_TAG + AROUND_FRAME, erspan: ERSPAN_OVERHEAD + AROUND_FRAME } as const;

/** A source, with what it carries in the directions of the policy, a second on the wire. */
interface Source {
  id: string;
  node: string | undefined;
  mtu: number;
  seconds: number;
  carried: Count | undefined;
}

/** Where copies go. */
interface Target {
  item: ClusterInterface | undefined;
  node: string | undefined;
  device: ClusterInterface['devices'][number] | undefined;
}

/** @param spec need not be valid: what is not there is not known */
export function forecast(spec: PolicySpec, parts: ForecastParts): Forecast {
  const cluster = indexCluster(parts.inventory);
  const sources = [...new Set(spec.sources)].map((id) => sourceOf(id, spec, cluster, parts));
  const known = sources.filter((source) => source.carried !== undefined);
  const unknown = sources.filter(({ carried }) => carried === undefined);
  const item = cluster.interfaces.get(spec.destination);
  const node = item && homeNode(item);
  const target = { item, node, device: item?.devices.findLast((device) => device.node === node) };
  const byNode = Map.groupBy(sources, (source) => source.node);
  const nodes = [...byNode].flatMap(([name, there]) =>
    name === undefined || target.node === undefined
      ? []
      : [nodeForecast(name, there, { spec, target, cluster, parts })],
  );
  const originals = sumOf(known.map(({ carried }) => carried!));
  const copies = scaled(originals, spec.percent / 100);
  return {
    seconds: known.length === 0 ? null : Math.round(Math.min(...known.map(({ seconds }) => seconds))),
    sourceCount: sources.length,
    unknownCount: unknown.length,
    unknown: unknown.slice(0, MOST_NAMED).map(({ id, node: at }) => ({
      interface: id,
      why: at === undefined ? ('absent' as const) : ('noReport' as const),
    })),
    originals: rateOf(originals),
    copies: rateOf(copies),
    givesWay: known.length === 0 || target.node === undefined ? null : shareOfAll(nodes),
    nodes: nodes.sort((a, b) => b.wireBitsPerSecond - a.wireBitsPerSecond),
  };
}

function sourceOf(id: string, { direction }: PolicySpec, cluster: Cluster, parts: ForecastParts): Source {
  const item = cluster.interfaces.get(id);
  const device = item?.devices.findLast(({ node }) => node === homeNode(item));
  const traffic = item && device && parts.traffic(item);
  const mtu = device?.mtu ?? 0;
  const directions = DIRECTIONS.filter((one) => direction === one || !DIRECTIONS.includes(direction as typeof one));
  const carried =
    traffic &&
    sumOf(
      directions.map((one) => {
        const { packetsPerSecond, bitsPerSecond } = traffic[one];
        return onTheWire({ packets: packetsPerSecond, bytes: bitsPerSecond / 8 }, mtu);
      }),
    );
  return { id, node: device?.node, mtu, seconds: traffic?.seconds ?? 0, carried };
}

interface Scene {
  spec: PolicySpec;
  target: Target;
  cluster: Cluster;
  parts: ForecastParts;
}

function nodeForecast(node: string, sources: readonly Source[], scene: Scene): NodeForecast {
  const { spec, target, parts } = scene;
  const known = sources.filter(({ carried }) => carried !== undefined);
  const copies = scaled(sumOf(known.map(({ carried }) => carried!)), spec.percent / 100);
  const way = target.node !== node ? 'erspan' : target.item?.kind === 'edge' ? 'edge' : 'local';
  const isEncrypted = demandingPool(node, target.node!, scene.cluster) !== undefined;
  const wire = copies.bytes + copies.packets * (AROUND_COPY[way] + (isEncrypted ? WIREGUARD_OVERHEAD : 0));
  const uplink = way === 'local' ? undefined : parts.uplink(node, way === 'edge' ? target.device?.name : undefined);
  const passing = passingOf(spec, { copies, wire, way, known: known.length }, uplink);
  return {
    node,
    sources: known.length,
    unknown: sources.length - known.length,
    way,
    copies: rateOf(copies),
    wireBitsPerSecond: Math.round(8 * wire),
    ...(uplink && { uplink: { device: uplink.device, ...sharesOf(uplink, wire, passing.share) } }),
    givesWay: passing.share === undefined ? null : rounded(1 - passing.share),
    ...(passing.why !== undefined && { why: passing.why }),
    ...tooLarge(node, known, { way, isEncrypted }, scene),
  };
}

/** The share of copies that budgets let pass. Undefined: not known. */
function passingOf(
  { maxRate }: PolicySpec,
  { copies, wire, way, known }: { copies: Count; wire: number; way: NodeForecast['way']; known: number },
  uplink: UplinkNow | undefined,
): { share: number | undefined; why?: NodeForecast['why'] } {
  if (known === 0) {
    return { share: undefined, why: 'ratesUnknown' };
  }
  const most = maxRate === undefined ? Number.POSITIVE_INFINITY : (maxRate * 1_000_000) / 8;
  const limited = copies.bytes === 0 ? 1 : Math.min(1, most / copies.bytes);
  const byRate = limited < 1 ? ({ share: limited, why: 'maxRate' } as const) : { share: 1 };
  if (way === 'local' || uplink?.throttled === false) {
    return byRate;
  }
  if (uplink === undefined) {
    return { share: undefined, why: 'uplinkUnknown' };
  }
  if (uplink.speed === undefined) {
    return { share: undefined, why: 'speedUnknown' };
  }
  const { sent, copies: now, speed } = uplink;
  const room = roomForCopies(speed, Math.max(0, sent - now.own - now.others));
  const wanted = now.others + limited * wire;
  const share = wanted <= room ? 1 : room / wanted;
  return share === 1 ? byRate : { share: limited * share, why: 'uplink' };
}

/** @param passing undefined: not known */
function sharesOf({ speed, sent, copies }: UplinkNow, wire: number, passing: number | undefined) {
  const after = passing === undefined ? undefined : sent - copies.own + passing * wire;
  return {
    bitsPerSecond: speed === undefined ? null : 8 * speed,
    shareBefore: speed === undefined ? null : rounded(sent / speed),
    shareAfter: speed === undefined || after === undefined ? null : rounded(Math.max(0, after) / speed),
  };
}

/** Frames that do not fit into the underlay, and those that do not fit into the device of the destination. */
function tooLarge(
  node: string,
  sources: readonly Source[],
  { way, isEncrypted }: { way: NodeForecast['way']; isEncrypted: boolean },
  { target, cluster }: Scene,
): Pick<NodeForecast, 'cut' | 'dropped'> {
  const ends = [node, target.node!].map((end) => cluster.nodes.get(end)?.underlay?.mtu);
  const smaller =
    way === 'erspan' && ends.every((mtu) => mtu !== undefined) ? Math.min(...(ends as number[])) : undefined;
  const underlay = smaller !== undefined && isEncrypted ? tunnelMtu(smaller) : smaller;
  const cutAbove = underlay === undefined ? Number.POSITIVE_INFINITY : underlay - (ERSPAN_OVERHEAD - ETHERNET);
  const dropAbove = target.device === undefined ? Number.POSITIVE_INFINITY : target.device.mtu + ETHERNET;
  const largest = Math.max(0, ...sources.map(({ mtu }) => mtu + ETHERNET));
  return {
    ...(largest > cutAbove && { cut: { above: cutAbove, atMost: shareOfFrames(sources, cutAbove) } }),
    ...(Math.min(largest, cutAbove) > dropAbove && {
      dropped: { above: dropAbove, atMost: shareOfFrames(sources, dropAbove) },
    }),
  };
}

function shareOfFrames(sources: readonly Source[], above: number): number | null {
  const all = sumOf(sources.map(({ carried }) => carried!));
  if (all.packets === 0) {
    return null;
  }
  const able = sources.filter(({ mtu }) => mtu + ETHERNET > above);
  const most = able.reduce((sum, { carried }) => sum + carried!.packets * shareAbove(carried!, above), 0);
  return rounded(most / all.packets);
}

/** The share of all copies that gives way; null where it is not known of one node. */
function shareOfAll(nodes: readonly NodeForecast[]): number | null {
  const asking = nodes.filter(({ copies }) => copies.packetsPerSecond > 0);
  const all = asking.reduce((sum, { copies }) => sum + copies.packetsPerSecond, 0);
  const held = asking.reduce<number | null>(
    (sum, { copies, givesWay }) =>
      sum === null || givesWay === null ? null : sum + givesWay * copies.packetsPerSecond,
    0,
  );
  return held === null ? null : all === 0 ? 0 : rounded(held / all);
}

function sumOf(counts: readonly Count[]): Count {
  return counts.reduce((a, b) => ({ packets: a.packets + b.packets, bytes: a.bytes + b.bytes }), {
    packets: 0,
    bytes: 0,
  });
}

function scaled({ packets, bytes }: Count, factor: number): Count {
  return { packets: packets * factor, bytes: bytes * factor };
}

function rateOf({ packets, bytes }: Count) {
  return { packetsPerSecond: Math.round(packets * 10) / 10, bitsPerSecond: Math.round(bytes * 8) };
}

/** Shares are no exact numbers. */
function rounded(share: number): number {
  return Math.round(share * 10_000) / 10_000;
}
