/** Network devices as netlink tells of them, held against `ip`. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { type TestContext, test } from 'node:test';
import { dumpLinks, type Link, parseLink, parsePort } from '../src/netlink/link.ts';
import { RtClient } from '../src/netlink/rt-client.ts';
import { attribute, RTM, u32 } from '../src/netlink/rtnetlink.ts';
import { Namespace, Probe } from './namespace.ts';
import { isRoot } from './support.ts';

const options = { skip: isRoot ? false : 'needs root', timeout: 60_000 };

interface Lines {
  links: Link[];
  deaf: boolean;
}

async function watched(t: TestContext, ...args: string[]) {
  const namespace = new Namespace(t);
  const probe = new Probe<Lines>(t, namespace, 'links', ...args);
  const has = (what: string, check: (links: Link[]) => boolean) => probe.see(what, 'links', check);
  await has('the first list', (links) => links.some(({ name }) => name === 'lo'));
  return { namespace, probe, has };
}

const named = (links: Link[], name: string) => links.find((link) => link.name === name);

test('a device that appears is seen with all that is known of it', options, async (t) => {
  const { namespace, has } = await watched(t);
  namespace.ip(
    'link',
    'add',
    'tap1',
    'mtu',
    '1400',
    'address',
    '02:00:00:00:01:01',
    'type',
    'veth',
    'peer',
    'name',
    'peer1',
  );
  const links = await has('tap1', (all) => named(all, 'tap1') !== undefined && named(all, 'peer1') !== undefined);
  const { ifindex, seenAt, peer, ...tap1 } = named(links, 'tap1')!;
  assert.ok(ifindex > 1);
  assert.ok(seenAt !== undefined && seenAt > 0, 'it came while we listened');
  assert.equal(peer, named(links, 'peer1')?.ifindex);
  assert.deepEqual(tap1, {
    name: 'tap1',
    mac: '02:00:00:00:01:01',
    permanentMac: '',
    master: 0,
    forwarding: true,
    learns: true,
    floods: 7,
    mtu: 1400,
    up: false,
    linkType: 'veth',
    alias: '',
    ethernet: true,
  });
  assert.equal(named(links, 'lo')?.ethernet, false);
  assert.equal(named(links, 'lo')?.seenAt, undefined, 'it was there before');
});

test('alias, name, MTU, address and state of a device are followed', options, async (t) => {
  const { namespace, has } = await watched(t);
  namespace.ip('link', 'add', 'tap1', 'up', 'type', 'veth', 'peer', 'name', 'peer1');
  const alias = 'mirrorplane:kind=vm;id=web-1/0;name=web-1 eth0;network=blue';
  namespace.ip('link', 'set', 'tap1', 'alias', alias);
  const before = named(await has('the alias', (all) => named(all, 'tap1')?.alias === alias), 'tap1')!;
  namespace.ip('link', 'set', 'tap1', 'mtu', '9000');
  await has('the MTU', (all) => named(all, 'tap1')?.mtu === 9000);
  namespace.ip('link', 'set', 'tap1', 'address', '02:00:00:00:01:02');
  await has('the address', (all) => named(all, 'tap1')?.mac === '02:00:00:00:01:02');
  namespace.ip('link', 'set', 'tap1', 'down');
  await has('down', (all) => named(all, 'tap1')?.up === false);
  namespace.ip('link', 'set', 'tap1', 'name', 'tap9');
  const links = await has('the name', (all) => named(all, 'tap9') !== undefined);
  assert.equal(named(links, 'tap9')?.ifindex, before.ifindex);
  assert.equal(named(links, 'tap1'), undefined);
});

test(
  'an alias set while a device is down is seen when it comes up: the kernel announces it only then',
  options,
  async (t) => {
    const { namespace, has } = await watched(t);
    namespace.ip('link', 'add', 'tap1', 'type', 'veth', 'peer', 'name', 'peer1');
    namespace.ip('link', 'set', 'tap1', 'alias', 'mirrorplane:kind=vm;id=web-1/0');
    namespace.ip('link', 'set', 'tap1', 'up');
    const links = await has('up', (all) => named(all, 'tap1')?.up === true);
    assert.equal(named(links, 'tap1')?.alias, 'mirrorplane:kind=vm;id=web-1/0');
  },
);

test('a device that goes is not listed any more, and one that leaves a bridge is', options, async (t) => {
  const { namespace, has } = await watched(t);
  namespace.ip('link', 'add', 'br0', 'type', 'bridge');
  namespace.ip('link', 'add', 'tap1', 'type', 'veth', 'peer', 'name', 'peer1');
  namespace.ip('link', 'set', 'tap1', 'master', 'br0');
  await has('both', (all) => named(all, 'br0')?.linkType === 'bridge' && named(all, 'tap1') !== undefined);
  namespace.ip('link', 'set', 'tap1', 'nomaster');
  namespace.ip('link', 'set', 'tap1', 'mtu', '1300');
  await has('it stays', (all) => named(all, 'tap1')?.mtu === 1300);
  namespace.ip('link', 'del', 'tap1');
  await has('it goes', (all) => named(all, 'tap1') === undefined && named(all, 'peer1') === undefined);
});

test('a device that comes back under the same ifindex is announced, though it looks the same', options, async (t) => {
  const { namespace, probe, has } = await watched(t);
  const add = [
    'link',
    'add',
    'tap1',
    'index',
    '77',
    'address',
    '02:00:00:00:01:01',
    'type',
    'veth',
    'peer',
    'name',
    'p1',
  ];
  namespace.ip(...add, 'index', '78', 'address', '02:00:00:00:01:02');
  const first = await has('tap1', (all) => named(all, 'tap1') !== undefined);
  const before = probe.lines.length;
  const { seenAt } = named(first, 'tap1')!;
  namespace.ip('link', 'del', 'tap1');
  namespace.ip(...add, 'index', '78', 'address', '02:00:00:00:01:02');
  await probe.see('a new list', 'links', (all) => probe.lines.length > before && named(all, 'tap1') !== undefined);
  await has('its own time', (all) => (named(all, 'tap1')?.seenAt ?? 0) > seenAt!);
});

test('two hundred devices at once are all seen', options, async (t) => {
  const { namespace, has } = await watched(t);
  for (let i = 0; i < 100; i++) {
    namespace.ip('link', 'add', `a${i}`, 'type', 'veth', 'peer', 'name', `b${i}`);
  }
  const links = await has('all of them', (all) => all.filter(({ linkType }) => linkType === 'veth').length === 200);
  assert.equal(new Set(links.map(({ ifindex }) => ifindex)).size, links.length);
});

test('after events were lost, everything is read again', options, async (t) => {
  const { namespace, probe, has } = await watched(t, '4096', '2000');
  probe.say('be deaf\n');
  await probe.see('it is deaf', 'deaf');
  for (let i = 0; i < 40; i++) {
    namespace.ip('link', 'add', `a${i}`, 'type', 'veth', 'peer', 'name', `b${i}`);
  }
  namespace.ip('link', 'del', 'a0');
  await has('79 of them less one pair', (all) => all.filter(({ linkType }) => linkType === 'veth').length === 78);
  namespace.ip('link', 'set', 'a1', 'mtu', '1234');
  await has('later events', (all) => named(all, 'a1')?.mtu === 1234);
});

test('a device of this machine has a bus where sysfs shows hardware behind it, and nowhere else', async () => {
  const client = new RtClient();
  try {
    const links = [...(await dumpLinks(client)).values()];
    const withBus = links.filter(({ bus }) => bus !== undefined).map(({ name }) => name);
    const withHardware = links.map(({ name }) => name).filter((name) => existsSync(`/sys/class/net/${name}/device`));
    assert.deepEqual(withBus, withHardware);
  } finally {
    client.close();
  }
});

/** An event of a device: struct ifinfomsg of a family, and attributes. */
function event(family: number, ifindex: number, ...attributes: Buffer[]) {
  const header = Buffer.concat([Buffer.from([family, 0, 1, 0]), u32(ifindex), Buffer.alloc(8)]);
  return { type: RTM.NEWLINK, data: Buffer.concat([header, ...attributes]) };
}
const IFLA = { IFNAME: 3, LINK: 5, PROTINFO: 12 } as const;
const AF_BRIDGE = 7;

test('an event of a port tells whether it forwards, and an event without that tells nothing', () => {
  const port = (state: number) => event(AF_BRIDGE, 9, attribute(IFLA.PROTINFO, attribute(1, Buffer.from([state]))));
  assert.deepEqual(parsePort(port(3)), { ifindex: 9, forwarding: true });
  assert.deepEqual(parsePort(port(1)), { ifindex: 9, forwarding: false });
  assert.equal(parsePort(event(AF_BRIDGE, 9)), undefined);
  assert.equal(parsePort(event(0, 9, attribute(IFLA.PROTINFO, attribute(1, Buffer.from([3]))))), undefined);
});

test('an event of a cable whose other end is about to be made names no other end', () => {
  const named = attribute(IFLA.IFNAME, Buffer.from('tap1\0'));
  assert.equal(parseLink(event(0, 9, named, attribute(IFLA.LINK, u32(0))))?.peer, undefined);
  assert.equal(parseLink(event(0, 9, named, attribute(IFLA.LINK, u32(8))))?.peer, 8);
});
