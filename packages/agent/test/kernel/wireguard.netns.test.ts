/** Copies that leave encrypted by a WireGuard device, and come in by one, also while a key changes. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { tunnelAddress } from '@mirrorplane/contract';
import { RtClient } from '../../src/netlink/rt-client.ts';
import { addWireguard, Wireguard } from '../../src/netlink/wireguard.ts';
import { makeKey, type NodeKey } from '../../src/underlay/keys.ts';
import { link, run, segmentInSoftware } from './support/namespace.ts';
import type { Sniffer } from './support/sniffer.ts';
import { type End, testTunnels } from './support/tunnel-tests.ts';
import { useWorld } from './support/world.ts';

const UNDERLAY_MTU = 1660;
const world = await useWorld({ underlayMtu: UNDERLAY_MTU });
const wireguard = new Wireguard();

/** They send to each other by the loopback device. */
interface WireguardEnd extends End {
  key: NodeKey;
  port: number;
}

async function makeEnd(name: string, port: number): Promise<WireguardEnd> {
  const client = new RtClient();
  await addWireguard(client, name, UNDERLAY_MTU - 60);
  client.close();
  const key = makeKey(0, 0);
  const { ifindex } = link(name);
  wireguard.set(ifindex, { privateKey: key.privateKey, port, peers: [] });
  run('ip', 'link', 'set', name, 'up');
  return { key, port, ifindex, address: tunnelAddress(key.publicKey) };
}

function join(own: WireguardEnd, peer: WireguardEnd): void {
  const publicKey = Buffer.from(peer.key.publicKey, 'base64');
  const endpoint = { address: '127.0.0.1', port: peer.port };
  wireguard.set(own.ifindex, { peers: [{ publicKey, endpoint, address: peer.address }] });
}

let skip: string | false = false;
let [sender, receiver, next] = [] as unknown as [WireguardEnd, WireguardEnd, WireguardEnd];
try {
  wireguard.require();
  sender = await makeEnd('wga', 51_830);
  receiver = await makeEnd('wgb', 51_831);
  next = await makeEnd('wgc', 51_832);
} catch (error) {
  skip = (error as Error).message;
}

before(() => {
  if (skip === false) {
    for (const end of [receiver, next]) {
      join(sender, end);
      join(end, sender);
    }
    segmentInSoftware('dst', 'far', 'vm');
  }
});

test('the kernel has the key, the port and the peers that it was told', { skip }, () => {
  const { publicKey, port, peers } = wireguard.get(sender.ifindex);
  assert.deepEqual([publicKey?.toString('base64'), port], [sender.key.publicKey, sender.port]);
  const names = peers.map((key) => key.toString('base64')).sort();
  assert.deepEqual(names, [receiver.key.publicKey, next.key.publicKey].sort());
});

const tunnels = () => ({
  ...{ sender, receiver, next, wire: 'lo', mtu: UNDERLAY_MTU },
  assertWire: (wire: Sniffer) => {
    const ports = [sender.port, receiver.port, next.port];
    const strangers = wire
      .decode(['ip.proto', 'udp.dstport'])
      .filter(([protocol, port]) => protocol !== '17' || !ports.includes(Number(port)));
    assert.deepEqual(strangers, []);
  },
});
testTunnels(world, tunnels, skip);
