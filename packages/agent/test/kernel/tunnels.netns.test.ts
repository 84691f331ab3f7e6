/** The life of WireGuard devices: made, found again, changed, in conflict, and removed. */
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { emptyProgram, type NodeProgram, tunnelAddress } from '@mirrorplane/contract';
import { createLog } from '@mirrorplane/daemon';
import { RtClient } from '../../src/netlink/rt-client.ts';
import { Wireguard } from '../../src/netlink/wireguard.ts';
import { KEY_LIFE_MS, KEY_REST_MS, KeyFile, makeKey } from '../../src/underlay/keys.ts';
import { removeTunnels } from '../../src/underlay/tunnel-device.ts';
import { Tunnels } from '../../src/underlay/tunnels.ts';
import { enterOwnNamespace, run } from './support/namespace.ts';

enterOwnNamespace();
run('ip', 'link', 'set', 'lo', 'up');

const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-tunnels-'));
const path = join(folder, 'wireguard.json');
const client = new RtClient();
const wireguard = new Wireguard();
after(() => {
  client.close();
  wireguard.close();
  rmSync(folder, { recursive: true, force: true });
});

const PORT = 51_850;
const MTU = 1660;
let now = Date.now();
let skip = false;
try {
  wireguard.require();
} catch (error) {
  skip = true;
  console.log(`no WireGuard: ${(error as Error).message}`);
}

async function open(): Promise<Tunnels> {
  const log = createLog('agent', 'silent');
  const tunnels = new Tunnels({ client, keys: new KeyFile(path), port: PORT, log, now: () => now });
  await tunnels.open();
  return tunnels;
}

const UNDERLAY = { device: 'und', address: '10.98.0.1', mtu: MTU };
const PEER = makeKey(0, 0);

/** A program that receives copies of one node by each of these own keys. */
function programOf(...keys: string[]): NodeProgram {
  const terminations = keys.map((ownKey) => ({
    ...{ id: 'p/from/other', policy: 'p', node: 'other', session: 1, generation: 0, delivery: 'p/local' },
    address: tunnelAddress(PEER.publicKey),
    tunnel: { ownKey, peerKey: PEER.publicKey, endpoint: { address: '10.98.0.2', port: PORT } },
  }));
  return { ...emptyProgram('own', 1), terminations };
}

interface ShownLink {
  ifname: string;
  ifindex: number;
  mtu: number;
  ifalias?: string;
  flags: string[];
}

function shown(): ShownLink[] {
  const links: Partial<ShownLink>[] = JSON.parse(run('ip', '-j', '-d', 'link', 'show', 'type', 'wireguard') || '[]');
  // iproute2 prints an empty object for each device of another type.
  return links.filter((one): one is ShownLink => one.ifname !== undefined);
}

const ownKey = (tunnels: Tunnels) => tunnels.addTo(UNDERLAY).wireguard!.publicKey;

test('a device is made when a program needs it, and is found again after a crash, with its key', { skip }, async () => {
  const first = await open();
  assert.deepEqual(shown(), []);
  const key = ownKey(first);
  assert.equal(first.addTo(UNDERLAY).wireguard?.port, PORT);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const state = (await first.ensure(programOf(key), MTU)).get(key);
  const [device] = shown();
  assert.deepEqual([device?.ifname, device?.mtu, device?.ifalias], ['mirrorwg0', MTU - 60, 'mirrorplane:tunnel']);
  assert.ok(device?.flags.includes('UP'));
  assert.deepEqual(state, { ifindex: device?.ifindex });
  const { publicKey, port, peers } = wireguard.get(device!.ifindex);
  assert.deepEqual([publicKey?.toString('base64'), port], [key, PORT]);
  assert.deepEqual(
    peers.map((peer) => peer.toString('base64')),
    [PEER.publicKey],
  );
  assert.equal(readFileSync('/proc/sys/net/ipv4/conf/mirrorwg0/rp_filter', 'utf8').trim(), '1');
  first.close();

  const second = await open();
  assert.equal(ownKey(second), key);
  assert.deepEqual((await second.ensure(programOf(key), MTU)).get(key), state);
  assert.equal(shown().length, 1);
  second.close();
});

