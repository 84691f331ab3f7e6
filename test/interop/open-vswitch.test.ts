/**
 * Open vSwitch at the other end of the underlay: it terminates our ERSPAN, and we terminate its.
 */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { LocalDeliveryEntry } from '@mirrorplane/agent/testing';
import { deviceOf, type NodeDatapath, startDatapath } from '../support/exact-datapath.ts';
import { makeWires } from '../support/exact-offload.ts';
import { hasOvs, type Ovs, startOvs } from '../support/exact-ovs.ts';
import { useLab } from '../support/lab.ts';
import { framesOf, watch } from '../support/taps.ts';
import { ping, python, sendFrames } from '../support/traffic.ts';

const skip = hasOvs() ? false : 'Open vSwitch is not installed';
const SESSION = 7;
const PINGS = 20;
describe('Open vSwitch on node-2', () => {
  let datapath: NodeDatapath | undefined;
  let ovs: Ovs | undefined;
  // This hook runs before the removal of the lab, because hooks run in their written order.
  after(async () => {
    await ovs?.stop();
    await datapath?.close();
  });
  const lab = useLab({ nodes: 2, switch: false, bare: true, underlayMtu: 1600 });

  before(async () => {
    if (skip) {
      return;
    }
    // Open vSwitch reads packets from packet sockets, so checksums have to be finished before.
    await makeWires(lab(), [
      ['fabric', 'u-node-2'],
      ['db-1', 'eth0'],
      ['ids-1', 'eth0'],
      ['web-1', 'eth0'],
      ['web-2', 'eth0'],
    ]);
    datapath = await startDatapath(lab(), 'node-1');
    ovs = await startOvs(lab(), 'node-2');
    for (const device of ['tap-ids-1', 'tap-db-1']) {
      await lab().exec('node-2', ['ip', 'link', 'set', device, 'nomaster']);
      await ovs!.vsctl('add-port', 'ovs-int', device);
    }
    const tunnel = [
      'type=erspan',
      `options:remote_ip=${lab().node('node-1').underlayAddress}`,
      `options:key=${SESSION}`,
    ];
    await ovs!.vsctl(
      ...['add-port', 'ovs-int', 'span', '--', 'set', 'interface', 'span', ...tunnel],
      ...['options:erspan_ver=1', 'options:erspan_idx=11'],
    );
  });

  test('Open vSwitch terminates our ERSPAN: the frames inside come out byte by byte', { skip }, async () => {
    const [tap, underlay] = [
      await deviceOf(lab(), 'node-1', 'tap-web-1'),
      await deviceOf(lab(), 'node-1', 'underlay0'),
    ];
    // Frames from the tunnel only go to ids-1.
    const port = (await ovs!.vsctl('get', 'interface', 'tap-ids-1', 'ofport')).trim();
    await ovs!.ofctl('add-flow', 'ovs-int', `priority=100,in_port=span,actions=output:${port}`);
    await datapath!.apply({
      captures: (['inbound', 'outbound'] as const).map((direction) => ({
        id: `ovs/web-1/${direction}`,
        policy: 'ovs',
        source: 'web-1/0',
        direction,
        ifindex: tap.ifindex,
        hook: direction === 'outbound' ? ('ingress' as const) : ('egress' as const),
        threshold: 2 ** 32,
        skipVlanId: 0,
        sourceSlot: 5,
        delivery: 'E',
      })),
      deliveries: [
        {
          id: 'E',
          policy: 'ovs',
          kind: 'erspan',
          ifindex: underlay.ifindex,
          mtu: 1600,
          sourceAddress: lab().node('node-1').underlayAddress,
          address: lab().node('node-2').underlayAddress,
          session: SESSION,
          generation: 0,
        },
      ],
    });
    const odd = await python<[string, string][]>('odd_frames.py', [lab().mac('web-1'), lab().mac('web-2')]);
    const frames = odd.map(([, frame]) => frame);
    const taps = {
      original: { host: 'web-1', snapLength: 65_535 },
      copy: { host: 'ids-1', direction: 'in', snapLength: 65_535 },
    } as const;
    const total = 4 * PINGS + frames.length;
    const seen = await watch(lab(), taps, async (captures) => {
      for (const size of [56, 1400]) {
        await ping(lab(), 'web-1', 'web-2', PINGS, { size });
      }
      await sendFrames(lab(), 'web-1', 'eth0', frames);
      await captures.original.waitFor(total);
      await captures.copy.waitFor(total);
    });
    const [original = [], copy = []] = await framesOf(seen.original, seen.copy);
    console.log(
      copy.length,
      original.length,
      original.filter((f) => !copy.includes(f)).length,
      JSON.stringify([...copy].sort()) === JSON.stringify([...original].sort()),
    );
    // Its threads keep the order of a flow alone.
    assert.deepEqual(copy.toSorted(), original.toSorted());
  });

  test('we terminate the ERSPAN of Open vSwitch: its mirror arrives byte by byte, and is counted', {
    skip,
  }, async () => {
    await ovs!.ofctl('del-flows', 'ovs-int', 'in_port=span');
    const [underlay, destination] = [
      await deviceOf(lab(), 'node-1', 'underlay0'),
      await deviceOf(lab(), 'node-1', 'tap-fw-1'),
    ];
    const delivery: LocalDeliveryEntry = {
      id: 'L',
      policy: 'ovs',
      kind: 'local',
      ifindex: destination.ifindex,
      mtu: 1500,
    };
    const { underlayAddress } = lab().node('node-2');
    await datapath!.apply({
      mirrorDevice: underlay.ifindex,
      deliveries: [delivery],
      terminations: [
        {
          id: 'T',
          policy: 'ovs',
          node: 'node-2',
          address: underlayAddress,
          ownAddress: lab().node('node-1').underlayAddress,
          session: SESSION,
          generation: 0,
          delivery: 'L',
        },
      ],
    });
    await ovs!.vsctl(
      ...['--', '--id=@p', 'get', 'port', 'tap-db-1', '--', '--id=@o', 'get', 'port', 'span', '--', '--id=@m'],
      ...['create', 'mirror', 'name=m', 'select-src-port=@p', 'select-dst-port=@p', 'output-port=@o'],
      ...['--', 'set', 'bridge', 'ovs-int', 'mirrors=@m'],
    );
    const taps = {
      original: { host: 'db-1', snapLength: 65_535 },
      copy: { host: 'fw-1', direction: 'in', snapLength: 65_535 },
      bystander: { host: 'web-1' },
    } as const;
    const seen = await watch(lab(), taps, async (captures) => {
      // The first finds the way: Open vSwitch asks for the address of the tunnel's other end.
      await ping(lab(), 'db-1', 'ids-1', 1);
      await captures.copy.waitFor(1, 15_000);
      for (const size of [56, 1400]) {
        await ping(lab(), 'db-1', 'ids-1', PINGS, { size });
      }
      await captures.original.waitFor(2 + 4 * PINGS);
      await captures.copy.waitFor(1 + 4 * PINGS);
    });
    const [original = [], copy = []] = await framesOf(seen.original, seen.copy);
    assert.deepEqual(copy.slice(-4 * PINGS).toSorted(), original.slice(-4 * PINGS).toSorted());
    assert.equal(seen.bystander.packets, 0);
    const [termination] = (await datapath!.counters()).terminations;
    assert.deepEqual(termination?.received, termination?.delivered);
    assert.equal(termination?.delivered.packets, copy.length);
  });
});
