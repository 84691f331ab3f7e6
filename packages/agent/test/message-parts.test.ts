/** Messages of an agent that are larger than one message may be. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AgentMessage,
  type CaptureReport,
  COPY_REFUSALS,
  type CopyRefusal,
  CounterReader,
  type CountersMessage,
  CounterWriter,
  type Device,
  DROP_REASONS,
  MAX_BUDGETS,
  MAX_CAPTURE_STATUSES,
  MAX_COUNT,
  MAX_DEVICES,
  MAX_GONE,
  MAX_LANES,
  MAX_MESSAGE_BYTES,
  MAX_PEERS,
  MAX_PROBLEMS,
  MAX_TEXT,
  MOST_NUMBERS,
  PART_BYTES,
} from '@mirrorplane/contract';
import { textsOf } from '../src/controller-link/message-parts.ts';

/** The next number of each lane, as long as it may be. */
const LANES = Array.from({ length: MAX_LANES }, () => MAX_COUNT);

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

/** The longest number that a count may be. */
const most = { packets: MAX_COUNT, bytes: MAX_COUNT };
const DROPS = Object.fromEntries(DROP_REASONS.map((reason) => [reason, most]));
const id = (at: number, length: number) => `${at}-`.padEnd(length, 'i');

/** The report of a node that has as much of everything as the bounds allow, each as long as it may be. */
function largest(): CountersMessage {
  const captures = Array.from({ length: MAX_CAPTURE_STATUSES }, (_, at): CaptureReport => {
    // Half of them copy all that they match: those are told by fewer numbers.
    const isWhole = at < MOST_NUMBERS.whole;
    const [none, dropped] = [{ packets: 0, bytes: 0 }, isWhole ? {} : DROPS];
    const [sampledOut, truncated] = isWhole ? [none, none] : [most, most];
    const counts = { matched: most, sampledOut, copied: most, truncated, dropped, skipped: {} };
    return { policy: uid, source: id(at, 100), direction: 'inbound', life: at, counts };
  });
  const deliveries = Array.from({ length: MAX_CAPTURE_STATUSES }, (_, at) => {
    return { delivery: `${uid}/to/${at}`, policy: uid, sent: most, numbered: LANES };
  });
  const terminations = Array.from({ length: MAX_CAPTURE_STATUSES }, (_, at) => {
    const counts = { received: most, delivered: most, relayed: most, dropped: {}, expected: LANES };
    return { termination: `${uid}/from/n${at}`, policy: uid, node: `n${at}`, ...counts };
  });
  const refused = Object.fromEntries(COPY_REFUSALS.map((why) => [why, MAX_COUNT])) as Record<CopyRefusal, number>;
  const peers = Array.from({ length: MAX_PEERS }, (_, at) => ({ address: `255.255.1${at >> 8}.255`, ...refused }));
  const devices = Array.from({ length: MAX_DEVICES }, (_, at) => {
    return { ifindex: at + 1_000_000_000, inbound: most, outbound: most, unread: MAX_COUNT };
  });
  const device = (at: number) => `eth${at}`.padEnd(15, 'd');
  const uplinks = Array.from({ length: MAX_BUDGETS }, (_, at) => {
    return {
      device: device(at),
      ifindex: at + 1_000_000_000,
      bytesPerSecond: Number.MAX_SAFE_INTEGER,
      throttled: false,
    };
  });
  const budgets = uplinks.map(({ device, bytesPerSecond }) => ({ device, bytesPerSecond }));
  const report = { epoch: id(1, 128), captures, deliveries, terminations, peers, unknownErspan: MAX_COUNT };
  const reading = { run: id(2, 128), readAt: 1e15 + 0.5 };
  return { type: 'counters', reading, report, budgets, traffic: { devices, uplinks } };
}

test('no message is larger than the controller takes, of a node that has the most of everything', () => {
  const [writer, reader, whole] = [new CounterWriter(), new CounterReader(), largest()];
  // All is told whole first, and as numbers where it can be from then on.
  for (const round of ['whole', 'numbers']) {
    const seen = { captures: 0, devices: 0, deliveries: 0, terminations: 0, uplinks: 0, peers: 0 };
    const texts = [...textsOf(writer.write(whole))];
    for (const [at, text] of texts.entries()) {
      const isLast = at === texts.length - 1;
      assert.ok(Buffer.byteLength(text) <= (isLast ? MAX_MESSAGE_BYTES : PART_BYTES), `${round}: ${text.length} bytes`);
      const message = AgentMessage.parse(JSON.parse(text)) as CountersMessage;
      const heard = reader.read(message);
      assert.ok(!('problem' in heard), JSON.stringify(heard));
      heard.report.captures.forEach(() => {
        seen.captures++;
      });
      heard.traffic?.devices.forEach(() => {
        seen.devices++;
      });
      seen.deliveries += heard.report.deliveries.length;
      seen.terminations += heard.report.terminations.length;
      seen.uplinks += heard.traffic?.uplinks?.length ?? 0;
      seen.peers += heard.report.peers.length;
      assert.deepEqual([heard.reading, heard.budgets?.length], [isLast ? whole.reading : undefined, MAX_BUDGETS]);
    }
    const rows = MAX_CAPTURE_STATUSES;
    const each = { captures: rows, devices: MAX_DEVICES, deliveries: rows, terminations: rows };
    assert.deepEqual(seen, { ...each, uplinks: MAX_BUDGETS, peers: MAX_PEERS }, round);
  }
});

test('what has gone is told once, and takes room from the lists', () => {
  const gone = Array.from({ length: MAX_GONE }, (_, at) => id(at, 256));
  const captures = Array.from({ length: MAX_CAPTURE_STATUSES }, (_, at) => {
    return { capture: id(at, 256), device: 'd'.repeat(128), state: 'refused', message: 'm'.repeat(MAX_TEXT) } as const;
  });
  const problems = Array.from({ length: MAX_PROBLEMS }, () => ({
    code: 'c'.repeat(128),
    message: 'm'.repeat(MAX_TEXT),
  }));
  const status = sent({ type: 'status', appliedRevision: 1, captures, problems, gone });
  assert.deepEqual(
    status.map((part) => part.gone?.length),
    status.map((_, at) => (at < status.length - 1 ? undefined : MAX_GONE)),
  );
  assert.equal(status.flatMap((part) => part.captures).length, MAX_CAPTURE_STATUSES);
  const devices = Array.from({ length: MAX_DEVICES }, (_, at) => device(at));
  const ended = Array.from({ length: MAX_GONE }, (_, at) => 1_000_000_000 + at);
  const inventory = sent({ type: 'inventory', devices, gone: ended });
  assert.deepEqual(
    inventory.flatMap((part) => part.gone ?? []),
    ended,
  );
});
