/** The node's own addresses: read again only where they may have changed, and also without a carrier. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { KnownHostAddresses } from '../src/discovery/host-addresses.ts';
import { Namespace } from './namespace.ts';
import { isRoot } from './support.ts';

const options = { skip: isRoot ? false : 'needs root', timeout: 60_000 };

test('addresses are read once, and again after the kernel has reported a change', () => {
  let read = 0;
  const addresses = new KnownHostAddresses(() => [`address ${++read}`]);
  assert.deepEqual([addresses.current(), addresses.current()], [['address 1'], ['address 1']]);
  addresses.forget();
  assert.deepEqual(addresses.current(), ['address 2']);
});

/** What an agent in the namespace reads. */
function seenIn(namespace: Namespace): string[] {
  const [reading, socket] = ['discovery/host-addresses.ts', 'netlink/rt-sync.ts'].map(
    (file) => new URL(`../src/${file}`, import.meta.url).href,
  );
  const code = `const { hostAddresses } = await import('${reading}');
    const { RtSync } = await import('${socket}');
    console.log(JSON.stringify(hostAddresses(new RtSync())));`;
  const flags = ['--disable-warning=ExperimentalWarning', '--input-type=module'];
  return JSON.parse(namespace.run(process.execPath, ...flags, '-e', code));
}

test('an address stays one of the node while its device has no carrier', options, (t) => {
  const namespace = new Namespace(t);
  namespace.ip('link', 'add', 'nic', 'type', 'veth', 'peer', 'name', 'cable');
  namespace.ip('addr', 'add', '10.98.0.1/24', 'dev', 'nic');
  namespace.ip('link', 'set', 'nic', 'up');
  assert.deepEqual(seenIn(namespace), ['10.98.0.1']);
  namespace.ip('link', 'set', 'cable', 'up');
  assert.deepEqual(seenIn(namespace), ['10.98.0.1']);
  namespace.ip('addr', 'del', '10.98.0.1/24', 'dev', 'nic');
  assert.deepEqual(seenIn(namespace), []);
});

test('IPv6 addresses are written as the data path reads them', options, (t) => {
  const namespace = new Namespace(t);
  namespace.run('sysctl', '-qw', 'net.ipv6.conf.all.disable_ipv6=0', 'net.ipv6.conf.default.disable_ipv6=0');
  namespace.ip('link', 'add', 'nic', 'type', 'veth', 'peer', 'name', 'cable');
  namespace.ip('addr', 'add', 'fd00::1:2/64', 'dev', 'nic');
  namespace.ip('link', 'set', 'nic', 'up');
  assert.ok(seenIn(namespace).includes('fd00:0:0:0:0:0:1:2'), seenIn(namespace).join());
});
