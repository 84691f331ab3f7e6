/** Messages of an agent that are larger than one message may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AgentMessage,
  type CaptureReport,
  type Device,
  MAX_DEVICES,
  MAX_MESSAGE_BYTES,
  MAX_TEXT,
  PART_BYTES,
} from '@mirrorplane/contract';
import { textsOf } from '../src/controller-link/message-parts.ts';

const count = { packets: 2 ** 53, bytes: 2 ** 62 };
const uid = '0b0e4d0c-6d1f-4f0a-9a35-8c1b6a3f6a11';

function device(at: number, identity = true): Device {
  const name = `tap${at}`;
  return {
    ...{ name, ifindex: at + 1, mac: '02:00:00:00:00:01', mtu: 1500, up: true, linkType: 'tun' },
    ...(identity && {
      identity: { kind: 'vm', id: `${'v'.repeat(100)}-${at}/0`, name: `vm ${at}`, provider: 'alias' },
    }),
  };
}

/** All as the controller reads them, none longer than it takes. */
function sent<T extends AgentMessage['type']>(message: AgentMessage & { type: T }) {
  return [...textsOf(message)].map((text) => {
    assert.ok(Buffer.byteLength(text) <= PART_BYTES && PART_BYTES < MAX_MESSAGE_BYTES, `${text.length}`);
    return AgentMessage.parse(JSON.parse(text)) as Extract<AgentMessage, { type: T }>;
  });
}

test('a message that is small enough goes as it is', () => {
  const parts = sent({ type: 'inventory', devices: [device(1), device(2)] });
  assert.deepEqual(parts, [{ type: 'inventory', devices: [device(1), device(2)] }]);
});

test('the devices of a large node come in several messages, each once, and only the last says that it is the last', () => {
  const devices = Array.from({ length: 10_000 }, (_, at) => device(at));
  const parts = sent({ type: 'inventory', devices });
  assert.ok(parts.length > 1);
  assert.deepEqual(
    parts.flatMap((part) => part.devices),
    devices,
  );
  assert.deepEqual(
    parts.map(({ more }) => more === true),
    parts.map((_, at) => at < parts.length - 1),
  );
});

test('of more devices than a node may have, those without an identity are left out first', () => {
  const plain = Array.from({ length: MAX_DEVICES }, (_, at) => device(at, false));
  const named = [device(MAX_DEVICES), device(MAX_DEVICES + 1)];
  const devices = sent({ type: 'inventory', devices: [...plain, ...named] }).flatMap((part) => part.devices);
  assert.equal(devices.length, MAX_DEVICES);
  assert.deepEqual(
    devices.filter(({ identity }) => identity),
    named,
  );
});

test('counters of 4096 sources come in several reports, and the last one has the reading', () => {
  const captures = Array.from({ length: 4096 }, (_, at) =>
    (['inbound', 'outbound'] as const).map((direction): CaptureReport => {
      const counts = { matched: count, sampledOut: count, copied: count, truncated: count };
      return {
        policy: uid,
        source: `web-${at}/0`,
        direction,
        life: at,
        counts: { ...counts, dropped: {}, skipped: {} },
      };
    }),
  ).flat();
  const deliveries = [{ delivery: `${uid}/to/node-2`, policy: uid, sent: count }];
  const report = { epoch: 'e', captures, deliveries, terminations: [], peers: [], unknownErspan: 3 };
  const reading = { run: 'r', readAt: 12.5 };
  const parts = sent({ type: 'counters', reading, report });
  assert.deepEqual(
    parts.flatMap((part) => part.report.captures),
    captures,
  );
  assert.deepEqual(
    parts.flatMap((part) => part.report.deliveries),
    deliveries,
  );
  assert.deepEqual(
    parts.map((part) => part.reading),
    [...parts.slice(1).map(() => undefined), reading],
  );
  assert.ok(parts.every((part) => part.report.epoch === 'e' && part.report.unknownErspan === 3));
});

test('a status keeps all captures and problems, and a long message of a kernel is cut', () => {
  const captures = Array.from({ length: 8000 }, (_, at) => {
    return { capture: `${uid}/web-${at}/0`, device: `tap${at}`, state: 'refused', code: 'ATTACH_FAILED' } as const;
  });
  const long = { code: 'ATTACH_FAILED', message: 'v'.repeat(100_000) };
  const parts = sent({ type: 'status', appliedRevision: 4, captures, problems: [long] });
  assert.deepEqual(
    parts.flatMap((part) => part.captures),
    captures,
  );
  const [problem] = parts.flatMap((part) => part.problems);
  assert.deepEqual([problem?.message.length, problem?.message.at(-1)], [MAX_TEXT, '…']);
});

test('events in several messages stay in order', () => {
  const events = Array.from({ length: 500 }, (_, at) => {
    const text = { message: `${at} ${'m'.repeat(3000)}`, at: '2026-01-01T00:00:00.000Z' };
    return { seq: at + 1, kind: 'repaired', cause: 'agent', ...text } as const;
  });
  const parts = sent({ type: 'events', epoch: 'e', events });
  assert.ok(parts.length > 1);
  assert.deepEqual(
    parts.flatMap((part) => part.events.map(({ seq }) => seq)),
    events.map(({ seq }) => seq),
  );
});

test('what 10,000 devices carry comes in several messages, each device once, and the reading behind them', () => {
  const devices = Array.from({ length: 10_000 }, (_, at) => {
    return { ifindex: at + 1, inbound: count, outbound: count, unread: 2 ** 53 };
  });
  const uplinks = [{ device: 'eth1', ifindex: 1, throttled: true }];
  const report = { epoch: 'e', captures: [], deliveries: [], terminations: [], peers: [], unknownErspan: 0 };
  const reading = { run: 'r', readAt: 1 };
  const parts = sent({ type: 'counters', reading, report, traffic: { devices, uplinks } });
  assert.ok(parts.length > 2);
  assert.deepEqual(
    parts.flatMap(({ traffic }) => traffic?.devices ?? []),
    devices,
  );
  assert.deepEqual(
    parts.map((part) => part.reading),
    parts.map((_, at) => (at < parts.length - 1 ? undefined : reading)),
  );
});
