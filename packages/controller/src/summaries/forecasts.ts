/** Forecasts of policies, from what agents have told in the last minute. */
import {
  AROUND_FRAME,
  type Count,
  ERSPAN_OVERHEAD,
  type Forecast,
  type PolicySpec,
  TRAFFIC_SECONDS,
  VLAN_TAG,
} from '@mirrorplane/contract';
import { forecast, onTheWire, type UplinkNow } from '@mirrorplane/planner';
import type { History } from '../history/history.ts';
import { meanCount } from '../history/rates.ts';
import type { Track } from '../history/track.ts';
import type { CurrentInventory } from '../inventory/current-inventory.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { PolicyRecord } from '../store/records.ts';
import type { View } from '../store/view.ts';
import { interfaceTraffic } from './interface-traffic.ts';

interface Parts {
  view: View;
  live: LiveNodes;
  inventory: CurrentInventory;
  history: History;
}

/** What a policy would make of the traffic of the last minute. A policy of the same name is replaced by it. */
export function forecastOf(spec: PolicySpec, parts: Parts): Forecast {
  const replaced = parts.view.get('policies', spec.name)?.value.uid;
  const inventory = parts.inventory.now();
  const byId = new Map(inventory.interfaces.map((item) => [item.id, item]));
  return forecast(spec, {
    inventory,
    traffic: ({ id }) => interfaceTraffic(byId.get(id)!, parts.live),
    uplink: (node, device) => uplinkOf(node, device, replaced, parts),
  });
}

/** @param device name of an edge; undefined: the underlay */
function uplinkOf(
  name: string,
  device: string | undefined,
  replaced: string | undefined,
  parts: Parts,
): UplinkNow | undefined {
  const { live } = parts;
  const node = live.get(name);
  const wanted = device ?? node?.underlay?.device;
  const uplink = node?.traffic.uplinks.find((one) => one.device === wanted);
  const rate = uplink && node?.connected ? node.traffic.rate(uplink.ifindex, live.steady()) : undefined;
  const mtu = node?.devices.find(({ ifindex }) => ifindex === uplink?.ifindex)?.mtu;
  const copies = device === undefined ? erspanCopies(name, replaced, parts) : edgeCopies(device, name, replaced, parts);
  if (!uplink || !rate || mtu === undefined || copies === undefined) {
    return undefined;
  }
  const sent = onTheWire(rate.outbound, mtu);
  return {
    device: uplink.device,
    speed: uplink.bytesPerSecond,
    throttled: uplink.throttled,
    sent: sent.bytes + sent.packets * AROUND_FRAME,
    copies,
  };
}

/** Copies that a node sends to other nodes, bytes a second on the wire. Undefined: not known. */
function erspanCopies(node: string, replaced: string | undefined, { history }: Parts): UplinkNow['copies'] | undefined {
  const all = meanCount(history.node(node), 'sent', TRAFFIC_SECONDS);
  if (all === null) {
    return undefined;
  }
  const own = sumOfSeries(replaced === undefined ? undefined : history.policy(replaced), `sent ${node} `);
  return split(all, own, ERSPAN_OVERHEAD + AROUND_FRAME);
}

/** Copies of its own node that leave by an edge. Those of other nodes have no budget there. */
function edgeCopies(
  device: string,
  node: string,
  replaced: string | undefined,
  { view, live, history }: Parts,
): UplinkNow['copies'] | undefined {
  const id = live.get(node)?.devices.find(({ name }) => name === device)?.identity?.id;
  const policies = [...view.all('policies').values()].map(({ value }) => value).filter((one) => one.destination === id);
  const counts = policies.map((policy) => ({ policy, count: ownCopies(policy, history) }));
  const own = counts.find(({ policy }) => policy.uid === replaced)?.count ?? { packets: 0, bytes: 0 };
  return split(added(counts.map(({ count }) => count)), own, VLAN_TAG + AROUND_FRAME);
}

/** What was delivered without having come from another node. */
function ownCopies({ uid }: PolicyRecord, history: History): Count {
  const track = history.policy(uid);
  const all = meanCount(track, 'delivered', TRAFFIC_SECONDS) ?? { packets: 0, bytes: 0 };
  const arrived = sumOfSeries(track, 'arrived ');
  return { packets: Math.max(0, all.packets - arrived.packets), bytes: Math.max(0, all.bytes - arrived.bytes) };
}

function split(all: Count, own: Count, around: number): UplinkNow['copies'] {
  const wire = ({ packets, bytes }: Count) => bytes + packets * around;
  return { own: wire(own), others: Math.max(0, wire(all) - wire(own)) };
}

/** The sum of all series of a track whose names begin so. */
function sumOfSeries(track: Track | undefined, begin: string): Count {
  const names = [...(track?.names() ?? [])].filter((name) => name.startsWith(begin) && !name.includes(':'));
  return added(names.map((name) => meanCount(track, name, TRAFFIC_SECONDS) ?? { packets: 0, bytes: 0 }));
}

function added(counts: readonly Count[]): Count {
  return counts.reduce((a, b) => ({ packets: a.packets + b.packets, bytes: a.bytes + b.bytes }), {
    packets: 0,
    bytes: 0,
  });
}
