/**
 * A device keeps its tcx programs when it moves to another network namespace. There, an ifindex
 * belongs to a device of someone else. Nothing is copied to such a device, and the agent's next
 * pass detaches the programs. Filters at clsact do not move.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { DatapathState } from '../../src/datapath/datapath.ts';
import { BY_CLSACT, programsAt } from './support/hook.ts';
import { addNamespace, link, type Namespace, run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer, sniffing } from './support/sniffer.ts';
import {
  capturesOf,
  erspanFrom,
  erspanOver,
  localTo,
  OTHER_ADDRESS,
  OWN_ADDRESS,
  SESSION,
  stateOf,
  useWorld,
} from './support/world.ts';

const TCX = join(import.meta.dirname, '../../../../test/support/tcx.py');
const FRAMES = 20;
/** Own traffic of the foreign device that has the ifindex of the destination. */
const ARP = 0x0806;

const world = await useWorld({ underlayMtu: 1600 });
let elsewhere: Namespace;
let frame: Buffer;

before(async () => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  elsewhere = await addNamespace();
  // The other namespace has a device with the ifindex of the destination, and a listener behind it.
  const { ifindex } = world.devices.dst;
  elsewhere.run('ip', 'link', 'add', 'mine', 'index', String(ifindex), 'type', 'veth', 'peer', 'name', 'mineo');
  for (const device of ['mine', 'mineo']) {
    elsewhere.run('ip', 'link', 'set', device, 'up');
  }
  elsewhere.run('ip', 'addr', 'add', '192.0.2.1/24', 'dev', 'mine');
});
after(() => elsewhere?.close());

/** How many programs hang at the hooks of a device there. */
function programsThere(device: string): number {
  if (BY_CLSACT) {
    return elsewhere.run('tc', 'qdisc', 'show', 'dev', device).includes('clsact') ? 1 : 0;
  }
  const hooks = JSON.parse(elsewhere.run('/usr/bin/python3', TCX)) as Record<string, Record<string, number>>;
  return Object.values(hooks[device]!).reduce((sum, count) => sum + count, 0);
}

/**
 * Frames from the foreign device, without its own ARP, while `send` sends frames to `device` there.
 */
async function leaked(device: string, send: () => void): Promise<Buffer[]> {
  const [stranger, arrived] = await Promise.all([
    Sniffer.start('mineo', { pid: elsewhere.pid }),
    Sniffer.start(device, { pid: elsewhere.pid }),
  ]);
  try {
    for (let i = 0; i < FRAMES; i++) {
      send();
    }
    await arrived.expect(FRAMES);
    // Own traffic of the foreign device comes after the frames.
    elsewhere.run('sh', '-c', 'ip neigh flush dev mine; ping -c1 -W1 192.0.2.2 || true');
    const isOwn = (seen: Buffer) => seen.readUInt16BE(12) === ARP;
    await until('the stranger sends', () => stranger.frames().some(isOwn));
    return stranger.frames().filter((seen) => !isOwn(seen));
  } finally {
    for (const sniffer of [stranger, arrived]) {
      sniffer.close();
    }
  }
}

/** Moves a device away without a change of the data path. */
function moveAway(device: string): void {
  elsewhere.adopt(device);
  elsewhere.run('ip', 'link', 'set', device, 'up');
}

async function moveBack(device: string, without: DatapathState): Promise<void> {
  // The agent's state after it has heard that the device is gone.
  const { problems } = await world.datapath.apply(without);
  assert.deepEqual(problems, []);
  assert.equal(programsThere(device), 0, 'no program of ours is left there');
  elsewhere.run('ip', 'link', 'set', device, 'netns', String(process.pid));
  run('ip', 'link', 'set', device, 'up');
}

test('the number of the helper device is one that no other namespace has', () => {
  for (const device of ['mirror0', 'mirror1']) {
    assert.ok(link(device).ifindex >= 2 ** 30, device);
  }
});

test('a mirrored device that went to another namespace copies nothing to the device with the number of the destination', async () => {
  const { vm, dst } = world.devices;
  const deliveries = [localTo(dst.ifindex)];
  const state = stateOf({ captures: capturesOf(vm.ifindex, 'L'), deliveries });
  await world.datapath.apply(state);
  const copied = () =>
    sniffing(['dstp'], async ([copies]) => {
      world.guest.send(frame);
      await copies.expect(1);
    });
  await copied();
  moveAway('vm');
  assert.equal(programsThere('vm') > 0, !BY_CLSACT, 'tcx programs go along');
  assert.deepEqual(await leaked('vm', () => world.guest.send(frame)), []);
  await moveBack('vm', stateOf({ deliveries }));
  await world.datapath.apply(state);
  assert.ok(programsAt(vm.ifindex, 'ingress').length > 0);
  await copied();
});

test('one that sends to another node sends nothing there, also where the helper device is gone', async () => {
  const { vm, und, dst } = world.devices;
  const deliveries = [erspanOver(world), localTo(dst.ifindex)];
  const state = stateOf({ captures: capturesOf(vm.ifindex, 'E'), deliveries, mirrorDevice: und.ifindex });
  await world.datapath.apply(state);
  const wire = await Sniffer.start('undp');
  try {
    world.guest.send(frame);
    await wire.expect(1);
    moveAway('vm');
    assert.deepEqual(await leaked('vm', () => world.guest.send(frame)), []);
    assert.equal(wire.frames().length, 1);
    await moveBack('vm', stateOf({ deliveries, mirrorDevice: und.ifindex }));
    // The namespace itself is checked: local copies continue without the helper device, and none
    // goes to a wrong device.
    await world.datapath.apply(stateOf({ captures: capturesOf(vm.ifindex, 'L'), deliveries }));
    run('ip', 'link', 'del', 'mirror0');
    await sniffing(['dstp'], async ([copies]) => {
      world.guest.send(frame);
      await copies.expect(1);
    });
    moveAway('vm');
    assert.deepEqual(await leaked('vm', () => world.guest.send(frame)), []);
    await moveBack('vm', stateOf({ deliveries }));
  } finally {
    wire.close();
  }
});

test('a mirror device that went to another namespace delivers nothing there, and takes nothing away', async () => {
  const { und, dst } = world.devices;
  const deliveries = [localTo(dst.ifindex)];
  const state = stateOf({ deliveries, terminations: [erspanFrom('L')], mirrorDevice: und.ifindex });
  await world.datapath.apply(state);
  const { sourceMac, destinationMac } = world.nextHop; // as this node sees them
  const addresses = {
    source: OTHER_ADDRESS,
    address: OWN_ADDRESS,
    sourceMac: destinationMac,
    destinationMac: sourceMac,
  };
  const [packet] = scapy({ erspan: [{ inner: frame, session: SESSION, ...addresses }] }).erspan as [Buffer];
  await sniffing(['dstp'], async ([copies]) => {
    world.wire.send(packet);
    await copies.expect(1);
  });
  moveAway('und');
  assert.deepEqual(await leaked('und', () => world.wire.send(packet)), []);
  await moveBack('und', stateOf({ deliveries }));
});
