/**
 * Copies for ten times the speed of an uplink, together with service traffic that needs half of it.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { createLog } from '@mirrorplane/daemon';
import { RtClient } from '../../src/netlink/rt-client.ts';
import { Throttle } from '../../src/throttle/throttle.ts';
import { link as linkOf } from '../support.ts';
import { run } from './support/namespace.ts';
import { RawSocket } from './support/raw-socket.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import { assertSumsClose, capturesOf, countsOf, erspanOver, stateOf, useWorld } from './support/world.ts';

/** Mbit/s that the uplink can send. */
const UPLINK = 10;
/**
 * Milliseconds between bursts of both kinds: service traffic for half of the uplink, and copies for
 * ten times its speed, so that the uplink is saturated on a slow machine too.
 */
const BURST_MS = 10;
const LENGTH = 1000;
const perBurst = (megabits: number) => Math.round((megabits * 1e6 * BURST_MS) / 1000 / 8 / LENGTH);
const SERVICE = perBurst(UPLINK / 2);
const MIRRORED = perBurst(10 * UPLINK);
/** Number of bursts with service traffic only, and of bursts in which the guest sends too. */
const ALONE = 40;
const TOGETHER = 120;

const world = await useWorld();
let uplink: RawSocket;
let frame: Buffer;
let runs = 0;

before(() => {
  const udp = scapy({ frames: true }).frames.get('ipv4-udp')!;
  frame = Buffer.concat([udp, Buffer.alloc(LENGTH - udp.length)]);
  uplink = new RawSocket('und');
});
after(async () => {
  uplink?.close();
});

/** A frame of the node itself with a number. */
function numbered(number: number): Buffer {
  const service = Buffer.from(frame);
  service.fill(0xee, 60);
  service.writeUInt32BE(number, 60);
  return service;
}

/**
 * Sends a frame through the uplink. A full queue refuses the frame, so the frame counts as lost.
 */
function offer(service: Buffer): void {
  try {
    uplink.send(service);
  } catch (error) {
    assert.match(String(error), /took -1/);
  }
}

function numberOf(frame: Buffer): number | undefined {
  return frame[LENGTH - 1] === 0xee && frame.length === LENGTH ? frame.readUInt32BE(60) : undefined;
}

/**
 * Sends service traffic, and after a while also traffic of the guest. Returns the frames that came
 * through.
 */
async function compete(options: { protect: boolean; known: boolean; bands: boolean; bridge?: boolean }) {
  const { vm, und } = world.devices;
  const source = `compete-${++runs}`;
  const tbf = `tbf rate ${UPLINK}mbit burst 4k limit 100k`.split(' ');
  run('tc', 'qdisc', 'add', 'dev', 'und', 'root', 'handle', '1:', ...tbf);
  if (options.bands) {
    run('tc', 'qdisc', 'add', 'dev', 'und', 'parent', '1:1', 'handle', '10:', 'pfifo_fast');
  }
  const bridge = options.bridge ? addBridge() : 0;
  const client = new RtClient();
  const uplinkOf = linkOf('und', und.ifindex, { linkType: 'veth', master: bridge });
  const throttle = new Throttle({
    datapath: world.datapath,
    client,
    links: () => (options.bridge ? [uplinkOf, linkOf('brul', bridge, { linkType: 'bridge' })] : [uplinkOf]),
    ...(options.known && { rates: { und: UPLINK } }),
    log: createLog('agent', 'warn'),
  });
  const state = stateOf({
    captures: capturesOf(vm.ifindex, 'E', { source }),
    deliveries: [erspanOver(world, options.bridge ? { ifindex: bridge } : {})],
    protect: options.protect,
  });
  await world.datapath.apply(state);
  if (options.protect) {
    throttle.start();
  }
  const [wire, far] = [
    await Sniffer.start('undp', { longest: 2 * LENGTH }),
    await Sniffer.start('farp', { longest: LENGTH }),
  ];
  try {
    let sent = 0;
    for (let burst = 0; burst < ALONE + TOGETHER; burst++) {
      for (let i = 0; i < MIRRORED && burst >= ALONE; i++) {
        world.guest.send(frame);
      }
      for (let i = 0; i < SERVICE; i++) {
        offer(numbered(sent++));
      }
      await delay(BURST_MS);
    }
    const originals = (await far.expect(TOGETHER * MIRRORED)).length;
    // The queue is empty when no more frames come out of it.
    await until(
      'the queue is empty',
      () => run('tc', '-s', 'qdisc', 'show', 'dev', 'und').includes('backlog 0b 0p') || undefined,
    );
    const service = wire.frames().flatMap((found) => numberOf(found) ?? []);
    const report = await world.datapath.counters();
    assertSumsClose(report);
    const { matched, copied, dropped } = countsOf(report, 'outbound', source);
    const budgets = await world.datapath.deviceBudgets();
    const throttled = throttle.throttled.has(bridge || und.ifindex);
    return {
      sent,
      service,
      originals,
      matched,
      copied,
      overBudget: dropped.overBudget?.packets ?? 0,
      budgets,
      throttled,
    };
  } finally {
    await throttle.close();
    client.close();
    wire.close();
    far.close();
    run('tc', 'qdisc', 'del', 'dev', 'und', 'root');
    await world.datapath.apply(stateOf({}));
    if (options.bridge) {
      run('ip', 'link', 'del', 'brul');
    }
  }
}

