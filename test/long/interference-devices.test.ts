/**
 * Devices, bridges and the underlay change under running mirrors: copies follow within a second,
 * and nothing is duplicated.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';

import { guestLines, nodeVmFdbLines, nodeVmLines, tapMac } from '@mirrorplane/lab/testing';
import {
  FLOWS,
  interfere,
  ip,
  ipLink,
  newestEvent,
  pinnedLinks,
  repairsAfter,
  startFlows,
  tcxPrograms,
} from '../support/interfering.ts';
import { useLab } from '../support/lab.ts';
import type { Numbered } from '../support/numbered.ts';
import { activeEventually, packets, policyStatus, statusEventually } from '../support/policy.ts';
import { watch } from '../support/taps.ts';
import { ping, sendFrames } from '../support/traffic.ts';

const lab = useLab({ vmsPerNode: 1 });
const NODE = 'node-1';
const ALL = Object.keys(FLOWS);
const REMOTE = ['remoteOut', 'remoteIn'];
const LOCAL = ['localOut', 'localIn'];
const EDGE = ['edgeOut', 'edgeIn'];
const OTHERS = [...LOCAL, ...EDGE];
let traffic: Numbered;
after(() => traffic?.stop());

const set = (host: string, ...words: string[]) => ip(lab(), host, 'link', 'set', ...words);
const dropped = async (policy: string, reason: string) =>
  packets((await policyStatus(lab(), policy)).totals)!.dropped[reason] ?? 0;
const alias = (id: string) => `mirrorplane:kind=vm;id=${id}`;

test('every flow is copied', async () => {
  traffic = await startFlows(lab());
});

test('a source that is renamed is captured all the while, and shown under its new name', async (t) => {
  for (const [from, to] of [
    ['tap-web-1', 'renamed0'],
    ['renamed0', 'tap-web-1'],
  ] as const) {
    await interfere(t, traffic, () => set(NODE, from, 'name', to));
    await statusEventually(lab(), 'remote', `source on ${to}`, ({ sources }) => sources[0]?.devices[0]?.name === to);
  }
});

test('an edge that is renamed away is no edge any more; another NIC that takes the name is', async (t) => {
  const destination = async () => (await policyStatus(lab(), 'edge')).destination.devices.map(({ name }) => name);
  const leaves = async (port: string) => {
    const taps = {
      edge0: { host: 'switch', device: 'node-1-edge0' },
      edge1: { host: 'switch', device: 'node-1-edge1' },
    };
    const filter = 'vlan 100 and udp and portrange 7005-7006';
    const seen = await watch(
      lab(),
      { edge0: { ...taps.edge0, filter, direction: 'in' }, edge1: { ...taps.edge1, filter, direction: 'in' } },
      () => traffic.moreCopies(EDGE, 20),
    );
    assert.equal(seen.edge0.packets > 0, port === 'edge0');
    assert.equal(seen.edge1.packets > 0, port === 'edge1');
  };
  await set(NODE, 'edge0', 'name', 'old0');
  await statusEventually(lab(), 'edge', 'no device', ({ destination: { devices } }) => devices.length === 0);
  assert.deepEqual(await destination(), []);
  await interfere(t, traffic, () => set(NODE, 'edge1', 'name', 'edge0'), { hit: EDGE });
  await leaves('edge1');
  await set(NODE, 'edge0', 'name', 'edge1');
  await interfere(t, traffic, () => set(NODE, 'old0', 'name', 'edge0'), { hit: EDGE });
  await leaves('edge0');
});

/** Makes the device of a VM again, with this ifindex and alias. */
async function remake(name: string, ifindex: number, identity?: string): Promise<void> {
  const vm = lab().vm(name);
  const guest = lab().ns(name);
  const lines = [
    `link del ${vm.device}`,
    `link add ${vm.device} index ${ifindex} address ${tapMac(vm)} type veth peer ${vm.guestDevice} address ${vm.mac} netns ${guest}`,
    ...nodeVmLines(vm).map((line) =>
      line.includes('alias') && identity ? `link set ${vm.device} alias "${identity}"` : line,
    ),
  ];
  await lab().exec(NODE, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  await lab().exec(NODE, ['bridge', '-batch', '-'], { input: `${nodeVmFdbLines(vm, NODE).join('\n')}\n` });
  const up = guestLines(lab().topology, vm).join('\n');
  await lab().exec(name, ['ip', '-batch', '-'], { input: `${up}\n` });
  await traffic.watch(name);
}

test('a source that is created again with the same ifindex is captured again', async (t) => {
  const { ifindex } = (await ipLink(lab(), NODE, 'tap-web-1'))!;
  const newest = await newestEvent(lab());
  await interfere(t, traffic, () => remake('web-1', ifindex), { hit: REMOTE });
  assert.deepEqual(await repairsAfter(lab(), NODE, newest), [], 'nobody interfered');
});

test('another guest that gets the ifindex of a source is not captured, nor does one get copies for another', async (t) => {
  for (const [name, policy, flows] of [
    ['web-1', 'remote', REMOTE],
    ['vm-1-1', 'local', LOCAL],
  ] as const) {
    const { ifindex } = (await ipLink(lab(), NODE, `tap-${name}`))!;
    await remake(name, ifindex, alias('stranger-1/0'));
    await statusEventually(lab(), policy, 'waiting', ({ state }) => state === 'waiting');
    const before = flows.map((flow) => traffic.copied(flow));
    await traffic.moreCopies(
      ALL.filter((flow) => !(flows as readonly string[]).includes(flow)),
      30,
    );
    assert.deepEqual(
      flows.map((flow) => traffic.copied(flow)),
      before,
    );
    await interfere(t, traffic, () => set(NODE, `tap-${name}`, 'alias', alias(`${name}/0`)), { hit: flows });
  }
});

test('an alias that becomes another, or goes, ends the capture at once; when it is back, the capture is', async (t) => {
  for (const identity of [alias('stranger-2/0'), '']) {
    const before = REMOTE.map((flow) => traffic.copied(flow));
    const told = performance.now();
    await set(NODE, 'tap-web-1', 'alias', identity);
    await until(
      'no program of a capture',
      async () => {
        const { ingress, egress } = (await tcxPrograms(lab(), NODE))['tap-web-1']!;
        return ingress.length <= 1 && egress.length === 0;
      },
      { limitMs: 5000 },
    );
    const late = REMOTE.map((flow, i) => traffic.copied(flow) - before[i]!);
    t.diagnostic(`copies after it: ${late.join(' and ')} in ${Math.round(performance.now() - told)} ms`);
    const settled = REMOTE.map((flow) => traffic.copied(flow));
    await traffic.moreCopies(OTHERS, 30);
    const after = REMOTE.map((flow) => traffic.copied(flow));
    // What was on its way when the program went.
    const more = after.map((copies, i) => copies - settled[i]!);
    assert.ok(
      more.every((copies) => copies <= 2),
      `${more} copies too many`,
    );
    await statusEventually(lab(), 'remote', 'waiting', ({ state }) => state === 'waiting');
    await interfere(t, traffic, () => set(NODE, 'tap-web-1', 'alias', alias('web-1/0')), { hit: REMOTE });
  }
  await activeEventually(lab(), 'remote');
});

test('the MTU of a destination is followed: copies that do not fit are dropped and counted, then they fit again', async () => {
  // The agent reports it after it has carried it out.
  const followed = async (mtu: number) => {
    await set(NODE, 'tap-vm-1-1', 'mtu', String(mtu));
    await until(
      `MTU ${mtu} to be followed`,
      async () => {
        const { body } = await lab().api('GET', `/api/v1/interfaces/${encodeURIComponent('vm-1-1/0')}`);
        return body.devices[0]?.mtu === mtu;
      },
      { limitMs: 5000 },
    );
  };
  await followed(1000);
  const before = await dropped('local', 'tooBigForDestination');
  await ping(lab(), 'web-2', 'app-1', 5, { size: 1200 });
  await statusEventually(lab(), 'local', '10 copies too big', ({ totals }) => {
    return (totals.dropped.tooBigForDestination?.packets ?? 0) === before + 10;
  });
  await followed(1500);
  const seen = await watch(
    lab(),
    { copies: { host: 'vm-1-1', filter: 'icmp', direction: 'in' } },
    async ({ copies }) => {
      await ping(lab(), 'web-2', 'app-1', 5, { size: 1200 });
      await copies.waitFor(10);
    },
  );
  assert.equal(seen.copies.packets, 10);
  assert.equal(await dropped('local', 'tooBigForDestination'), before + 10);
});

test('the MTU of the underlay is followed, of this end and of the other', async () => {
  const truncated = async () => packets((await policyStatus(lab(), 'remote')).totals)!.truncated;
  for (const node of [NODE, 'node-2']) {
    const before = await truncated();
    await set(node, 'underlay0', 'mtu', '1400');
    await until('copies cut', async () => {
      await ping(lab(), 'web-1', 'app-1', 1, { size: 1400 });
      return (await truncated()) > before;
    });
    await set(node, 'underlay0', 'mtu', '1600');
    await until('copies whole', async () => {
      const cut = await truncated();
      await ping(lab(), 'web-1', 'app-1', 2, { size: 1400 });
      const matched = (await policyStatus(lab(), 'remote')).totals.matched.packets;
      await statusEventually(lab(), 'remote', 'counters', ({ totals }) => totals.matched.packets > matched);
      return (await truncated()) === cut;
    });
  }
});

test('flaps of source, destination and underlay are survived; what the destination missed is counted', async (t) => {
  const flap = async (host: string, device: string) => {
    await set(host, device, 'down');
    await traffic.moreCopies(EDGE, 20);
    await set(host, device, 'up');
  };
  await interfere(t, traffic, () => flap(NODE, 'tap-web-1'), { hit: REMOTE });
  let before = await dropped('local', 'destinationDown');
  const local = await interfere(t, traffic, () => flap(NODE, 'tap-vm-1-1'), { hit: LOCAL });
  const lost = LOCAL.reduce((sum, flow) => sum + local[flow]!.missing, 0);
  await statusEventually(lab(), 'local', `${lost} dropped`, ({ totals }) => {
    return (totals.dropped.destinationDown?.packets ?? 0) >= before + lost - 2;
  });
  before = await dropped('remote', 'destinationDown');
  await interfere(t, traffic, () => flap(NODE, 'underlay0'), { hit: REMOTE });
  await statusEventually(lab(), 'remote', 'dropped', ({ totals }) => {
    return (totals.dropped.destinationDown?.packets ?? 0) > before;
  });
  await interfere(t, traffic, () => flap('node-2', 'underlay0'), { hit: REMOTE });
});

/** A frame that is not IP, of one of the EtherTypes for experiments. */
const oddFrame = (number: number) =>
  `ffffffffffff${lab().mac('web-1').replaceAll(':', '')}88b5${number.toString(16).padStart(8, '0')}`.padEnd(120, '0');

/** Sends frames other than IP from web-1 until one comes to ids-1. */
async function oddFramesArrive(): Promise<void> {
  await watch(
    lab(),
    { copies: { host: 'ids-1', filter: 'ether proto 0x88b5', direction: 'in' } },
    async ({ copies }) => {
      let number = 0;
      await until(
        'a copy of a frame that is not IP',
        async () => {
          await sendFrames(lab(), 'web-1', 'eth0', [oddFrame(number++)]);
          return (await copies.count()) > 0;
        },
        { limitMs: 5000 },
      );
    },
  );
}

test('after a new MAC address of an underlay NIC all copies arrive, also those other than IP, and an event reports it', async (t) => {
  const { address } = (await ipLink(lab(), 'node-2', 'underlay0'))!;
  for (const mac of ['02:00:00:0f:0f:0f', address]) {
    await interfere(
      t,
      traffic,
      async () => {
        await lab().exec('fabric', ['bridge', 'fdb', 'replace', mac, 'dev', 'u-node-2', 'master', 'static']);
        await set('node-2', 'underlay0', 'address', mac);
      },
      { hit: REMOTE },
    );
    await oddFramesArrive();
  }
});

test('a node gets its copies at its new underlay address', async (t) => {
  const other = '10.98.0.99/24';
  const own = `${lab().node('node-2').underlayAddress}/24`;
  for (const [to, from] of [
    [other, own],
    [own, other],
  ] as const) {
    await interfere(
      t,
      traffic,
      async () => {
        await ip(lab(), 'node-2', 'address', 'add', to, 'dev', 'underlay0');
        await ip(lab(), 'node-2', 'address', 'del', from, 'dev', 'underlay0');
        // A primary address takes the secondary ones of its network along.
        await lab().exec('node-2', ['ip', 'address', 'add', to, 'dev', 'underlay0'], { check: false });
      },
      { hit: REMOTE },
    );
    await oddFramesArrive();
  }
});

test('a route to a node that moves to a gateway and back is followed', async (t) => {
  const there = lab().node('node-2').underlayAddress;
  const sysctl = 'echo 1 >/proc/sys/net/ipv4/ip_forward; echo 0 >/proc/sys/net/ipv4/conf/all/send_redirects';
  await lab().exec('node-3', ['sh', '-c', `${sysctl}; echo 0 >/proc/sys/net/ipv4/conf/underlay0/send_redirects`]);
  const gateway = lab().node('node-3').underlayAddress;
  await interfere(t, traffic, () => ip(lab(), NODE, 'route', 'add', there, 'via', gateway, 'dev', 'underlay0'), {
    hit: REMOTE,
  });
  const filter = `ip proto 47 and dst host ${there}`;
  const seen = await watch(
    lab(),
    { gateway: { host: 'node-3', device: 'underlay0', filter, direction: 'in' } },
    async ({ gateway: way }) => {
      await way.waitFor(20);
      await oddFramesArrive();
    },
  );
  assert.ok(seen.gateway.packets >= 20);
  await interfere(t, traffic, () => ip(lab(), NODE, 'route', 'del', there), { hit: REMOTE });
  await oddFramesArrive();
});

test('frames of a new bridge port to a mirrored guest are copied once, before a firewall; the port may disappear', async () => {
  const frames = (count: number) => {
    const head = `${lab().mac('web-1').replaceAll(':', '')}0200000e0e0e88b5`;
    return Array.from({ length: count }, (_, i) => `${head}${i.toString(16).padStart(8, '0')}`.padEnd(120, '0'));
  };
  await ip(lab(), NODE, 'link', 'add', 'port9', 'type', 'veth', 'peer', 'name', 'port9p');
  await set(NODE, 'port9p', 'up');
  await set(NODE, 'port9', 'master', 'br0', 'up');
  await until(
    'arrive at the new port',
    async () => {
      return (await tcxPrograms(lab(), NODE)).port9?.ingress.length === 1;
    },
    { limitMs: 2000 },
  );
  const where = { filter: 'ether proto 0x88b5', direction: 'in' } as const;
  const sent = async () => {
    const taps = { guest: { host: 'web-1', ...where }, copies: { host: 'ids-1', ...where } };
    return await watch(lab(), taps, async ({ copies }) => {
      await sendFrames(lab(), NODE, 'port9p', frames(20));
      await copies.waitFor(20);
    });
  };
  const open = await sent();
  assert.deepEqual([open.guest.packets, open.copies.packets], [20, 20]);
  const rules =
    'table bridge theirs {\n chain c {\n type filter hook forward priority 0;\n ether type 0x88b5 drop\n }\n}\n';
  await lab().exec(NODE, ['nft', '-f', '-'], { input: rules });
  const closed = await sent();
  assert.deepEqual([closed.guest.packets, closed.copies.packets], [0, 20]);
  await lab().exec(NODE, ['nft', 'delete table bridge theirs']);
  const { ifindex } = (await ipLink(lab(), NODE, 'port9'))!;
  await ip(lab(), NODE, 'link', 'del', 'port9');
  await until('no pin of the port', () => !pinnedLinks(lab(), NODE).some((path) => path.includes(`-${ifindex}-`)), {
    limitMs: 2000,
  });
});

test('a guest that moves to another bridge is captured there, and back', async (t) => {
  const lines = [
    'link add br9 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    'link add to9 type veth peer name to0',
    'link set to9 master br0 up',
    'link set to0 master br9 up',
    'link set br9 up',
  ];
  await lab().exec(NODE, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
  const { mac } = lab().vm('web-1');
  await interfere(
    t,
    traffic,
    async () => {
      await set(NODE, 'tap-web-1', 'master', 'br9');
      await lab().exec(NODE, ['bridge', 'fdb', 'replace', mac, 'dev', 'to9', 'master', 'static']);
    },
    { hit: REMOTE },
  );
  await interfere(
    t,
    traffic,
    async () => {
      await set(NODE, 'tap-web-1', 'master', 'br0');
      await lab().exec(NODE, ['bridge', 'fdb', 'replace', mac, 'dev', 'tap-web-1', 'master', 'static']);
    },
    { hit: REMOTE },
  );
  for (const device of ['to9', 'br9']) {
    await ip(lab(), NODE, 'link', 'del', device);
  }
});

test('guests of a bridge are captured again after it was deleted and created again', async (t) => {
  const vms = lab().topology.vms.filter((vm) => vm.node === NODE && vm.bridge === 'br0');
  const lines = [
    'link del br0',
    'link add br0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0',
    ...['trunk0', ...vms.map(({ device }) => device)].map((device) => `link set ${device} master br0`),
  ];
  const fdb = lab().topology.vms.flatMap((vm) => nodeVmFdbLines(vm, NODE));
  await interfere(
    t,
    traffic,
    async () => {
      await lab().exec(NODE, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
      await lab().exec(NODE, ['bridge', '-batch', '-'], { input: `${fdb.join('\n')}\n` });
      // Not earlier, because flooded frames reach the destination as originals.
      await set(NODE, 'br0', 'up');
    },
    { hit: ALL },
  );
});

test('a device that goes to another network namespace takes nothing of ours along', async (t) => {
  await set(NODE, 'tap-web-1', 'netns', lab().ns('ctl'));
  await statusEventually(lab(), 'remote', 'waiting', ({ state }) => state === 'waiting');
  assert.deepEqual((await tcxPrograms(lab(), 'ctl'))['tap-web-1'], { ingress: [], egress: [] });
  const vm = lab().vm('web-1');
  await interfere(
    t,
    traffic,
    async () => {
      await set('ctl', 'tap-web-1', 'netns', lab().ns(NODE));
      await lab().exec(NODE, ['ip', '-batch', '-'], { input: `${nodeVmLines(vm).join('\n')}\n` });
      await lab().exec(NODE, ['bridge', '-batch', '-'], { input: `${nodeVmFdbLines(vm, NODE).join('\n')}\n` });
    },
    { hit: REMOTE },
  );
});

test('after all that every policy is active, and its sums close', async () => {
  for (const name of ['remote', 'local', 'edge']) {
    const { totals } = await activeEventually(lab(), name);
    const sum = Object.values(totals.dropped).reduce((count, drops) => count + (drops?.packets ?? 0), 0);
    assert.equal(totals.matched.packets, totals.copied.packets + sum);
  }
});
