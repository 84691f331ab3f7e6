/** Keys of a node, requests to the kernel's WireGuard, and peers of a program. */
import assert from 'node:assert/strict';
import { createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { emptyProgram, tunnelAddress } from '@mirrorplane/contract';
import { attributes, repeated } from '../src/netlink/rtnetlink.ts';
import { decodeDevice, encodeSettings, type WireguardPeer } from '../src/netlink/wireguard.ts';
import { KEY_LIFE_MS, KEY_REST_MS, KeyFile, makeKey, renewKeys } from '../src/underlay/keys.ts';
import { ownKeys, peersOf } from '../src/underlay/peers.ts';
import { temporaryFolder } from './support.ts';

const NOW = Date.UTC(2026, 0, 31);

test('the public key belongs to the private key: both ends agree on a secret', () => {
  const { privateKey, publicKey } = makeKey(0, NOW);
  const head = Buffer.from('302e020100300506032b656e04220420', 'hex');
  const own = createPrivateKey({ key: Buffer.concat([head, privateKey]), format: 'der', type: 'pkcs8' });
  const shown = Buffer.concat([Buffer.from('302a300506032b656e032100', 'hex'), Buffer.from(publicKey, 'base64')]);
  const public_ = createPublicKey({ key: shown, format: 'der', type: 'spki' });
  const other = generateKeyPairSync('x25519');
  assert.deepEqual(
    diffieHellman({ privateKey: own, publicKey: other.publicKey }),
    diffieHellman({ privateKey: other.privateKey, publicKey: public_ }),
  );
});

test('keys are read as they were written, from a file that only its owner may read', async (t) => {
  const path = join(temporaryFolder(t), 'wireguard.json');
  const file = new KeyFile(path);
  assert.deepEqual(await file.load(), []);
  const keys = [makeKey(1, NOW), makeKey(0, NOW + 1)];
  await file.save(keys);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(await file.load(), keys);
});

test('a file that cannot be read is named, and its content is not', async (t) => {
  const path = join(temporaryFolder(t), 'wireguard.json');
  writeFileSync(path, '{"keys":[{"privateKey":"secret');
  await assert.rejects(new KeyFile(path).load(), (error: Error) => {
    assert.ok(error.message.includes(path) && !`${error.message}${error.cause}`.includes('secret'));
    return true;
  });
  assert.ok(readFileSync(path, 'utf8').length > 0);
});

test('a node has one key, two while it changes, and none that a program still names goes', () => {
  const first = renewKeys([], undefined, NOW);
  assert.deepEqual(
    first.map(({ slot }) => slot),
    [0],
  );
  assert.equal(renewKeys(first, new Set(), NOW + KEY_LIFE_MS - 1), first);
  const changed = NOW + KEY_LIFE_MS;
  const both = renewKeys(first, new Set([first[0]!.publicKey]), changed);
  assert.deepEqual(
    both.map(({ slot }) => slot),
    [0, 1],
  );
  assert.equal(both[0], first[0]);
  const used = new Set([first[0]!.publicKey]);
  for (const [names, at] of [
    [used, changed + 2 * KEY_LIFE_MS],
    [undefined, changed + 2 * KEY_LIFE_MS],
    [new Set<string>(), changed + KEY_REST_MS - 1],
  ] as const) {
    assert.equal(renewKeys(both, names, at), both);
  }
  assert.deepEqual(renewKeys(both, new Set(), changed + KEY_REST_MS), [both[1]]);
});

const WGDEVICE = { PUBLIC_KEY: 4, PRIVATE_KEY: 3, LISTEN_PORT: 6, PEERS: 8 };

function peer(index: number): WireguardPeer {
  const publicKey = Buffer.alloc(32);
  publicKey.writeUInt32BE(index);
  return { publicKey, endpoint: { address: '10.98.0.2', port: 51_850 }, address: '240.0.0.2' };
}

test('many peers are divided into several requests, and only the first one has the key', () => {
  const peers = Array.from({ length: 1000 }, (_, index) => peer(index));
  const requests = encodeSettings(7, { privateKey: Buffer.alloc(32, 1), port: 51_850, peers });
  const parts = requests.map((request) => attributes(request, 4));
  assert.deepEqual(
    parts.map((part) => [part.has(WGDEVICE.PRIVATE_KEY), part.has(WGDEVICE.LISTEN_PORT)]),
    [[true, true], ...Array.from({ length: requests.length - 1 }, () => [false, false])],
  );
  assert.ok(requests.length > 1);
  assert.ok(
    parts.every((part) => part.get(WGDEVICE.PEERS)!.length < 2 ** 16 - 4),
    'a length has 16 bits',
  );
  const keys = parts.flatMap((part) => repeated(part.get(WGDEVICE.PEERS), 0)).map((one) => attributes(one, 0).get(1));
  assert.deepEqual(
    keys,
    peers.map(({ publicKey }) => publicKey),
  );
  assert.equal(encodeSettings(7, { peers: [] }).length, 1);
});

test('a peer has the layout of include/uapi/linux/wireguard.h', () => {
  const [request] = encodeSettings(7, { peers: [peer(0xa1b2c3d4)] });
  const expected = [
    '01010000', // WG_CMD_SET_DEVICE, version 1
    '0800 0100 07000000', // IFINDEX
    '7000 0880', // PEERS
    '6c00 0080', // the peer
    '2400 0100 a1b2c3d4', // PUBLIC_KEY
    '00'.repeat(28),
    '0800 0300 02000000', // FLAGS: REPLACE_ALLOWEDIPS
    '1400 0400 0200ca8a0a620002 0000000000000000', // ENDPOINT: struct sockaddr_in
    '0600 0500 1900 0000', // PERSISTENT_KEEPALIVE_INTERVAL, seconds
    '2000 0980 1c00 0080', // ALLOWEDIPS, the only one
    '0600 0100 0200 0000', // FAMILY
    '0800 0200 f0000002', // IPADDR
    '0500 0300 20 000000', // CIDR_MASK
  ];
  assert.equal(request!.toString('hex'), expected.join('').replaceAll(' ', ''));
});

test('a device with many peers comes in several messages, and no peer counts twice', () => {
  const [first] = encodeSettings(7, { port: 51_850, peers: [peer(1), peer(2)] });
  const [second] = encodeSettings(7, { peers: [peer(2), peer(3)] });
  const { port, peers, publicKey } = decodeDevice([first!, second!]);
  assert.deepEqual([port, publicKey], [51_850, undefined]);
  assert.deepEqual(
    peers,
    [1, 2, 3].map((index) => peer(index).publicKey),
  );
});

test('peers are the nodes that a program names, once for each own key', () => {
  const [own, next, peerKey] = [1, 2, 3].map((byte) => Buffer.alloc(32, byte).toString('base64')) as [
    string,
    string,
    string,
  ];
  const endpoint = { address: '10.98.0.2', port: 51_850 };
  const end = { policy: 'p', node: 'node-2', session: 1, generation: 0, delivery: 'p/local' };
  const program = {
    ...emptyProgram('node-1', 1),
    terminations: [
      { ...end, id: 'a', address: tunnelAddress(peerKey), tunnel: { ownKey: own, peerKey, endpoint } },
      { ...end, id: 'b', address: tunnelAddress(peerKey), tunnel: { ownKey: own, peerKey, endpoint } },
      { ...end, id: 'c', address: tunnelAddress(peerKey), tunnel: { ownKey: next, peerKey, endpoint } },
      { ...end, id: 'd', address: '10.98.0.3' },
    ],
  };
  assert.deepEqual([...ownKeys(program)], [own, next]);
  const one = { publicKey: Buffer.from(peerKey, 'base64'), endpoint, address: tunnelAddress(peerKey) };
  assert.deepEqual(
    [...peersOf(program)],
    [own, next].map((key) => [key, new Map([[peerKey, one]])]),
  );
});
