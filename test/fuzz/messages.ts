/** Messages of agents: one of each kind as an honest agent sends it, and such that none would send. */
import { AgentMessage } from '@mirrorplane/contract';
import * as z from 'zod';
import type { Random } from '../chaos/random.ts';
import type { Api, Schema } from './openapi.ts';
import { oddText, twisted, valueFor } from './values.ts';

/** All kinds of messages. */
export const KINDS = AgentMessage.options.map((option) => option.shape.type.value);
type Kind = (typeof KINDS)[number];

const underlay = { device: 'eth1', address: '10.0.0.2', mtu: 1600 };
const amount = { packets: 3, bytes: 300 };
const counts = { matched: amount, sampledOut: amount, copied: amount, truncated: amount, dropped: {}, skipped: {} };

const probeCounts = {
  ...{ made: amount, copied: amount, truncated: amount, sent: amount, dropped: { overBudget: amount } },
  ...{ received: amount, delivered: amount, refused: { malformed: amount } },
};

/** A device of a VM, with everything that its orchestrator and its guest choose. */
function device(at: number, name: string) {
  return {
    name: `tap${at}`,
    ifindex: at + 1,
    mac: `02:00:00:00:01:${(at % 256).toString(16).padStart(2, '0')}`,
    mtu: 1500,
    up: true,
    linkType: 'tun',
    altNames: [name],
    warning: name,
    identityError: name,
    identity: { kind: 'vm', id: `guest-${at}/0`, name, network: name, provider: 'alias' },
    guestMacs: ['02:00:00:00:09:01'],
  };
}

/**
 * Messages whose lists have items. Others are made by the schema, which cannot tell the items of a
 * bounded list.
 */
const SAMPLES: Partial<Record<Kind, (random: Random) => object>> = {
  hello: () => ({ protocol: 1, node: 'node-2', agentVersion: '0.1.0', kernel: '6.12.0', hook: 'tcx', underlay }),
  inventory: (random) => ({
    underlay,
    devices: Array.from({ length: 1 + random.int(4) }, (_, at) => device(at, oddText(random).slice(0, 100))),
  }),
  status: (random) => ({
    appliedRevision: random.int(50),
    captures: [{ capture: 'u/web-1/0', device: 'tap1', state: 'refused', code: 'X', message: oddText(random) }],
    problems: [{ code: oddText(random).slice(0, 100), message: oddText(random).slice(0, 900), interface: 'web-1/0' }],
  }),
  counters: (random) => ({
    reading: { run: 'r', readAt: random.int(1e6) },
    report: {
      epoch: 'e',
      captures: [{ policy: 'u', source: 'web-1/0', direction: 'inbound', life: 1, counts }],
      deliveries: [{ delivery: 'u/edge', policy: 'u', sent: amount, feedback: amount }],
      terminations: [
        { termination: 'u/t', policy: 'u', node: 'node-1', received: amount, delivered: amount, dropped: {} },
      ],
      peers: [{ address: '10.0.0.1', staleSession: 1, wrongAddress: 1 }],
      unknownErspan: 1,
    },
    budgets: [{ device: 'eth1', bytesPerSecond: 1000 }],
    traffic: {
      devices: [{ ifindex: 1, inbound: amount, outbound: amount, unread: 1 }],
      uplinks: [{ device: 'eth1', ifindex: 2, bytesPerSecond: 1e9, throttled: true }],
    },
  }),
  testReport: (random) => ({
    test: random.pick(['t', oddText(random).slice(0, 100)]),
    probes: [{ probe: '024d5000000a024d5000000b', counts: probeCounts, problem: oddText(random).slice(0, 900) }],
  }),
  events: (random) => ({
    epoch: oddText(random).slice(0, 20),
    events: [
      {
        seq: 1 + random.int(1000),
        at: new Date().toISOString(),
        kind: 'repaired',
        cause: 'agent',
        message: oddText(random).slice(0, 1000),
        interface: 'web-1/0',
        code: oddText(random).slice(0, 100),
        to: 'node-1',
      },
    ],
  }),
};

/** A message of a kind. It is valid, most often. */
export function messageOf(kind: Kind, api: Api, random: Random): object {
  const sample = SAMPLES[kind]?.(random);
  if (sample) {
    return { type: kind, ...sample };
  }
  const option = AgentMessage.options.find((one) => one.shape.type.value === kind)!;
  const { $defs, ...schema } = z.toJSONSchema(option as z.ZodType, { io: 'input', unrepresentable: 'any' });
  const resolve = (at: Schema): Schema =>
    at.$ref === undefined ? at : resolve($defs![at.$ref.replace('#/$defs/', '')] as Schema);
  return valueFor(schema as Schema, { ...api, resolve }, random) as object;
}

/** A message that nobody should send: a valid one that was changed, or no message at all. */
export function oddMessage(kind: Kind, api: Api, random: Random): string | Buffer {
  const message = messageOf(kind, api, random);
  const text = JSON.stringify(random.chance(0.8) ? twisted(message, random) : message);
  switch (random.int(20)) {
    case 0:
      return Buffer.from(text);
    case 1:
      return text.slice(0, random.int(text.length));
    case 2:
      return `${text.slice(0, -1)},"type":"${random.pick(KINDS)}"}`;
    case 3:
      return random.pick(['', 'null', '[]', '"x"', '{"type":"__proto__"}', '{"type":["hello"]}', '['.repeat(50_000)]);
    default:
      return text;
  }
}
