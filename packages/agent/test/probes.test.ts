/** Probes on a node: made once, at the capture with the largest MTU, reported, and forgotten. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { TestReportMessage, TestTask } from '@mirrorplane/contract';
import type { HookCapture, ProbeEntry } from '../src/datapath/datapath.ts';
import { FakeDatapath } from '../src/datapath/fake.ts';
import { frameLength, probeFrame } from '../src/datapath/kernel/probe-frames.ts';
import { ProbeRoom } from '../src/probes/probe-room.ts';
import { testLog } from './support.ts';

const NAME = '024d50000001024d50000002';
const OTHER = '024d50000003024d50000002';

class Recorder extends FakeDatapath {
  readonly entries: ProbeEntry[] = [];

  override async makeProbe(probe: ProbeEntry): Promise<void> {
    this.entries.push(probe);
    await super.makeProbe(probe);
  }
}

function capture(id: string, ifindex: number, more: Partial<HookCapture> = {}): HookCapture {
  const fixed = { policy: 'u', source: 's', direction: 'outbound', hook: 'ingress', threshold: 1 } as const;
  return { ...fixed, skipVlanId: 0, sourceSlot: 0, delivery: 'd', id, ifindex, mtu: 1500, ...more };
}

async function roomOf() {
  const datapath = new Recorder();
  await datapath.open();
  const room = new ProbeRoom({ datapath, log: testLog });
  const sent: TestReportMessage[] = [];
  const send = (message: TestReportMessage) => void sent.push(message);
  room.connect({ connected: true, send });
  return { datapath, room, sent };
}

const task = (more: Partial<TestTask> = {}): TestTask => ({
  ...{ test: 't', policy: 'u', makes: [], expects: [], endsInMs: 5000 },
  ...more,
});
const MAKES = { makes: [{ probe: NAME, size: 'full' as const }] };

test('a probe is made once, at the capture with the largest MTU that is in force, however often it is asked for', async (t) => {
  const { datapath, room, sent } = await roomOf();
  t.after(() => room.close());
  const captures = [
    capture('a', 5),
    capture('b', 6, { mtu: 9000, hook: 'egress' }),
    capture('c', 7, { mtu: 9500 }),
    capture('d', 8, { mtu: 9500, standby: true }),
    capture('e', 9, { mtu: 9500, policy: 'other' }),
  ];
  room.applied(captures, [{ id: 'c' }]);
  room.take({ type: 'tests', tasks: [task(MAKES)] });
  room.take({ type: 'tests', tasks: [task(MAKES)] });
  await until('a report', () => sent.length > 0);
  assert.deepEqual(datapath.entries, [{ name: NAME, ifindex: 6, hook: 'egress', size: 'full', mtu: 9000 }]);
  assert.deepEqual(
    sent.map(({ test: id, probes }) => [id, probes[0]!.probe, probes[0]!.counts.sent.packets]),
    [['t', NAME, 1]],
  );
});

test('expected probes are reported at 0 at once, and then what became of them', async (t) => {
  const { datapath, room, sent } = await roomOf();
  t.after(() => room.close());
  room.take({ type: 'tests', tasks: [task({ expects: [OTHER] })] });
  await until('the first report', () => sent.length === 1);
  assert.equal(sent[0]!.probes[0]!.counts.received.packets, 0);
  const one = { packets: 1, bytes: 64 };
  datapath.probes.set(OTHER, { ...datapath.probes.get(OTHER)!, received: one, delivered: one });
  await until('the second report', () => sent.length === 2);
  assert.equal(sent[1]!.probes[0]!.counts.delivered.packets, 1);
});

test('without a capture in force, and where the kernel refuses, the report says so', async (t) => {
  const { datapath, room, sent } = await roomOf();
  t.after(() => room.close());
  room.take({ type: 'tests', tasks: [task(MAKES)] });
  await until('a report', () => sent.length > 0);
  assert.match(sent[0]!.probes[0]!.problem!, /no capture of the policy/);
  room.applied([capture('a', 5)], []);
  datapath.failure = new Error('the frame was not taken: errno 100');
  room.take({ type: 'tests', tasks: [task({ ...MAKES, test: 'u' })] });
  await until('another report', () => sent.some(({ test: id }) => id === 'u'));
  assert.match(sent.at(-1)!.probes[0]!.problem!, /errno 100/);
});

test('a test ends by its time, when it is left out, and with the agent', async () => {
  const { datapath, room, sent } = await roomOf();
  room.take({ type: 'tests', tasks: [task({ expects: [NAME], endsInMs: 50 }), task({ test: 'v', expects: [OTHER] })] });
  await until('the end of the first', () => datapath.probes.has(OTHER) && !datapath.probes.has(NAME));
  room.take({ type: 'tests', tasks: [] });
  await until('the end of the other', () => datapath.probes.size === 0);
  room.take({ type: 'tests', tasks: [task({ expects: [NAME] })] });
  await until('one more', () => datapath.probes.size === 1);
  await room.close();
  assert.equal(datapath.probes.size, 0);
  assert.ok(sent.length >= 3);
});

test('the frames of probes have addresses that no host has, and lengths of their sizes', () => {
  const entry = { name: NAME, ifindex: 1, hook: 'ingress', mtu: 1500 } as const;
  const [small, full, large] = (['small', 'full', 'super'] as const).map((size) => probeFrame({ ...entry, size }));
  for (const frame of [small!, full!, large!]) {
    assert.equal(frame.subarray(10, 22).toString('hex'), NAME);
  }
  assert.deepEqual([small!.length, full!.length, large!.length], [74, 74, 65_559]);
  assert.equal(large!.readUInt16LE(4), 1460);
  assert.equal(large!.subarray(36, 44).toString('hex'), 'c0000201c0000202');
  assert.deepEqual(
    (['small', 'full', 'super'] as const).map((size) => frameLength({ size, mtu: 9000 })),
    [64, 9014, 65_549],
  );
});
