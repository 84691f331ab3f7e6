/**
 * Copies out of an edge: which tags they carry on the wire, which frames are left out, what the
 * switch lets pass.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PolicyInput } from '@mirrorplane/contract';
import { defaultTopology } from '@mirrorplane/lab';
import { frames, udpFrame, withTags } from './support/exact-frames.ts';
import { arrived, assertFrames, assertSet, watchAll } from './support/exact-taps.ts';
import { useLab } from './support/lab.ts';
import {
  allCopied,
  assertSumsClose,
  countedEventually,
  packets,
  refusals,
  refusedPolicy,
  statusEventually,
  withPolicy,
} from './support/policy.ts';
import { framesOf, tagged } from './support/taps.ts';
import { sendFrames } from './support/traffic.ts';

const lab = useLab({ topology: defaultTopology({ nodes: 3 }) });

test('an edge on the spare NIC of node-1 can be declared', async () => {
  const edge = { node: 'node-1', device: 'edge1', allowedVlans: [100, 200, 300] };
  const { status, body } = await lab().api('PUT', '/api/v1/interfaces/edge-1b', { kind: 'edge', edge });
  assert.equal(status, 201, JSON.stringify(body));
});

/** Frames of every kind of tags, none with `vlanId` as the outermost. */
function business(from: string, to: string, vlanId: number): string[] {
  const [mac, peer] = [lab().mac(from), lab().mac(to)];
  const plain = frames(9, 0, (id) => udpFrame({ from: mac, to: peer, id, size: id === 8 ? 1400 : 40 }));
  const tags = [
    [],
    [{ id: 42, priority: 5 }],
    [{ id: 0, priority: 6 }],
    [{ id: 4094 }],
    [{ id: 42 }, { id: vlanId }],
    [
      { type: 0x88a8, id: 7, priority: 3 },
      { id: 42, priority: 1 },
    ],
    [{ id: 7 }, { id: 42 }],
    [],
    [{ id: 43 }],
  ];
  return plain.map((frame, i) => withTags(frame, ...tags[i]!));
}

interface Case {
  title: string;
  policy: Omit<PolicyInput, 'name'> & { vlanId: number };
  /** Who sends to whom, past the source. */
  from: string;
  to: string;
  /** Port of the switch that the copies come in by, and the host of their VLAN. */
  port: string;
  monitor: string;
}

const CASES: Case[] = [
  {
    title: 'a VM, out of an edge of its node',
    policy: { sources: ['web-1/0'], destination: 'edge-1', vlanId: 100 },
    from: 'web-1',
    to: 'fw-1',
    port: 'node-1-edge0',
    monitor: 'mon-sw',
  },
  {
    title: 'a VM, out of an edge of another node',
    policy: { sources: ['db-1/0'], destination: 'edge-1', vlanId: 200 },
    from: 'db-1',
    to: 'ids-1',
    port: 'node-1-edge0',
    monitor: 'mon-200',
  },
  {
    title: 'an edge, out of another edge of its node',
    policy: { sources: ['edge-1'], destination: 'edge-1b', vlanId: 200 },
    from: 'pgw-1',
    to: 'phys-1',
    port: 'node-1-edge1',
    monitor: 'mon-200',
  },
  {
    title: 'an edge, out of an edge of another node',
    policy: { sources: ['edge-3'], destination: 'edge-1', vlanId: 100 },
    from: 'pgw-3',
    to: 'phys-2',
    port: 'node-1-edge0',
    monitor: 'mon-sw',
  },
];

for (const { title, policy, from, to, port, monitor } of CASES) {
  test(`copies of ${title}, carry the policy's VLAN ID alone as the outermost tag, and all others inside`, async () => {
    await withPolicy(lab(), { name: 'tags', ...policy }, async () => {
      const list = business(from, to, policy.vlanId);
      const taps = {
        port: { host: 'switch', device: port, direction: 'in' },
        monitor: { host: monitor },
        other: { host: monitor === 'mon-sw' ? 'mon-200' : 'mon-sw' },
      } as const;
      const seen = await watchAll(lab(), taps, async (captures) => {
        await sendFrames(lab(), from, 'eth0', list);
        await arrived(captures.monitor, list.length);
        const status = await countedEventually(lab(), 'tags', list.length);
        assert.deepEqual(packets(status.totals), allCopied(list.length));
        assertSumsClose(status);
      });
      const [wire = [], copies = []] = await framesOf(seen.port, seen.monitor);
      assertFrames(
        wire,
        list.map((frame) => tagged(frame, policy.vlanId)),
        'at the port of the switch',
      );
      assertSet(copies, list, 'at the monitoring host');
      assert.equal(seen.other.packets, 0, 'the host of the other VLAN sees nothing');
    });
  });
}

