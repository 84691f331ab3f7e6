/** From reasons and functions of the kernel to causes; the maps are those of Linux 6.1 to 6.18. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { causeOf, type DropFacts } from '../src/datapath/drop-cause.ts';

const FACTS: DropFacts = {
  reason: '',
  function: '',
  frame: 1514,
  mtu: 1500,
  up: true,
  toMany: false,
  notForHost: false,
  device: 'other',
};
const to = (facts: Partial<DropFacts>) => causeOf({ ...FACTS, ...facts });

for (const [reason, cause] of [
  ['NETFILTER_DROP', 'rule'],
  ['OVS_DROP_EXPLICIT', 'rule'],
  ['OVS_DROP_METER', 'rateLimit'],
  ['QDISC_DROP', 'queue'],
  ['FULL_RING', 'ring'],
  ['DEV_READY', 'device'],
  ['BRIDGE_INGRESS_STP_STATE', 'device'],
  ['PKT_TOO_BIG', 'tooBig'],
  ['IP_RPFILTER', 'noRoute'],
  ['NO_SOCKET', 'noRoute'],
  ['IP_CSUM', 'malformed'],
  ['TCP_CSUM', 'malformed'],
  ['TC_INGRESS', 'unclear'],
  ['TC_EGRESS', 'unclear'],
  ['OPENVSWITCH:7', 'unclear'],
  ['#200', 'unclear'],
] as const) {
  test(`${reason} is ${cause}`, () => assert.equal(to({ reason }), cause));
}

for (const [name, cause] of [
  ['nf_hook_slow', 'rule'],
  ['__dev_queue_xmit', 'unclear'],
  ['tbf_enqueue', 'queue'],
  ['tun_net_xmit', 'unclear'],
  ['tun_queue_purge', 'device'],
  ['br_handle_frame', 'unclear'],
  ['br_handle_frame_finish', 'device'],
  ['__br_forward', 'device'],
  ['neigh_resolve_output', 'noRoute'],
  ['some_driver_rx', 'unclear'],
  ['', 'unclear'],
] as const) {
  test(`without a reason, ${name || 'no function'} is ${cause}`, () => assert.equal(to({ function: name }), cause));
}

test('what is handed to a device is too big for it, or the device is down', () => {
  const handed = { function: 'br_dev_queue_push_xmit' };
  assert.equal(to({ ...handed, frame: 1515 }), 'tooBig');
  assert.equal(to({ ...handed, frame: 1514 }), 'unclear');
  assert.equal(to({ ...handed, up: false }), 'device');
  assert.equal(to({ function: '__dev_forward_skb2' }), 'tooBig');
  assert.equal(to({ function: '__dev_queue_xmit', up: false }), 'device');
});

for (const [what, facts] of [
  ['what a socket ends', { reason: 'SOCKET_FILTER' }],
  ['what TCP has no use for', { reason: 'TCP_OLD_DATA' }],
  ['what was used up', { reason: 'CONSUMED' }],
  ['a copy for a program that listens', { reason: 'PACKET_SOCK_ERROR' }],
  ['the same on an older kernel', { function: 'tpacket_rcv' }],
  ['what a bridge has sent to the node, too', { reason: 'NETFILTER_DROP', notForHost: true, device: 'bridge' }],
  ['what a network brings that is for others', { reason: 'OTHERHOST', notForHost: true }],
  ['the same on an older kernel', { function: 'ip_rcv', notForHost: true }],
  ['what is for a group that nobody is in', { reason: 'UNHANDLED_PROTO', toMany: true }],
  ['what is for all where nobody is', { reason: 'NO_TX_TARGET', toMany: true }],
] as const) {
  test(`no loss: ${what} (${JSON.stringify(facts)})`, () => assert.equal(to(facts), undefined));
}

test('what a guest sends to nobody is told, as is what a rule takes on its way through a bridge', () => {
  assert.equal(to({ reason: 'OTHERHOST', notForHost: true, device: 'guest' }), 'noRoute');
  assert.equal(to({ reason: 'NO_TX_TARGET' }), 'device');
  assert.equal(to({ reason: 'NETFILTER_DROP', notForHost: true }), 'rule');
});
