/** Our ERSPAN read by decoders that others wrote, and golden packets in both directions. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import type { DatapathState } from '@mirrorplane/agent/testing';
import { deviceOf, type NodeDatapath, startDatapath } from '../support/exact-datapath.ts';
import { carried, fieldsOf } from '../support/exact-fields.ts';
import { useLab } from '../support/lab.ts';
import { framesOf, watch } from '../support/taps.ts';
import { python, sendFrames } from '../support/traffic.ts';
import { GOLDEN_FILE, type Golden, makeGolden } from './golden.ts';

/** Secret of the policy: its first and its last bit. */
const SECRET = 1025;

describe('decoders', () => {
  let sender: NodeDatapath | undefined;
  let receiver: NodeDatapath | undefined;
  // This hook runs before the removal of the lab, because hooks run in their written order.
  after(async () => {
    await sender?.close();
    await receiver?.close();
  });
  const lab = useLab({ nodes: 2, switch: false, bare: true, underlayMtu: 1500 });
  const golden = JSON.parse(readFileSync(GOLDEN_FILE, 'utf8')) as Golden;
  const { outer, mtu } = golden;
  const inners = golden.packets.map(({ inner }) => inner);
  const packets = golden.packets.map((packet) => packet.outer);

  before(async () => {
    sender = await startDatapath(lab(), 'node-1');
    receiver = await startDatapath(lab(), 'node-2');
  });

  /**
   * Mirrors what web-1 sends to node-2. `id` names the delivery: a new one begins with sequence
   * number 0. All but the golden bytes carry a secret, which decoders ignore.
   */
  async function mirror(id: string): Promise<void> {
    const [tap, underlay] = [
      await deviceOf(lab(), 'node-1', 'tap-web-1'),
      await deviceOf(lab(), 'node-1', 'underlay0'),
    ];
    const state: Partial<DatapathState> = {
      captures: [
        {
          id: 'golden/web-1/outbound',
          policy: 'golden',
          source: 'web-1/0',
          direction: 'outbound',
          ifindex: tap.ifindex,
          hook: 'ingress',
          threshold: 2 ** 32,
          skipVlanId: 0,
          sourceSlot: outer.index >> 1,
          delivery: id,
        },
      ],
      deliveries: [
        {
          id,
          policy: 'golden',
          kind: 'erspan',
          ifindex: underlay.ifindex,
          mtu,
          sourceAddress: outer.source,
          address: outer.destination,
          session: outer.session,
          generation: 0,
          ...(id !== 'bytes' && { secret: SECRET }),
        },
      ],
    };
    await sender!.apply(state);
  }

  /** Sends every golden frame as web-1 and returns the capture of what came over the underlay. */
  async function sent(id: string) {
    await mirror(id);
    const tap = { host: 'node-2', device: 'underlay0', filter: 'proto 47', snapLength: 65_535 };
    const seen = await watch(lab(), { underlay: tap }, async (captures) => {
      // Other frames of web-1 would use sequence numbers. There are none: IPv6 is off and
      // neighbours are known.
      await sendFrames(lab(), 'web-1', 'eth0', inners);
      await captures.underlay.waitFor(inners.length);
    });
    return seen.underlay;
  }

  test('the golden file is what Scapy makes of the same frames now', async () => {
    assert.deepEqual(golden, await makeGolden());
  });

  test('every frame becomes the golden packet, byte by byte', async () => {
    const [seen = []] = await framesOf(await sent('bytes'));
    assert.equal(seen.length, packets.length);
    for (const [i, { what }] of golden.packets.entries()) {
      assert.equal(seen[i], packets[i], what);
    }
  });

  test('every golden packet becomes the frame inside, byte by byte', async () => {
    const [underlay, destination] = [
      await deviceOf(lab(), 'node-2', 'underlay0'),
      await deviceOf(lab(), 'node-2', 'tap-ids-1'),
    ];
    await sender!.apply({});
    await receiver!.apply({
      mirrorDevice: underlay.ifindex,
      deliveries: [{ id: 'L', policy: 'golden', kind: 'local', ifindex: destination.ifindex, mtu: 1500 }],
      terminations: [
        {
          id: 'T',
          policy: 'golden',
          node: 'node-1',
          address: outer.source,
          ownAddress: outer.destination,
          session: outer.session,
          generation: 0,
          delivery: 'L',
        },
      ],
    });
    const taps = {
      destination: { host: 'ids-1', snapLength: 65_535 },
      bystander: { host: 'db-1' },
      local: { host: 'web-2' },
    };
    const seen = await watch(lab(), taps, async (captures) => {
      await sendFrames(lab(), 'node-1', 'underlay0', packets);
      await captures.destination.waitFor(packets.length);
    });
    const [frames = []] = await framesOf(seen.destination);
    assert.equal(frames.length, packets.length);
    for (const [i, { what, inner }] of golden.packets.entries()) {
      assert.equal(frames[i], carried(inner, mtu), what);
    }
    assert.deepEqual([seen.bystander.packets, seen.local.packets], [0, 0]);
    const [termination] = (await receiver!.counters()).terminations;
    assert.deepEqual(termination?.received, termination?.delivered);
    assert.equal(termination?.delivered.packets, packets.length);
    assert.equal(termination?.missing?.packets, 0);
  });

  test('Scapy decodes each field of our ERSPAN, and the frame inside is the original', async () => {
    const capture = await sent('scapy');
    const rows = await python<Record<string, string | number>[]>('exact-erspan.py', ['decode', capture.file]);
    assert.equal(rows.length, inners.length);
    for (const [i, { what, inner }] of golden.packets.entries()) {
      const { vlan, cos, en, t } = fieldsOf(inner, mtu);
      assert.deepEqual(
        rows[i],
        {
          ver: 1,
          vlan,
          cos,
          en,
          t,
          session_id: outer.session,
          index: outer.index,
          reserved: SECRET,
          sequence: i,
          protocol: 0x88be,
          source: outer.source,
          destination: outer.destination,
          df: true,
          ttl: 255,
          inner: carried(inner, mtu),
        },
        what,
      );
    }
  });

  test('tshark decodes each field of our ERSPAN and finds nothing to complain of in the outer headers', async () => {
    const capture = await sent('tshark');
    const names = ['version', 'vlan', 'cos', 'encap', 'truncated', 'spanid', 'index'].map((name) => `erspan.${name}`);
    const fields = [
      ...names,
      'gre.sequence_number',
      'gre.proto',
      'gre.flags_and_version',
      'ip.checksum.status',
      'ip.flags.df',
    ];
    const child = spawn(
      'tshark',
      [
        '-r',
        capture.file,
        '-o',
        'ip.check_checksum:TRUE',
        '-T',
        'fields',
        '-E',
        'occurrence=f',
        ...fields.flatMap((f) => ['-e', f]),
      ],
      { stdio: ['ignore', 'pipe', 'ignore'] },
    );
    const out: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
    const [code] = await once(child, 'close');
    assert.equal(code, 0);
    const rows = Buffer.concat(out).toString().trimEnd().split('\n');
    assert.equal(rows.length, inners.length);
    for (const [i, { what, inner }] of golden.packets.entries()) {
      const { vlan, cos, en, t } = fieldsOf(inner, mtu);
      const values = rows[i]!.split('\t').map((value) => (value === 'True' ? 1 : Number(value)));
      assert.deepEqual(values, [1, vlan, cos, en, t, outer.session, outer.index, i, 0x88be, 0x1000, 1, 1], what);
    }
  });
});
