/**
 * An edge NIC that also carries management, storage and overlay traffic of its node: business
 * traffic alone is mirrored.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';

import { useLab } from './support/lab.ts';
import {
  activeEventually,
  countedEventually,
  createPolicy,
  deletePolicy,
  packets,
  policyStatus,
} from './support/policy.ts';
import { framesOf, tagged, watch } from './support/taps.ts';
import { python, sendFrames } from './support/traffic.ts';

const lab = useLab();
const NODE = 'node-3';
const EDGE = 'edge0';
/** It is no port of the bridge, so incoming frames only reach the captures. */
const ADDRESS = '10.77.0.1';
const POLICY = { name: 'uplink', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 };

let frames: [name: string, direction: 'in' | 'out', hex: string][];

/** Takes the NIC out of its bridge, once. */
async function prepare(): Promise<void> {
  if (frames) {
    return;
  }
  await lab().exec(NODE, ['ip', 'link', 'set', EDGE, 'nomaster']);
  const { stdout } = await lab().exec(NODE, ['ip', '-json', 'link', 'show', EDGE]);
  frames = await python('edge_frames.py', [JSON.parse(stdout)[0].address, '02:77:00:00:00:09', ADDRESS]);
}

/**
 * Sends every frame its way: those that come in from the far side of the NIC's cable. Gives what
 * was copied, in order.
 */
async function pass(expected: number): Promise<string[]> {
  const start = (await policyStatus(lab(), POLICY.name)).totals.copied.packets;
  const seen = await watch(lab(), { mon: { host: 'mon-200', direction: 'in' } }, async (captures) => {
    for (const [, direction, hex] of frames) {
      await sendFrames(lab(), direction === 'in' ? 'switch' : NODE, direction === 'in' ? `${NODE}-${EDGE}` : EDGE, [
        hex,
      ]);
    }
    await countedEventually(lab(), POLICY.name, start + expected, 0);
    await captures.mon.waitFor(expected);
  });
  const [copies = []] = await framesOf(seen.mon);
  return copies;
}

const named = (wanted: (name: string) => boolean) => frames.filter(([name]) => wanted(name)).map(([, , hex]) => hex);

test('traffic with an address of the node is left out, and counted as hostTraffic; addresses are followed', async () => {
  await prepare();
  await createPolicy(lab(), POLICY);
  try {
    await activeEventually(lab(), POLICY.name);
    const all = named(() => true);
    assert.deepEqual(await pass(all.length), all, 'without an address of the node all is business');
    assert.deepEqual(packets((await policyStatus(lab(), POLICY.name)).totals)?.skipped, {});

    const addresses = [`${ADDRESS}/24`, 'fd00:77::1/64'];
    await lab().exec(NODE, ['sh', '-c', `echo 0 >/proc/sys/net/ipv6/conf/${EDGE}/disable_ipv6`]);
    for (const address of addresses) {
      const nodad = address.includes(':') ? ['nodad'] : [];
      await lab().exec(NODE, ['ip', 'address', 'add', address, 'dev', EDGE, ...nodad]);
    }
    const probe = frames.filter(([name]) => name === 'host ssh in' || name === 'host ipv6 in');
    await followed(probe, true);
    const before = (await policyStatus(lab(), POLICY.name)).totals.skipped.hostTraffic?.packets ?? 0;
    const business = named((name) => !name.startsWith('host'));
    const copies = await pass(business.length);
    // The node answers what is for it, and looks for its peer: that is its own traffic, and is not
    // copied either.
    assert.deepEqual(copies, business);
    const skipped = (await policyStatus(lab(), POLICY.name)).totals.skipped.hostTraffic?.packets ?? 0;
    assert.ok(skipped - before >= frames.length - business.length, `${skipped - before} skipped as hostTraffic`);

    for (const address of addresses) {
      await lab().exec(NODE, ['ip', 'address', 'del', address, 'dev', EDGE]);
    }
    await lab().exec(NODE, ['sh', '-c', `echo 1 >/proc/sys/net/ipv6/conf/${EDGE}/disable_ipv6`]);
    await followed(probe, false);
    assert.deepEqual(await pass(all.length), all, 'and again, when the addresses are gone');
  } finally {
    await deletePolicy(lab(), POLICY.name);
  }
});

/** Waits until frames towards the node are skipped, or copied. */
async function followed(probe: typeof frames, skipped: boolean): Promise<void> {
  for (const [name, , hex] of probe) {
    await until(`${name} ${skipped ? 'left out' : 'copied'}`, async () => {
      const of = async () => {
        const { totals } = await policyStatus(lab(), POLICY.name);
        return { host: totals.skipped.hostTraffic?.packets ?? 0, copied: totals.copied.packets };
      };
      const start = await of();
      await sendFrames(lab(), 'switch', `${NODE}-${EDGE}`, [hex]);
      let now = start;
      await until(
        'counted',
        async () => {
          now = await of();
          return now.host + now.copied > start.host + start.copied;
        },
        { limitMs: 5000 },
      );
      return skipped ? now.host > start.host : now.copied > start.copied;
    });
  }
}

test('copies carry the VLAN ID of the policy on the wire, and a tag of the original inside it', async () => {
  await prepare();
  await createPolicy(lab(), POLICY);
  try {
    await activeEventually(lab(), POLICY.name);
    const [, , hex] = frames.find(([name]) => name === 'guest tagged in')!;
    const seen = await watch(
      lab(),
      { wire: { host: 'switch', device: 'node-1-edge0', direction: 'in' } },
      async ({ wire }) => {
        await sendFrames(lab(), 'switch', `${NODE}-${EDGE}`, [hex]);
        await wire.waitFor(1);
      },
    );
    const [copies] = await framesOf(seen.wire);
    assert.deepEqual(copies, [tagged(hex, 200)]);
  } finally {
    await deletePolicy(lab(), POLICY.name);
  }
});
