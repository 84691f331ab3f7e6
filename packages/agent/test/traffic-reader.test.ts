/** What the agent tells of what its devices carry. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeDevice } from '../src/discovery/devices.ts';
import type { AllStatistics } from '../src/netlink/statistics.ts';
import { TrafficReader } from '../src/traffic-reader.ts';
import { link } from './support.ts';

const read = (received: number, sent: number, sendDrops = 0): AllStatistics => {
  return { received, sent, receivedBytes: 100 * received, sentBytes: 100 * sent, sendDrops };
};
const device = (name: string, ifindex: number, more: Partial<NodeDevice> = {}): NodeDevice => ({
  ...{ name, ifindex, mac: '', mtu: 1500, up: true, linkType: 'tun', ethernet: true },
  ...more,
});
const identity = (kind: 'vm' | 'edge', id: string) => ({ identity: { kind, id, name: '', provider: 'alias' } });

const TAP = device('tap', 5, identity('vm', 'web-1/0'));
const DEVICES = [
  TAP,
  device('macvtap', 6, { ...identity('vm', 'web-2/0'), reversed: true, linkType: 'macvtap' }),
  device('veth', 7, { ...identity('vm', 'pod/0'), linkType: 'veth' }),
  device('eth1', 2, { linkType: '' }),
  device('eth2', 3, { ...identity('edge', 'edge-1'), linkType: '' }),
  device('other', 4),
];

function reader(statistics: Map<number, AllStatistics>, speeds: Record<string, number> = {}) {
  return new TrafficReader({
    statistics: async () => statistics,
    speedOf: ({ name }) => speeds[name],
    throttled: true,
    links: () => DEVICES.map(({ name, ifindex }) => link(name, ifindex)),
  });
}

test('tells what interfaces receive and send, of the underlay too, and of no other device', async () => {
  const all = new Map(DEVICES.map(({ ifindex }) => [ifindex, read(10, 20, 3)]));
  const report = await reader(all, { eth1: 1000 }).read({ devices: DEVICES, underlay: 2 }, 0);
  const told = report!.devices.map(({ ifindex, inbound, outbound, unread }) => [
    ...[ifindex, inbound.packets, inbound.bytes, outbound.packets, unread],
  ]);
  assert.deepEqual(told, [
    // A guest receives what its tap sends.
    [5, 20, 2000, 10, 3],
    [6, 10, 1000, 20, undefined],
    [7, 20, 2000, 10, undefined],
    [2, 10, 1000, 20, undefined],
    [3, 10, 1000, 20, undefined],
  ]);
  assert.deepEqual(report!.uplinks, [
    { device: 'eth1', ifindex: 2, throttled: true, bytesPerSecond: 1000 },
    { device: 'eth2', ifindex: 3, throttled: true },
  ]);
});

test('tells only what has changed, every two seconds, and all of it to a new connection', async () => {
  const all = new Map([
    [5, read(1, 1)],
    [2, read(1, 1)],
  ]);
  const traffic = reader(all);
  const told = async (now: number) =>
    (await traffic.read({ devices: DEVICES, underlay: 2 }, now))?.devices.map(({ ifindex }) => ifindex);
  assert.deepEqual(await told(0), [5, 2]);
  assert.equal(await told(1000), undefined, 'not due');
  all.set(2, read(1, 2));
  assert.deepEqual(await told(2000), [2]);
  assert.deepEqual(await told(4000), [], 'a report without devices says that none has changed');
  traffic.forget();
  assert.deepEqual(await told(5000), [5, 2]);
  all.delete(5);
  assert.deepEqual(await told(7000), []);
  all.set(5, read(1, 1));
  assert.deepEqual(await told(9000), [5], 'a device that came again is told again');
});
