/** What the data path does with encrypted copies: never a copy in clear text in place of one. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Delivery, emptyProgram, type NodeProgram, type Termination, tunnelAddress } from '@mirrorplane/contract';
import { erspanAddresses, reconcile, senderAddresses } from '../src/reconcile/reconcile.ts';
import type { Surroundings } from '../src/reconcile/surroundings.ts';

const [OWN, PEER] = [1, 2].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [string, string];
const tunnel = { ownKey: OWN, peerKey: PEER, endpoint: { address: '10.98.0.12', port: 51_850 } };
const number = { session: 7, generation: 3, secret: 9 };
const address = tunnelAddress(PEER);
const DELIVERY: Delivery = {
  ...{ id: 'p/to/node-2', policy: 'p', kind: 'erspan', node: 'node-2', address, tunnel, remoteMtu: 1550 },
  ...number,
};
const TERMINATION: Termination = {
  ...{ id: 'q/from/node-2', policy: 'q', node: 'node-2', address, tunnel, ...number, delivery: 'p/to/node-2' },
};
const PROGRAM: NodeProgram = { ...emptyProgram('node-1', 1), deliveries: [DELIVERY], terminations: [TERMINATION] };

function around(more: Partial<Surroundings>): Surroundings {
  const underlay = { device: 'underlay0', address: '10.98.0.11', mtu: 1600 };
  return {
    ...{ devices: [], nextHops: new Map() },
    underlay: { underlay, ifindex: 2, mac: '02:00:00:00:00:02', up: true },
    ...more,
  };
}

test('encrypted copies leave by the tunnel with the addresses of the keys, and fit into the network below', () => {
  const { state, problems } = reconcile(PROGRAM, around({ tunnels: new Map([[OWN, { ifindex: 40 }]]) }));
  const [delivery] = state.deliveries;
  assert.ok(delivery?.kind === 'erspan');
  assert.deepEqual([delivery.ifindex, delivery.carrier, delivery.mtu], [40, 2, 1488]);
  assert.deepEqual([delivery.sourceAddress, delivery.address], [tunnelAddress(OWN), tunnelAddress(PEER)]);
  const [end] = state.terminations;
  assert.deepEqual([end?.address, end?.ownAddress, end?.device], [tunnelAddress(PEER), tunnelAddress(OWN), 40]);
  assert.equal(end?.carrierAddress, '10.98.0.12', 'in clear text, it is believed nothing');
  assert.deepEqual([state.mirrorDevice, state.tunnels], [2, [40]]);
  assert.deepEqual(problems, []);
});

test('without the device nothing is sent or delivered, and each policy says why', () => {
  for (const tunnels of [new Map([[OWN, { why: 'UDP port 51850 is in use' }]]), undefined]) {
    const { state, problems } = reconcile(PROGRAM, around(tunnels ? { tunnels } : {}));
    assert.deepEqual([state.deliveries[0]?.ifindex, state.terminations[0]?.device, state.tunnels], [0, 0, undefined]);
    const why = tunnels ? 'UDP port 51850 is in use' : 'there is no WireGuard device';
    assert.deepEqual(
      problems.map(({ code, policy, message }) => [code, policy, message]),
      [
        ['WIREGUARD_MISSING', 'p', why],
        ['WIREGUARD_MISSING', 'q', why],
      ],
    );
  }
});

test('routes and neighbours are those of the network below', () => {
  assert.deepEqual([erspanAddresses(PROGRAM), senderAddresses(PROGRAM)], [['10.98.0.12'], ['10.98.0.12']]);
  const noWayBack = new Set(['10.98.0.12']);
  const { state } = reconcile(PROGRAM, around({ tunnels: new Map([[OWN, { ifindex: 40 }]]), noWayBack }));
  assert.equal(state.terminations[0]?.hasWayBack, false);
});

test('copies that are throttled on the device below are named', () => {
  const tunnels = new Map([[OWN, { ifindex: 40 }]]);
  const { problems } = reconcile(PROGRAM, around({ tunnels, throttled: new Set([2]) }));
  assert.deepEqual(
    problems.map(({ code, policy }) => [code, policy]),
    [['UPLINK_BUSY', 'p']],
  );
});