for (const { title, policy, from, to, port, monitor } of CASES.slice(2)) {
  test(`frames of ${title}, that have the VLAN ID of the copies already, are left out and counted; those with that of copies of a VM are not`, async () => {
    const other = policy.vlanId === 100 ? 200 : 100;
    const plain = frames(6, 0, (id) => udpFrame({ from: lab().mac(from), to: lab().mac(to), id }));
    const list = [
      withTags(plain[0]!, { id: policy.vlanId }),
      withTags(plain[1]!, { id: policy.vlanId, priority: 7 }),
      withTags(plain[2]!, { id: policy.vlanId }, { id: 42 }),
      withTags(plain[3]!, { id: other }),
      withTags(plain[4]!, { id: 300 }),
      plain[5]!,
    ];
    const taps = { port: { host: 'switch', device: port, direction: 'in' }, monitor: { host: monitor } } as const;
    const run = async (copied: string[], skipped: Record<string, number>) => {
      const seen = await watchAll(lab(), taps, async (captures) => {
        await sendFrames(lab(), from, 'eth0', list);
        await arrived(captures.port, copied.length);
        const { totals } = await countedEventually(lab(), 'leave-out', copied.length);
        assert.deepEqual(packets(totals), { ...allCopied(copied.length), skipped });
      });
      const [wire = [], own = []] = await framesOf(seen.port, seen.monitor);
      assertFrames(
        wire,
        copied.map((frame) => tagged(frame, policy.vlanId)),
        'at the port of the switch',
      );
      // What the source itself sends in that VLAN reaches its host as ever.
      const carried = list.slice(0, 3).map((frame) => frame.slice(0, 24) + frame.slice(32));
      assertSet(own, [...carried, ...copied], 'at the host of the VLAN');
    };
    await withPolicy(lab(), { name: 'leave-out', ...policy }, () => run(list.slice(3), { sameVlan: 3 }));
    // From here on `other` is a VLAN of copies as well: of a VM, whose address none of these frames
    // has.
    await withPolicy(lab(), { name: 'other', sources: ['web-1/0'], destination: 'edge-1', vlanId: other }, () =>
      withPolicy(lab(), { name: 'leave-out', ...policy }, () => run(list.slice(3), { sameVlan: 3 })),
    );
  });
}

