/**
 * All states of offload: copies that leave a node are valid, fit into the underlay, and equal the
 * packets on the wire.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, before, describe, type TestContext, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { CaptureCounts, PolicyInput } from '@mirrorplane/contract';

import {
  assertChecksums,
  assertOuter,
  assertSameMultiset,
  assertStream,
  hasUdpGso,
  listen,
  makeWires,
  type Offloads,
  offloads,
  randomFile,
  sendUdp,
  setUnderlayMtu,
  transfer,
} from '../support/exact-offload.ts';
import { useLab } from '../support/lab.ts';
import { allCopied, assertSumsClose, packets, policyStatus, statusEventually, withPolicy } from '../support/policy.ts';
import { framesOf, watch } from '../support/taps.ts';
import { ping, python } from '../support/traffic.ts';

const PORT = 5201;
const MEGABYTES = 4;
const V6 = { 'web-1': 'fd00::1', 'web-2': 'fd00::2', 'db-1': 'fd00::3' } as const;
/** Takes the link-local address, router solicitations and multicast reports out of the way. */
const QUIET_V6 = `cd /proc/sys/net/ipv6/conf/eth0
echo 0 >router_solicitations
echo 1 >mldv1_unsolicited_report_interval
echo 1 >mldv2_unsolicited_report_interval
ip -6 address flush dev eth0 scope link`;
/** A transfer and all its copies fit into the buffer of a capture, and no frame is cut. */
const WHOLE = { bufferKiB: 65_536, snapLength: 262_144 } as const;
const ALL_ON: Offloads = { tso: 'on', gso: 'on', tx: 'on', 'tx-gre-segmentation': 'on' };

