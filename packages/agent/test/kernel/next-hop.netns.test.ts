/** The next hop of copies: routes count in the moment of the copy, also while the agent does nothing. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import { run } from './support/namespace.ts';
import { scapy } from './support/scapy.ts';
import { Sniffer } from './support/sniffer.ts';
import { capturesOf, erspanOver, OTHER_ADDRESS, stateOf, useWorld } from './support/world.ts';

const world = await useWorld();
const GATEWAYS = { first: ['10.98.0.9', '02:00:00:00:00:91'], second: ['10.98.0.10', '02:00:00:00:00:92'] } as const;
const TABLE = ['table', '77'];
let frame: Buffer;

const apply = () =>
  world.datapath.apply(
    stateOf({ captures: capturesOf(world.devices.vm.ifindex, 'E'), deliveries: [erspanOver(world)] }),
  );
const route = (change: string, gateway: keyof typeof GATEWAYS, ...more: string[]) =>
  run('ip', 'route', change, `${OTHER_ADDRESS}/32`, 'via', GATEWAYS[gateway][0], 'dev', 'und', ...more);

before(async () => {
  frame = scapy({ frames: true }).frames.get('ipv4-udp')!;
  for (const [address, mac] of Object.values(GATEWAYS)) {
    run('ip', 'neigh', 'replace', address, 'lladdr', mac, 'dev', 'und', 'nud', 'permanent');
  }
  await apply();
});

/** Sends a frame after the other until a copy goes to this link-layer address. Returns how many. */
async function copiesUntil(mac: string): Promise<number> {
  const sniffer = await Sniffer.start('undp', { longest: 2000 });
  let sent = 0;
  try {
    await until(`a copy to ${mac}`, () => {
      world.guest.send(frame);
      sent++;
      return sniffer.frames().some((copy) => copy.subarray(0, 6).toString('hex') === mac.replaceAll(':', ''));
    });
    return sent;
  } finally {
    sniffer.close();
  }
}

/** Sends 100 frames. Returns the link-layer addresses that their copies go to. */
async function addressesOfCopies(): Promise<string[]> {
  const sniffer = await Sniffer.start('undp', { longest: 2000 });
  try {
    for (let i = 0; i < 100; i++) {
      world.guest.send(frame);
    }
    const copies = await sniffer.expect(100);
    return [
      ...new Set(
        copies.map((copy) =>
          copy
            .subarray(0, 6)
            .toString('hex')
            .replace(/(..)(?=.)/g, '$1:'),
        ),
      ),
    ];
  } finally {
    sniffer.close();
  }
}

/** The map of next hops: the bytes of each value on each CPU. */
function valuesOfNextHops(): string[][] {
  const pin = run('find', world.bpffs, '-name', 'next_hops').trim();
  const hops = JSON.parse(run('bpftool', '-j', 'map', 'dump', 'pinned', pin)) as {
    values: { value: string[] }[];
  }[];
  return hops.flatMap(({ values }) => values.map(({ value }) => value));
}

/** What CPUs have found the next hop of a delivery, and so need not ask for each copy; and when. */
function knownNextHops(): string[] {
  const found = valuesOfNextHops().filter((value) => Number(value[16]) === 2);
  return found.map((value) => value.slice(0, 4).join(' '));
}

/** Whether a CPU knows the link-layer address of its next hop. */
function areLinked(): boolean {
  return valuesOfNextHops().some((value) => Number(value[48]) === 1);
}

test('copies take the route of the moment, without an agent that reports it', async () => {
  const { destinationMac } = world.nextHop;
  assert.deepEqual(await addressesOfCopies(), [destinationMac]);
  assert.ok(knownNextHops().length > 0, 'no CPU knows the next hop');
  for (const gateway of ['first', 'second', 'first'] as const) {
    route('replace', gateway);
    await copiesUntil(GATEWAYS[gateway][1]);
    assert.deepEqual(await addressesOfCopies(), [GATEWAYS[gateway][1]]);
  }
  run('ip', 'route', 'del', `${OTHER_ADDRESS}/32`);
  await copiesUntil(destinationMac);
  assert.deepEqual(await addressesOfCopies(), [destinationMac]);
});

test('a rule that looks at the device a packet leaves by counts for copies', async () => {
  route('add', 'second', ...TABLE);
  run('ip', 'rule', 'add', 'oif', 'und', 'lookup', '77');
  try {
    await apply();
    const before = new Set(knownNextHops());
    await copiesUntil(GATEWAYS.second[1]);
    assert.deepEqual(await addressesOfCopies(), [GATEWAYS.second[1]]);
    const since = knownNextHops().filter((hop) => !before.has(hop));
    assert.deepEqual(since, [], 'the kernel is asked for each copy');
  } finally {
    run('ip', 'rule', 'del', 'oif', 'und', 'lookup', '77');
    run('ip', 'route', 'flush', ...TABLE);
  }
  await apply();
  await copiesUntil(world.nextHop.destinationMac);
  const before = new Set(knownNextHops());
  await addressesOfCopies();
  assert.ok(knownNextHops().some((hop) => !before.has(hop)));
});

test('a rule for what the node itself sends counts for copies', async () => {
  route('add', 'first', ...TABLE);
  run('ip', 'rule', 'add', 'iif', 'lo', 'lookup', '77');
  try {
    await apply();
    await copiesUntil(GATEWAYS.first[1]);
    assert.deepEqual(await addressesOfCopies(), [GATEWAYS.first[1]]);
  } finally {
    run('ip', 'rule', 'del', 'iif', 'lo', 'lookup', '77');
    run('ip', 'route', 'flush', ...TABLE);
  }
  await apply();
});

test('a route by another device is not taken: the copy leaves by its own device', async () => {
  run('ip', 'address', 'add', '10.97.0.1/24', 'dev', 'by');
  run('ip', 'route', 'add', `${OTHER_ADDRESS}/32`, 'via', '10.97.0.9', 'dev', 'by');
  try {
    assert.deepEqual(await addressesOfCopies(), [world.nextHop.destinationMac]);
  } finally {
    run('ip', 'address', 'del', '10.97.0.1/24', 'dev', 'by');
  }
});

test('copies go to the link-layer address of the tick, and the kernel verifies it as they do', async () => {
  const { destinationMac, sourceMac } = world.nextHop;
  const other = '02:00:00:00:00:93';
  const neighbour = (mac: string, state: string) =>
    run('ip', 'neigh', 'replace', OTHER_ADDRESS, 'lladdr', mac, 'dev', 'und', 'nud', state);
  neighbour(other, 'permanent');
  await copiesUntil(other);
  assert.deepEqual(await addressesOfCopies(), [other]);
  assert.ok(areLinked(), 'a CPU knows the address');
  neighbour(destinationMac, 'stale');
  await copiesUntil(destinationMac);
  const sniffer = await Sniffer.start('undp', { longest: 2000 });
  try {
    for (let i = 0; i < 100; i++) {
      world.guest.send(frame);
    }
    const heads = (await sniffer.expect(100)).map((copy) => copy.subarray(0, 12).toString('hex'));
    assert.deepEqual([...new Set(heads)], [`${destinationMac}${sourceMac}`.replaceAll(':', '')]);
  } finally {
    sniffer.close();
  }
  assert.doesNotMatch(run('ip', 'neigh', 'show', OTHER_ADDRESS, 'dev', 'und'), /STALE/, 'the kernel saw the use');
  neighbour(destinationMac, 'permanent');
});
