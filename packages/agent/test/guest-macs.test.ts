/** Which MAC addresses a guest is said to use. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MAX_GUEST_MACS } from '@mirrorplane/contract';
import type { NodeDevice } from '../src/discovery/devices.ts';
import { GuestMacs } from '../src/discovery/guest-macs.ts';
import type { Link } from '../src/netlink/link.ts';

const BRIDGE = 2;
const mac = (n: number) =>
  `02:00:00:00:${(n >> 8).toString(16).padStart(2, '0')}:${(n & 255).toString(16).padStart(2, '0')}`;

function device(ifindex: number, kind: 'vm' | 'nfv' | 'edge', more: Partial<NodeDevice> = {}): NodeDevice {
  const base = { name: `tap${ifindex}`, ifindex, mac: mac(900), mtu: 1500, up: true, linkType: 'tun', ethernet: true };
  return { ...base, identity: { kind, id: `guest-${ifindex}`, name: '', provider: 'alias' }, ...more };
}

function links(master = BRIDGE, learns?: boolean): Link[] {
  const base = { mac: '', permanentMac: '', mtu: 1500, up: true, alias: '', forwarding: true, ethernet: true };
  const ports = [5, 6, 7].map((ifindex) => ({ ...base, name: `tap${ifindex}`, ifindex, linkType: 'tun', master }));
  return [
    { ...base, name: 'br0', ifindex: BRIDGE, linkType: 'bridge', master: 0 },
    ...ports.map((port) => (learns === undefined ? port : { ...port, learns })),
  ];
}

const behind = (port: number, ...macs: string[]) => macs.map((one) => ({ bridge: BRIDGE, port, mac: one }));
const macsOf = (devices: readonly NodeDevice[]) => devices.map(({ guestMacs }) => guestMacs);

test('they are what the provider says and what the bridge has learned, and stay when the bridge forgets', () => {
  const guests = new GuestMacs();
  const devices = [device(5, 'vm', { guestMacs: [mac(9)] }), device(6, 'vm'), device(7, 'edge')];
  const forwarding = [...behind(5, mac(3), mac(9)), ...behind(6, mac(4)), ...behind(7, mac(5))];
  assert.deepEqual(macsOf(guests.look(devices, { links: links(), forwarding })), [
    [mac(3), mac(9)],
    [mac(4)],
    undefined,
  ]);
  const later = guests.look(devices, { links: links(), forwarding: behind(6, mac(8)) });
  assert.deepEqual(macsOf(later), [[mac(3), mac(9)], [mac(4), mac(8)], undefined]);
  const another = { ...devices[1]!, identity: { ...devices[1]!.identity!, id: 'another' } };
  assert.deepEqual(macsOf(guests.look([another], { links: links(), forwarding: [] })), [undefined], 'of another guest');
  assert.deepEqual(macsOf(guests.look([], { links: links(), forwarding: [] })), []);
  assert.deepEqual(macsOf(guests.look(devices.slice(1, 2), { links: links(), forwarding: [] })), [undefined]);
});

test('they are not known of a guest that is silent, and of a router where nobody sees whom it lets through', () => {
  const said = { guestMacs: [mac(1)] };
  const look = (kind: 'vm' | 'nfv', more: Partial<NodeDevice>, around: Parameters<GuestMacs['look']>[1]) =>
    macsOf(new GuestMacs().look([device(5, kind, more)], around))[0];
  assert.equal(look('vm', {}, { links: links(), forwarding: behind(6, mac(1)) }), undefined);
  assert.deepEqual(look('vm', said, { links: links() }), [mac(1)]);
  assert.equal(look('nfv', said, { links: links() }), undefined);
  assert.equal(look('nfv', said, { links: links(0), forwarding: [] }), undefined);
  assert.equal(look('nfv', said, { links: links(BRIDGE, false), forwarding: [] }), undefined);
  assert.deepEqual(look('nfv', said, { links: links(), forwarding: [] }), [mac(1)]);
});

test(`a guest with more than ${MAX_GUEST_MACS} of them has none that are known, from then on`, () => {
  const guests = new GuestMacs();
  const many = Array.from({ length: MAX_GUEST_MACS }, (_, i) => mac(i));
  const look = (...macs: string[]) =>
    macsOf(guests.look([device(5, 'vm')], { links: links(), forwarding: behind(5, ...macs) }))[0];
  assert.equal(look(...many)?.length, MAX_GUEST_MACS);
  assert.equal(look(mac(500)), undefined);
  assert.equal(look(), undefined);
});

test(`an address that the provider says, and the bridge has learned too, counts once among ${MAX_GUEST_MACS}`, () => {
  const guests = new GuestMacs();
  const many = Array.from({ length: MAX_GUEST_MACS + 1 }, (_, i) => mac(i));
  const guest = device(5, 'vm', { guestMacs: [mac(0)] });
  const look = (macs: string[]) =>
    macsOf(guests.look([guest], { links: links(), forwarding: behind(5, ...macs) }))[0]?.length;
  assert.equal(look(many.slice(0, MAX_GUEST_MACS)), MAX_GUEST_MACS);
  assert.equal(look(many), undefined, 'in a later look');
  assert.equal(macsOf(new GuestMacs().look([guest], { links: links(), forwarding: behind(5, ...many) }))[0], undefined);
});
