/**
 * What must be true of copies that go through tunnels, whatever the tunnels are: devices without
 * Ethernet headers, as those of WireGuard.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tunnelMtu } from '@mirrorplane/contract';
import { scapy } from './scapy.ts';
import { type Sniffer, sniffing } from './sniffer.ts';
import {
  assertSameFrames,
  assertSumsClose,
  capturesOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  type World,
} from './world.ts';

/** An end of a tunnel. All nodes are in this namespace. */
export interface End {
  ifindex: number;
  /** Address inside. */
  address: string;
}

/** The tunnels of a file, and the device that shows what crosses the network between their ends. */
export interface Tunnels {
  sender: End;
  receiver: End;
  /** The receiver after a change of its key. */
  next: End;
  wire: string;
  /** MTU of that network. */
  mtu: number;
  /** Asserts that the wire has shown nothing but tunnels. */
  assertWire(wire: Sniffer): void;
}

const SECRET = 77;
const ROUNDS = 4;
/** Milliseconds. WireGuard asks again after 5 seconds, if the other end was not there yet. */
const HANDSHAKE_MS = 60_000;
const EACH = 50;

/** Tests of copies. @param skip why there are no tunnels; false: there are */
export function testTunnels(world: World, tunnels: () => Tunnels, skip: string | false): void {
  const delivery = (to: End) =>
    erspanOver(world, {
      ...{ ifindex: tunnels().sender.ifindex, carrier: world.devices.und.ifindex, mtu: tunnelMtu(tunnels().mtu) },
      ...{ sourceAddress: tunnels().sender.address, address: to.address, secret: SECRET },
    });
  const termination = (at: End) =>
    erspanFrom('L', {
      ...{ id: `T${at.ifindex}`, address: tunnels().sender.address, ownAddress: at.address, secret: SECRET },
      ...{ device: at.ifindex, carrierAddress: OTHER_ADDRESS },
    });

  /** The state of both nodes: one sends to `to`, the other one receives at `ends`. */
  function stateWith(to: End, ...ends: End[]) {
    const { vm, dst, und } = world.devices;
    return stateOf({
      captures: capturesOf(vm.ifindex, 'E'),
      deliveries: [delivery(to), localTo(dst.ifindex)],
      terminations: ends.map(termination),
      mirrorDevice: und.ifindex,
      tunnels: [tunnels().receiver.ifindex, tunnels().next.ifindex],
    });
  }

  test('copies arrive byte for byte, and the wire has nothing but the tunnel', { skip }, async () => {
    const { receiver, wire: device, assertWire } = tunnels();
    await world.datapath.apply(stateWith(receiver, receiver));
    const sent = [...scapy({ frames: true }).frames.values()];
    await sniffing(['dstp', device], async ([destination, wire]) => {
      for (const frame of sent) {
        world.guest.send(frame);
      }
      assertSameFrames(await destination.expect(sent.length, HANDSHAKE_MS), sent, 'at the destination');
      assertWire(wire);
    });
    assertSumsClose(await world.datapath.counters());
  });

  test('ERSPAN in clear text is not delivered, with addresses of the tunnel or of the underlay', { skip }, async () => {
    const { sender, receiver } = tunnels();
    const { sourceMac, destinationMac } = world.nextHop;
    const common = { inner: Buffer.alloc(60, 1), session: SESSION, reserved: SECRET };
    const macs = { sourceMac: destinationMac, destinationMac: sourceMac };
    const forged = scapy({
      erspan: [
        { ...common, ...macs, source: sender.address, address: receiver.address },
        { ...common, ...macs, source: OTHER_ADDRESS, address: OWN_ADDRESS },
      ],
    }).erspan;
    await sniffing(['dstp', 'und', 'undp'], async ([destination, underlay, answers]) => {
      for (const packet of forged) {
        world.wire.send(packet);
      }
      await underlay.expect(forged.length);
      assert.equal(destination.frames().length, 0);
      assert.equal(answers.frames().length, 0, 'no message of the host quotes them');
    });
    const { peers } = await world.datapath.counters();
    const from = (sought: string) => peers.find(({ address }) => address === sought);
    assert.equal(from(sender.address)?.staleSession, 1);
    assert.equal(from(OTHER_ADDRESS)?.staleSession, 1);
  });

  test('the key of the receiver changes while copies are made: none is lost', { skip }, async () => {
    const { receiver, next } = tunnels();
    const frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
    await sniffing(['dstp'], async ([destination]) => {
      const send = () => {
        for (let i = 0; i < EACH; i++) {
          world.guest.send(frame);
        }
      };
      send();
      await world.datapath.apply(stateWith(receiver, receiver, next));
      send();
      await world.datapath.apply(stateWith(next, receiver, next));
      send();
      await destination.expect(3 * EACH, HANDSHAKE_MS);
      await world.datapath.apply(stateWith(next, next));
      send();
      assert.equal((await destination.expect(ROUNDS * EACH, HANDSHAKE_MS)).length, ROUNDS * EACH);
    });
    assertSumsClose(await world.datapath.counters());
  });

  test('super-packets: segments have the size that fits', { skip }, async () => {
    const payload = Buffer.from(Array.from({ length: 28_960 }, (_, i) => (i * 13 + (i >> 8)) & 0xff));
    const [tcp] = scapy({ tcp: [{ payload }] }).tcp;
    const { wire: device, mtu } = tunnels();
    await sniffing(['dstp', device], async ([destination, wire]) => {
      world.guest.send(tcp!, { kind: 'tcp4', segment: 1448, transport: 34 });
      const seen = await destination.expect(20);
      assert.equal(Buffer.concat(seen.map((one) => one.subarray(66))).compare(payload), 0);
      const lengths = wire.decode(['ip.len', 'ip.flags.mf']);
      assert.ok(
        lengths.every(([length, more]) => Number(length) <= mtu && !Number(more)),
        'no fragments',
      );
    });
  });
}
