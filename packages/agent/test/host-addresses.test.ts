/** The node's own addresses are read again only where they may have changed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownHostAddresses } from '../src/discovery/host-addresses.ts';
import { link } from './support.ts';

const NIC = link('eth0', 2, { up: true });

/** @returns how often addresses were read, and the addresses by the devices of a pass */
function known() {
  const read = { times: 0 };
  const addresses = new KnownHostAddresses(() => [`address ${++read.times}`]);
  return { read, addresses };
}

test('a new device does not make the agent read addresses', () => {
  const { read, addresses } = known();
  assert.deepEqual(addresses.of([NIC]), ['address 1']);
  assert.deepEqual(addresses.of([NIC, link('tap1', 3, { up: true })]), ['address 1']);
  assert.equal(read.times, 1);
});

test('addresses are read again after the kernel has reported a change of them', () => {
  const { addresses } = known();
  addresses.of([NIC]);
  addresses.forget();
  assert.deepEqual(addresses.of([NIC]), ['address 2']);
});

test('addresses are read again where a device is gone, or is set up or down', () => {
  const { addresses } = known();
  addresses.of([NIC]);
  assert.deepEqual(addresses.of([{ ...NIC, up: false }]), ['address 2']);
  assert.deepEqual(addresses.of([]), ['address 3']);
});