describe('between two nodes', () => {
  const lab = useLab({ nodes: 2, switch: false, ipv6: true, underlayMtu: 1500 });
  let file: { path: string; sha256: string };

  before(async () => {
    const path = randomFile(lab(), 'payload', MEGABYTES * 1e6);
    file = { path, sha256: createHash('sha256').update(readFileSync(path)).digest('hex') };
    await makeWires(lab(), [
      ['node-1', 'tap-web-2'],
      ['node-2', 'tap-ids-1'],
      ['fabric', 'u-node-2'],
    ]);
    for (const [host, address] of Object.entries(V6)) {
      // No automatic IPv6 traffic, because it would be counted and is not tested here.
      await lab().exec(host, ['sh', '-ec', QUIET_V6]);
      const lines = [`address add ${address}/64 dev eth0 nodad`];
      for (const [other, to] of Object.entries(V6)) {
        if (other !== host) {
          lines.push(`neigh replace ${to} lladdr ${lab().mac(other)} dev eth0 nud permanent`);
        }
      }
      await lab().exec(host, ['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` });
    }
    await silenceEventually();
  });

  /**
   * Multicast reports of new addresses are sent again at random moments: waits until two seconds
   * have passed without.
   */
  async function silenceEventually(): Promise<void> {
    let last = '';
    let since = 0;
    await until(
      'IPv6 to be quiet',
      async () => {
        const { stdout } = await lab().exec('web-1', ['grep', '-E', '^Icmp6OutMsgs', '/proc/net/dev_snmp6/eth0']);
        if (stdout !== last) {
          since = Date.now();
        }
        last = stdout;
        return Date.now() - since > 2000;
      },
      { limitMs: 20_000 },
    );
  }

  /** A policy that takes what web-1 sends to a VM of the other node. */
  const POLICY: PolicyInput = { name: 'offload', sources: ['web-1/0'], destination: 'ids-1/0', direction: 'outbound' };

  /**
   * Where the originals, the copies and their wire are seen; `filter` tells the traffic from
   * neighbour discovery.
   */
  const taps = (filter: string) =>
    ({
      // No filter: that of a TCP port finds no super-packet with a jumbo payload option.
      sent: { host: 'web-1', direction: 'out', ...WHOLE, snapLength: 128 },
      original: { host: 'web-2', direction: 'in', filter, ...WHOLE },
      underlay: {
        host: 'node-2',
        device: 'underlay0',
        direction: 'in',
        filter: 'proto 47',
        ...WHOLE,
      },
      copy: { host: 'ids-1', direction: 'in', filter, ...WHOLE },
    }) as const;

  /** Waits until the counters of the source say so, and all that it has sent has been delivered. */
  const delivered = (wanted: (totals: CaptureCounts) => boolean) =>
    statusEventually(lab(), 'offload', 'counted and delivered', ({ totals, paths: [path] }) => {
      return wanted(totals) && path?.sent?.packets === path?.delivered?.packets;
    });

  interface TcpCase {
    ip: 4 | 6;
    mtu: number;
    /** Of the uplink of the source's node. */
    uplink?: Offloads;
    /** Of the NIC inside the VM. */
    guest?: Offloads;
    /** Segments are those of the original, or smaller, or halved. */
    same: boolean;
    /** How many there are at least. Default as for an MTU of 1500. */
    segments?: number;
    /**
     * Single segments may be too long to be halved: they are truncated and counted. Default false.
     */
    jumbo?: boolean;
    /** Super-packets beyond 64 KiB. Default false. */
    big?: boolean;
  }

  async function tcpCase(one: TcpCase): Promise<void> {
    const { ip, mtu, uplink = {}, guest = {}, same, segments = MEGABYTES * 600, big = false, jumbo = false } = one;
    await setUnderlayMtu(lab(), mtu);
    await offloads(lab(), 'node-1', 'underlay0', uplink);
    await offloads(lab(), 'web-1', 'eth0', guest);
    try {
      const address = ip === 4 ? lab().address('web-2') : V6['web-2'];
      await withPolicy(lab(), POLICY, async () => {
        let matched = 0;
        let truncated = 0;
        const seen = await watch(lab(), taps(`tcp port ${PORT}`), async () => {
          await transfer(lab(), file, 'web-1', { host: 'web-2', address, port: PORT });
          const status = await delivered((totals) => totals.matched.bytes > MEGABYTES * 1e6);
          assertSumsClose(status);
          matched = status.totals.matched.packets;
          truncated = jumbo ? status.totals.truncated.packets : 0;
          assert.deepEqual(packets(status.totals), { ...allCopied(matched), truncated });
        });
        assert.equal(seen.original.packets, matched, 'a super-packet counts as its segments');
        const outer = await assertOuter(seen.underlay, mtu);
        assert.equal(outer.truncated, truncated, 'what is truncated is marked, and nothing else');
        if (same) {
          await assertSameMultiset(seen.copy, seen.original, segments, undefined, 'copies bit for bit');
        } else {
          const { longest } = await assertStream(seen.copy, PORT, file, 'the stream of the copies', truncated);
          assert.ok(longest <= mtu - 50 - 52, `segments of ${longest} bytes`);
          assert.ok(longest > 600);
        }
        await Promise.all([
          assertChecksums(seen.copy, segments, 'copies', truncated),
          assertChecksums(seen.underlay, segments, 'on the underlay', truncated),
        ]);
        if (guest.tso !== 'off') {
          const lengths = await python<number[]>('exact-pcap.py', ['lengths', seen.sent.file]);
          const near = big ? 70_000 : 60_000;
          assert.ok(Math.max(...lengths) > near, `super-packets of more than ${near} bytes are among the originals`);
        }
      });
    } finally {
      await offloads(lab(), 'node-1', 'underlay0', ALL_ON);
      await offloads(lab(), 'web-1', 'eth0', { tso: 'on', gso: 'on', tx: 'on' });
    }
  }

  const UPLINKS: [string, Offloads][] = [
    ['every offload', {}],
    ['no TSO', { tso: 'off' }],
    ['no GRE segmentation', { 'tx-gre-segmentation': 'off' }],
    ['no checksum offload', { tx: 'off' }],
    ['no offload at all', { tso: 'off', gso: 'off', tx: 'off' }],
  ];
  for (const [what, uplink] of UPLINKS) {
    // IPv6 differs only in the inner packet, so the ends of the list represent those in between.
    for (const ip of [4, 6] as const) {
      if (ip === 6 && what.startsWith('no ') && !what.endsWith('all')) {
        continue;
      }
      test(`TCP over IPv${ip}, uplink with ${what}, underlay 1550: segments are bit for bit those of the original`, () =>
        tcpCase({ ip, mtu: 1550, uplink, same: true }));
      test(`TCP over IPv${ip}, uplink with ${what}, underlay 1500: smaller segments carry the same stream`, () =>
        tcpCase({ ip, mtu: 1500, uplink, same: false }));
    }
  }

  for (const ip of [4, 6] as const) {
    const guest = { tso: 'off', gso: 'off' } as const;
    test(`single full-size TCP segments with unfinished checksums over IPv${ip}, underlay 1500: split, nothing lost`, () =>
      tcpCase({ ip, mtu: 1500, guest, same: false }));
    test(`single full-size TCP segments with unfinished checksums over IPv${ip}, underlay 1550: unchanged`, () =>
      tcpCase({ ip, mtu: 1550, guest, same: true }));
    test(`single full-size TCP segments with finished checksums over IPv${ip}, underlay 1500: split, nothing lost`, () =>
      tcpCase({ ip, mtu: 1500, guest: { ...guest, tx: 'off' }, same: false }));
  }

  interface UdpCase {
    ip: 4 | 6;
    mtu: number;
    segment: number;
    fits: boolean;
  }

  async function udpCase(context: TestContext, { ip, mtu, segment, fits }: UdpCase): Promise<void> {
    if (!(await hasUdpGso(lab()))) {
      return context.skip('the kernel has no UDP_SEGMENT');
    }
    await setUnderlayMtu(lab(), mtu);
    const address = ip === 4 ? lab().address('web-2') : V6['web-2'];
    const shape = { segment, length: 40 * segment + 17, count: 20 };
    const segments = 41 * shape.count;
    await withPolicy(lab(), POLICY, async () => {
      const sink = await listen(lab(), 'web-2', ['sink', address, String(PORT)]);
      try {
        const seen = await watch(lab(), taps(`udp port ${PORT}`), async (captures) => {
          await sendUdp(lab(), 'web-1', address, PORT, shape);
          await captures.original.waitFor(segments);
          const status = await delivered(({ matched }) => matched.packets >= segments);
          assertSumsClose(status);
          // The last datagram of each is short.
          const truncated = fits ? 0 : 40 * shape.count;
          assert.deepEqual(packets(status.totals), { ...allCopied(segments), truncated });
        });
        assert.equal(await sink.result(), `${segments} ${shape.length * shape.count}`, 'the original arrives whole');
        const lengths = await python<number[]>('exact-pcap.py', ['lengths', seen.sent.file]);
        assert.ok(Math.max(...lengths) > shape.length, 'super-packets are among the originals');
        await assertOuter(seen.underlay, mtu);
        if (!fits) {
          return assert.equal(seen.copy.packets, segments);
        }
        await assertSameMultiset(seen.copy, seen.original, segments, undefined, 'copies');
        await assertChecksums(seen.copy, segments, 'copies');
        await assertChecksums(seen.underlay, segments, 'on the underlay');
      } finally {
        sink.kill();
      }
    });
  }

  for (const ip of [4, 6] as const) {
    const full = ip === 4 ? 1472 : 1452;
    test(`UDP super-packets over IPv${ip} with datagrams that fit arrive datagram by datagram, bit for bit`, (context) =>
      udpCase(context, { ip, mtu: 1500, segment: 1400, fits: true }));
    test(`UDP super-packets over IPv${ip} of full-size datagrams on an underlay of 1550 arrive bit for bit`, (context) =>
      udpCase(context, { ip, mtu: 1550, segment: full, fits: true }));
    test(`UDP super-packets over IPv${ip} with datagrams that do not fit arrive datagram by datagram, truncated and counted`, (context) =>
      udpCase(context, { ip, mtu: 1500, segment: full, fits: false }));
  }

  test('full-size UDP and ICMP that do not fit are truncated, marked, counted, and the status names the MTU it would need', async () => {
    await setUnderlayMtu(lab(), 1500);
    await withPolicy(lab(), POLICY, async () => {
      const filter = 'icmp or udp';
      const seen = await watch(lab(), taps(filter), async (captures) => {
        await ping(lab(), 'web-1', 'web-2', 10, { size: 1472 });
        await ping(lab(), 'web-1', 'web-2', 7, { size: 1422 });
        const sink = await listen(lab(), 'web-2', ['sink', lab().address('web-2'), String(PORT)]);
        try {
          await sendUdp(lab(), 'web-1', lab().address('web-2'), PORT, { segment: 0, length: 1472, count: 5 });
          await captures.original.waitFor(22);
          assert.equal(await sink.result(), `5 ${5 * 1472}`);
        } finally {
          sink.kill();
        }
        const status = await delivered(({ matched }) => matched.packets >= 22);
        assertSumsClose(status);
        assert.deepEqual(packets(status.totals), { ...allCopied(22), truncated: 15 });
        assert.equal(status.state, 'degraded');
        const [reason, ...others] = status.reasons;
        assert.deepEqual([reason?.code, reason?.node, others], ['COPIES_TRUNCATED', 'node-1', []]);
        assert.match(reason?.message ?? '', /\b1550\b/);
      });
      const outer = await assertOuter(seen.underlay, 1500);
      assert.deepEqual([outer.packets, outer.truncated, outer.longest], [22, 15, 1500]);
      const [copies = [], originals = []] = await framesOf(seen.copy, seen.original);
      const cut = originals.map((frame) => frame.slice(0, 2 * 1464));
      for (const [i, copy] of copies.entries()) {
        assert.equal(copy, cut[i], `what is there of packet ${i} is what the original has`);
      }
      assert.equal(copies.filter((frame) => frame.length === 2 * 1464).length, 22, 'cut to the byte');
    });
  });

  test('input that GRO has put together is cut into the segments that came', async () => {
    await setUnderlayMtu(lab(), 1550);
    await makeWires(lab(), [
      ['fabric', 'o-node-1'],
      ['node-1', 'tap-web-1'],
    ]);
    await offloads(lab(), 'node-1', 'trunk0', { gro: 'on' });
    try {
      await withPolicy(lab(), { ...POLICY, direction: 'inbound' }, async () => {
        const filter = `tcp port ${PORT}`;
        const places = {
          trunk: { host: 'node-1', device: 'trunk0', direction: 'in', filter, ...WHOLE, snapLength: 128 },
          original: { host: 'web-1', direction: 'in', filter, ...WHOLE },
          copy: { host: 'ids-1', direction: 'in', filter, ...WHOLE },
          underlay: { host: 'node-2', device: 'underlay0', direction: 'in', filter: 'proto 47', ...WHOLE },
        } as const;
        let matched = 0;
        const seen = await watch(lab(), places, async () => {
          await transfer(lab(), file, 'db-1', { host: 'web-1', address: lab().address('web-1'), port: PORT });
          const status = await delivered((totals) => totals.matched.bytes > MEGABYTES * 1e6);
          matched = status.totals.matched.packets;
          assertSumsClose(status);
          assert.deepEqual(packets(status.totals), allCopied(matched));
        });
        const lengths = await python<number[]>('exact-pcap.py', ['lengths', seen.trunk.file]);
        assert.ok(Math.max(...lengths) > 3000, 'GRO has put segments together');
        assert.equal(seen.original.packets, matched);
        await assertSameMultiset(seen.copy, seen.original, MEGABYTES * 600, undefined, 'copies');
        await assertOuter(seen.underlay, 1550);
        await assertChecksums(seen.copy, MEGABYTES * 600, 'copies');
      });
    } finally {
      await offloads(lab(), 'node-1', 'trunk0', { gro: 'off' });
      await offloads(lab(), 'node-1', 'tap-web-1', { tso: 'on', gso: 'on', tx: 'on' });
    }
  });

  const VXLAN_PORT = 4789;
  const tunnel = (device: string, local: string, remote: string, address: string, dev: string) =>
    `ip link add ${device} type vxlan id 7 local ${local} remote ${remote} dstport ${VXLAN_PORT} dev ${dev}
     ip link set ${device} mtu 1450 up
     ip address add ${address}/24 dev ${device}`;

  for (const { who, host, from, dev } of [
    { who: 'a guest', host: 'web-1', from: 'web-1', dev: 'eth0' },
    { who: 'the host of the guest', host: 'node-1', from: 'host', dev: 'br0' },
  ]) {
    test(`VXLAN made by ${who}: single packets are copied bit for bit, super-packets in segments`, async (context) => {
      await setUnderlayMtu(lab(), 1550);
      // The source receives packets that the host sends into the guest, and sends packets of the
      // guest.
      const inbound = from === 'host';
      const end = inbound ? { host: 'web-1' } : { host: 'web-2' };
      const hostAddress = '10.0.0.200';
      const local = inbound ? hostAddress : lab().address('web-1');
      const remote = lab().address(end.host);
      const made = await lab().exec(host, ['sh', '-ec', tunnel('vx0', local, remote, '192.168.7.1', dev)], {
        check: false,
      });
      if (made.code !== 0) {
        return context.skip(`the kernel makes no VXLAN device: ${made.stderr.trim()}`);
      }
      try {
        if (inbound) {
          await lab().exec('node-1', ['ip', 'address', 'add', `${hostAddress}/24`, 'dev', 'br0']);
        }
        await lab().exec(end.host, ['sh', '-ec', tunnel('vx0', remote, local, '192.168.7.2', 'eth0')]);
        const filter = `udp port ${VXLAN_PORT}`;
        await withPolicy(lab(), { ...POLICY, direction: inbound ? 'inbound' : 'outbound' }, async () => {
          const places = {
            original: { host: end.host, direction: 'in', filter, ...WHOLE },
            copy: { host: 'ids-1', direction: 'in', filter, ...WHOLE },
            underlay: { host: 'node-2', device: 'underlay0', direction: 'in', filter: 'proto 47', ...WHOLE },
          } as const;
          if (inbound) {
            await makeWires(lab(), [['node-1', 'tap-web-1']]);
          }
          // Neighbours of the tunnel are found, and IPv6 within it is quiet, before anything is
          // compared.
          await lab().exec(host, ['ping', '-q', '-c', '1', '-W', '2', '192.168.7.2']);
          const single = await watch(lab(), places, async (captures) => {
            await lab().exec(host, ['ping', '-q', '-c', '20', '-i', '0.005', '-s', '1400', '192.168.7.2']);
            await captures.original.waitFor(20);
            await captures.copy.waitFor(20);
          });
          await assertSameMultiset(single.copy, single.original, 20, undefined, 'copies of single packets');
          await assertOuter(single.underlay, 1550);
          let status = await policyStatus(lab(), 'offload');
          await watch(lab(), places, async () => {
            await transferByName(host, end.host, '192.168.7.2');
            status = await delivered((totals) => totals.matched.bytes > MEGABYTES * 1e6);
          });
          assertSumsClose(status);
          const { totals } = status;
          assert.deepEqual([totals.dropped, totals.truncated.packets], [{}, 0]);
        });
      } finally {
        await lab().exec(host, ['ip', 'link', 'del', 'vx0'], { check: false });
        await lab().exec(end.host, ['ip', 'link', 'del', 'vx0'], { check: false });
        await lab().exec('node-1', ['ip', 'address', 'flush', 'dev', 'br0', 'scope', 'global'], { check: false });
        await offloads(lab(), 'node-1', 'tap-web-1', { tso: 'on', gso: 'on', tx: 'on' });
      }
    });
  }

  const transferByName = (from: string, host: string, address: string) =>
    transfer(lab(), file, from, { host, address, port: PORT });

  describe('with jumbo frames inside', () => {
    const devices = [
      ['web-1', 'eth0'],
      ['web-2', 'eth0'],
      ['ids-1', 'eth0'],
      ['node-1', 'tap-web-1'],
      ['node-1', 'tap-web-2'],
      ['node-2', 'tap-ids-1'],
      ['node-1', 'br0'],
    ] as const;
    const mtuOfAll = async (mtu: number) => {
      for (const [host, device] of devices) {
        await lab().exec(host, ['ip', 'link', 'set', device, 'mtu', String(mtu)]);
      }
      await until(
        `devices with an MTU of ${mtu}`,
        async () => {
          const { body } = await lab().api('GET', '/api/v1/interfaces/ids-1%2F0');
          return JSON.stringify(body).includes(`"mtu":${mtu}`);
        },
        { limitMs: 20_000 },
      );
    };
    before(() => mtuOfAll(9000));
    after(() => mtuOfAll(1500));

    for (const ip of [4, 6] as const) {
      test(`TCP over IPv${ip}, interfaces 9000, underlay 9100: segments of 9000 are bit for bit those of the original`, () =>
        tcpCase({ ip, mtu: 9100, same: true, segments: 400 }));
      test(`TCP over IPv${ip}, interfaces 9000, underlay 1500: smaller segments carry the same stream`, () =>
        tcpCase({ ip, mtu: 1500, same: false, jumbo: true }));
      test(`TCP over IPv${ip}, interfaces 9000, underlay 1500, uplink without any offload: the same`, () =>
        tcpCase({ ip, mtu: 1500, same: false, jumbo: true, uplink: { tso: 'off', gso: 'off', tx: 'off' } }));
    }

    test('a ping of 8900 bytes on an underlay of 1500 is truncated, counted, and the status names 9050', async () => {
      await setUnderlayMtu(lab(), 1500);
      await withPolicy(lab(), POLICY, async () => {
        const seen = await watch(lab(), taps('icmp'), async (captures) => {
          await ping(lab(), 'web-1', 'web-2', 5, { size: 8900 });
          await captures.copy.waitFor(5);
          const status = await delivered(({ matched }) => matched.packets >= 5);
          assert.deepEqual(packets(status.totals), { ...allCopied(5), truncated: 5 });
          assert.match(status.reasons[0]?.message ?? '', /\b9050\b/);
        });
        const outer = await assertOuter(seen.underlay, 1500);
        assert.deepEqual([outer.packets, outer.truncated, outer.longest], [5, 5, 1500]);
      });
    });
  });

  for (const ip of [4, 6] as const) {
    test(`super-packets beyond 64 KiB over IPv${ip} (BIG TCP) are copied whole, or dropped and counted`, async (context) => {
      const size = ip === 4 ? 'gso_ipv4_max_size' : 'gso_max_size';
      const set = async (bytes: number) => {
        const results = [];
        for (const [host, device] of [
          ['web-1', 'eth0'],
          ['node-1', 'tap-web-1'],
        ] as const) {
          results.push(await lab().exec(host, ['ip', 'link', 'set', device, size, String(bytes)], { check: false }));
        }
        return results.find(({ code }) => code !== 0);
      };
      const refused = await set(150_000);
      if (refused) {
        return context.skip(`no ${size} on this machine: ${refused.stderr.trim()}`);
      }
      try {
        await tcpCase({ ip, mtu: 1550, same: true, big: true });
      } finally {
        await set(65_536);
      }
    });
  }
});
