/** Sizes and addresses of tunnels between nodes. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import test from 'node:test';
import { carrierMtu, tunnelAddress, tunnelMtu, WireguardKey } from '@mirrorplane/contract';

test('a packet that is filled up to 16 bytes fits into the network below, and 16 bytes more would not', () => {
  for (let mtu = 1280; mtu <= 9000; mtu++) {
    const padded = Math.ceil(tunnelMtu(mtu) / 16) * 16;
    assert.ok(padded + 60 <= mtu && padded + 16 + 60 > mtu);
    assert.ok(tunnelMtu(carrierMtu(mtu)) >= mtu && tunnelMtu(carrierMtu(mtu) - 1) < mtu);
  }
});

test('the address of a key is made of its first 27 bits, and no host has it', () => {
  for (let i = 0; i < 1000; i++) {
    const key = randomBytes(32);
    const bits = key.readUInt32BE() >>> 5;
    const [a, b, c, d] = tunnelAddress(key.toString('base64')).split('.').map(Number) as [
      number,
      number,
      number,
      number,
    ];
    assert.ok(a >= 240 && a <= 247);
    assert.equal(((a - 240) << 24) | (b << 16) | (c << 8) | d, bits);
  }
});

test('a key has exactly 32 bytes', () => {
  const key = randomBytes(32).toString('base64');
  assert.ok(WireguardKey.safeParse(key).success);
  for (const wrong of ['', key.slice(1), `${key.slice(0, 42)}B=`, randomBytes(33).toString('base64'), ` ${key}`]) {
    assert.ok(!WireguardKey.safeParse(wrong).success, wrong);
  }
});