/** Makes a bridge with the uplink as its port. Returns its ifindex. */
function addBridge(): number {
  run('ip', 'link', 'add', 'brul', 'up', 'type', 'bridge');
  run('ip', 'link', 'set', 'und', 'master', 'brul');
  return Number(readFileSync('/proc/net/dev_snmp6/brul', 'utf8').match(/^ifIndex\s+(\d+)/)![1]);
}

function assertProtected(result: Awaited<ReturnType<typeof compete>>): void {
  const { sent, service, originals, matched, copied, overBudget, budgets, throttled } = result;
  assert.deepEqual(
    service,
    Array.from({ length: sent }, (_, number) => number),
    'all service traffic came through, in order',
  );
  assert.equal(originals, TOGETHER * MIRRORED, 'all originals of the guest arrived');
  assert.equal(matched.packets, TOGETHER * MIRRORED);
  assert.ok(copied.packets > 0, 'some copies were made');
  assert.ok(overBudget > 0, 'the others were dropped as overBudget');
  assert.equal(budgets[0]!.refused, overBudget);
  assert.ok(throttled, 'the device counts as throttled');
}

test('service traffic loses nothing on an uplink of known rate that copies would fill ten times', async () => {
  assertProtected(await compete({ protect: true, known: true, bands: false }));
});

test('service traffic loses nothing with a queue that has priorities, at a known or unknown speed', async () => {
  assertProtected(await compete({ protect: true, known: false, bands: true }));
});

test('service traffic loses nothing if the mirror device is a bridge, and its port has the queue', async () => {
  assertProtected(await compete({ protect: true, known: true, bands: true, bridge: true }));
});

test('a device without speed and queue that carries service traffic is unprotected, and not after it gets a queue', async () => {
  const { und, vm } = world.devices;
  const client = new RtClient();
  const links = () => [linkOf('und', und.ifindex, { linkType: 'veth' })];
  const throttle = new Throttle({ datapath: world.datapath, client, links, log: createLog('agent', 'warn') });
  const captures = capturesOf(vm.ifindex, 'E', { source: 'unprotected' });
  await world.datapath.apply(stateOf({ captures, deliveries: [erspanOver(world)], protect: true }));
  throttle.start();
  const service = setInterval(() => {
    for (let i = 0; i < SERVICE; i++) {
      offer(numbered(i));
    }
  }, BURST_MS);
  try {
    assert.ok(!throttle.unprotected.has(und.ifindex));
    await until('it is unprotected', () => throttle.unprotected.has(und.ifindex) || undefined);
    run('tc', 'qdisc', 'add', 'dev', 'und', 'root', 'pfifo_fast');
    await delay(500);
    assert.ok(throttle.unprotected.has(und.ifindex), 'the veth takes all, so a plain queue stays empty');
    run('tc', 'qdisc', 'replace', 'dev', 'und', 'root', ...`tbf rate ${UPLINK}mbit burst 4k limit 100k`.split(' '));
    await until('it is protected', () => !throttle.unprotected.has(und.ifindex) || undefined);
  } finally {
    clearInterval(service);
    await throttle.close();
    client.close();
    run('sh', '-c', 'tc qdisc del dev und root 2>/dev/null || true');
    await world.datapath.apply(stateOf({}));
  }
});

test('without throttle the same copies cost service traffic packets', async () => {
  const { sent, service, overBudget, budgets } = await compete({ protect: false, known: true, bands: false });
  assert.ok(service.length < sent, `all ${sent} packets came through: the test shows nothing`);
  assert.equal(overBudget, 0);
  assert.deepEqual(budgets, []);
});