test('other software that removes, renames or brings down the device does not end it', { skip }, async () => {
  const tunnels = await open();
  const program = programOf(ownKey(tunnels));
  const made = [...(await tunnels.ensure(program, MTU)).values()][0] as { ifindex: number };
  run('ip', 'link', 'set', 'mirrorwg0', 'down');
  await tunnels.ensure(program, MTU);
  assert.ok(shown()[0]?.flags.includes('UP'));
  run('ip', 'link', 'del', 'mirrorwg0');
  const again = [...(await tunnels.ensure(program, MTU)).values()][0] as { ifindex: number };
  assert.notEqual(again.ifindex, made.ifindex);
  assert.deepEqual(wireguard.get(again.ifindex).peers.length, 1);
  tunnels.close();
});

test('a changed MTU of the underlay changes that of the device', { skip }, async () => {
  const tunnels = await open();
  await tunnels.ensure(programOf(ownKey(tunnels)), 1500);
  assert.equal(shown()[0]?.mtu, 1440);
  tunnels.close();
});

test('an old key gets a successor with a device of its own, and goes when nothing uses it', { skip }, async () => {
  const tunnels = await open();
  const old = ownKey(tunnels);
  now += KEY_LIFE_MS;
  await tunnels.ensure(programOf(old), MTU);
  const { publicKey, port } = tunnels.addTo(UNDERLAY).wireguard!;
  assert.notEqual(publicKey, old);
  assert.equal(port, PORT + 1);
  const both = await tunnels.ensure(programOf(old, publicKey), MTU);
  assert.equal(both.size, 2);
  assert.deepEqual(
    shown()
      .map(({ ifname }) => ifname)
      .sort(),
    ['mirrorwg0', 'mirrorwg1'],
  );
  const program = programOf(publicKey);
  await tunnels.ensure(program, MTU);
  await tunnels.retain(program);
  assert.equal(shown().length, 2, 'the last copies may still be on their way');
  now += KEY_REST_MS;
  await tunnels.ensure(program, MTU);
  await tunnels.retain(program);
  assert.deepEqual(
    shown().map(({ ifname }) => ifname),
    ['mirrorwg1'],
  );
  assert.equal(JSON.parse(readFileSync(path, 'utf8')).keys.length, 1);
  tunnels.close();
});

test('a port that another program has, and a name, are said with the remedy', { skip }, async () => {
  await removeTunnels(client);
  const tunnels = await open();
  const key = ownKey(tunnels);
  const { port } = tunnels.addTo(UNDERLAY).wireguard!;
  const other = createSocket('udp4').bind(port);
  await once(other, 'listening');
  const taken = (await tunnels.ensure(programOf(key), MTU)).get(key) as { why: string };
  assert.match(taken.why, new RegExp(`UDP port ${port} is in use.*--wireguard-port`));
  await new Promise<void>((resolve) => other.close(() => resolve()));
  assert.ok('ifindex' in (await tunnels.ensure(programOf(key), MTU)).get(key)!);

  await removeTunnels(client);
  run('ip', 'link', 'add', 'mirrorwg1', 'type', 'wireguard');
  const named = (await tunnels.ensure(programOf(key), MTU)).get(key) as { why: string };
  assert.match(named.why, /mirrorwg1 exists that Mirrorplane did not make/);
  await removeTunnels(client);
  assert.deepEqual(
    shown().map(({ ifname }) => ifname),
    ['mirrorwg1'],
    'a foreign device stays',
  );
  run('ip', 'link', 'del', 'mirrorwg1');
  tunnels.close();
});

test('a device goes when no program needs it', { skip }, async () => {
  const tunnels = await open();
  await tunnels.ensure(programOf(ownKey(tunnels)), MTU);
  const nothing = emptyProgram('own', 2);
  await tunnels.retain(nothing);
  now += 60_000;
  await tunnels.retain(nothing);
  assert.deepEqual(shown(), []);
  tunnels.close();
});