test('production with the VLAN ID of a policy at an edge of another node is mirrored, and copies that a switch brings are not', async () => {
  const each = 100;
  const port = 'node-1-edge0';
  const unknown = ['02:00:00:00:ee:11', '02:00:00:00:ee:12'] as const;
  let next = 0;
  const business = (from: string) =>
    frames(each, 0, () => udpFrame({ from: lab().mac(from), to: unknown[0], source: '10.20.0.1', id: next++ }));
  /**
   * Both hosts send, in VLAN 100 and 200; the switch floods it to edge-1. What is copied leaves
   * edge-3 with VLAN ID 300.
   */
  const mirrors = async (before: number) => {
    const sent = { 'mon-sw': business('mon-sw'), 'mon-200': business('mon-200') };
    const taps = { out: { host: 'switch', device: 'node-3-edge0', direction: 'in' } } as const;
    const seen = await watchAll(lab(), taps, async (captures) => {
      for (const [host, list] of Object.entries(sent)) {
        await sendFrames(lab(), host, 'eth0', list);
      }
      await arrived(captures.out, 2 * each);
      const { totals } = await countedEventually(lab(), 'e', before + 2 * each);
      assert.equal(totals.matched.packets, before + 2 * each);
    });
    const [out = []] = await framesOf(seen.out);
    const inside = { 'mon-sw': 100, 'mon-200': 200 };
    const expected = Object.entries(sent).flatMap(([host, list]) =>
      list.map((frame) => tagged(tagged(frame, inside[host as keyof typeof inside]), 300)),
    );
    assertSet(out, expected, 'copies of the edge');
  };
  await lab().vsctl('set', 'port', port, 'protected=false');
  try {
    await withPolicy(lab(), { name: 'e', sources: ['edge-1'], destination: 'edge-3', vlanId: 300 }, async () => {
      await mirrors(0);
      const x = { name: 'x', sources: ['app-1/0'], destination: 'edge-3', vlanId: 100 };
      await withPolicy(lab(), x, async () => {
        await mirrors(2 * each);
        // app-1 talks: its copies leave edge-3 with VLAN ID 100, and the switch brings them to
        // edge-1.
        const [own, peer] = [lab().mac('app-1'), lab().mac('mon-3')];
        const talk = frames(each, 0, (id) =>
          id % 2 ? udpFrame({ from: own, to: peer, id }) : udpFrame({ from: peer, to: own, id }),
        );
        const taps = {
          out: { host: 'switch', device: 'node-3-edge0', direction: 'in' },
          edge: { host: 'node-1', device: 'edge0', direction: 'in' },
        } as const;
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(
            lab(),
            'app-1',
            'eth0',
            talk.filter((_, id) => id % 2 === 1),
          );
          await sendFrames(
            lab(),
            'mon-3',
            'eth0',
            talk.filter((_, id) => id % 2 === 0),
          );
          await arrived(captures.out, each);
          await arrived(captures.edge, each);
          const { totals } = await statusEventually(
            lab(),
            'e',
            'copies that came back counted',
            (status) => (status.totals.skipped.isCopy?.packets ?? 0) >= each,
          );
          const { matched, skipped } = packets(totals)!;
          assert.deepEqual([matched, skipped.isCopy], [4 * each, each]);
        });
        const [out = [], edge = []] = await framesOf(seen.out, seen.edge);
        const copies = talk.map((frame) => tagged(frame, 100));
        assertSet(out, copies, 'edge-3 sends copies of app-1 alone, and no copy of a copy');
        assertSet(edge, copies, 'edge-1 gets all of them');
      });
    });
  } finally {
    await lab().vsctl('set', 'port', port, 'protected=true');
  }
});

test('the switch passes copies of an allowed VLAN, and none of a VLAN that its trunk does not allow', async () => {
  for (const { policy, from, to, port, monitor } of [CASES[0]!, CASES[1]!, CASES[3]!]) {
    await withPolicy(lab(), { name: 'trunk', ...policy }, async () => {
      const list = business(from, to, policy.vlanId);
      const taps = { port: { host: 'switch', device: port, direction: 'in' }, monitor: { host: monitor } } as const;
      const run = async (passes: boolean) => {
        const seen = await watchAll(lab(), taps, async (captures) => {
          await sendFrames(lab(), from, 'eth0', list);
          await arrived(captures.port, list.length);
          if (passes) {
            await arrived(captures.monitor, list.length);
          }
          // When the switch has forwarded a later frame, it has processed all copies.
          await sendFrames(lab(), 'node-1', 'edge0', [
            withTags(udpFrame({ from: '02:00:00:00:ee:01', to: '02:00:00:00:ee:02', id: 99 }), { id: 300 }),
          ]);
          await arrived(captures.port, list.length + 1);
        });
        assert.equal(seen.port.packets, list.length + 1);
        assert.equal(seen.monitor.packets, passes ? list.length : 0);
      };
      const allowed = [10, 100, 200, 300];
      await run(true);
      await lab().vsctl('set', 'port', port, `trunks=${allowed.filter((id) => id !== policy.vlanId).join(',')}`);
      try {
        await run(false);
      } finally {
        await lab().vsctl('set', 'port', port, `trunks=${allowed.join(',')}`);
      }
    });
  }
});

test('refuses a VLAN ID that the trunk of the edge is declared not to allow', async () => {
  const problem = await refusedPolicy(lab(), {
    name: 'not-allowed',
    sources: ['edge-3'],
    destination: 'edge-1',
    vlanId: 101,
  });
  assert.deepEqual(refusals(problem), ['POLICY_VLAN_NOT_IN_TRUNK vlanId']);
});
