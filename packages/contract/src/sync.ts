/**
 * Messages between agent and controller, one JSON text per WebSocket frame. Level-triggered: the
 * newest of a type wins.
 */
import * as z from 'zod';
import {
  boundedList,
  Id,
  MAX_BUDGETS,
  MAX_CAPTURE_STATUSES,
  MAX_DEVICES,
  MAX_GONE,
  MAX_PROBLEMS,
  Text,
  Word,
} from './bounds.ts';
import { AuthorityMessage, CertificateMessage, CertificateStoredMessage, RenewMessage } from './certificates.ts';
import { CounterNumbers } from './counter-numbers.ts';
import { CounterReport } from './counters.ts';
import { EventsMessage, EventsTakenMessage } from './events.ts';
import { Device, DeviceBudget, HookKind, Underlay } from './inventory.ts';
import { LeaderMessage, Term } from './leader.ts';
import { LOOK_KEEPING } from './look-limits.ts';
import { COPY_FATES } from './looks.ts';
import { InterfaceId, Name } from './names.ts';
import { TestReportMessage, TestsMessage } from './probes.ts';
import { NodeProgram } from './program.ts';
import {
  HeldProgram,
  PartsWantedMessage,
  ProgramDifferenceMessage,
  ProgramWantedMessage,
  Revision,
} from './program-messages.ts';
import { TrafficReport } from './traffic.ts';

/** Version of this protocol. The controller closes a connection that uses another version. */
export const SYNC_PROTOCOL = 1;

/** Header of an answer that refuses /sync: a word for the reason. */
export const REFUSED_HEADER = 'mirrorplane-refused';
/**
 * Values of `REFUSED_HEADER` for a certificate that an authority has signed, of a node that shall
 * not copy any more.
 * - `notRegistered`: the node was deleted or registered again.
 * - `revoked`: an operator has revoked the node.
 * - `superseded`: the node has enrolled again since, perhaps on another host.
 */
export const DISMISSED = ['notRegistered', 'revoked', 'superseded'] as const;
export type Dismissed = (typeof DISMISSED)[number];

/** WebSocket close code for an agent whose node already has another agent that answers. */
export const CLOSE_SECOND_AGENT = 4006;

/** The most authorities that an agent says it trusts. A controller has two while it rotates its own. */
const MAX_TRUSTED = 8;

/** First message of an agent. */
export const Hello = z.object({
  type: z.literal('hello'),
  protocol: z.number().int(),
  node: Name,
  agentVersion: Word,
  kernel: Word.meta({ description: 'uname -r' }),
  hook: HookKind.optional(),
  underlay: Underlay.optional(),
  appliedRevision: Revision.optional(),
  trusts: boundedList(Word, MAX_TRUSTED).optional().meta({
    description: 'Authorities that the agent trusts: SHA-256 of their certificates (DER), hex.',
  }),
  term: Term.optional().meta({
    description:
      'The highest term of a leader that the agent knows, 0 without one. Absent: it is of an earlier version.',
  }),
  differences: z.literal(true).optional().meta({
    description:
      'The agent reports differences where the controller asks for them. Absent: it is of an earlier version.',
  }),
  numbers: z.literal(true).optional().meta({
    description:
      'The agent tells counters as numbers where the controller asks for them. Absent: it is of an earlier version.',
  }),
  takesDifferences: z.literal(true).optional().meta({
    description: 'Programs may be sent as differences. Absent: the agent is of an earlier version.',
  }),
  program: HeldProgram.optional().meta({ description: 'The newest program that the agent has. Absent: none.' }),
});
export type Hello = z.infer<typeof Hello>;

/** The fields that a hello of every protocol version has. They are enough to explain a refusal. */
export const AnyHello = z.object({ type: z.literal('hello'), protocol: z.number().int() });

/**
 * One report may be too large for one message. The agent then divides its lists into several
 * messages. All but the last have `more`. The controller acts on them when the last one has
 * arrived.
 */
const more = z.literal(true).optional();

/**
 * All devices of the node. Sent after hello and after every change. With `gone` it is a difference:
 * `devices` are those that are new or have changed since the last report on this connection.
 */
export const InventoryMessage = z.object({
  type: z.literal('inventory'),
  underlay: Underlay.optional(),
  devices: boundedList(Device, MAX_DEVICES),
  gone: boundedList(z.number().int().positive(), MAX_GONE).optional().meta({
    description: 'Devices that are there no more, by ifindex. Absent: the report is whole.',
  }),
  more,
});
export type InventoryMessage = z.infer<typeof InventoryMessage>;

/**
 * The state of one capture on one device of its interface. `code` and `message` say why it is
 * refused. With `capturing` they say why it captures only in part: in one direction, or without
 * frames that a bridge floods.
 */
export const CaptureStatus = z.object({
  capture: Id,
  device: Word,
  state: z.enum(['capturing', 'refused']),
  code: Word.optional(),
  message: Text.optional(),
});
export type CaptureStatus = z.infer<typeof CaptureStatus>;

/** A problem of the node. `policy` is the uid of the affected policy, where it is only one. */
export const NodeProblem = z.object({
  code: Word,
  message: Text,
  policy: Id.optional(),
  interface: Id.optional(),
});
export type NodeProblem = z.infer<typeof NodeProblem>;

/**
 * What the kernel of the node runs now. Sent after every pass that changes it. With `gone` it is a
 * difference: `captures` are those that are new or have changed since the last report on this
 * connection. Problems are always whole.
 */
export const StatusMessage = z.object({
  type: z.literal('status'),
  appliedRevision: Revision,
  captures: boundedList(CaptureStatus, MAX_CAPTURE_STATUSES),
  problems: boundedList(NodeProblem, MAX_PROBLEMS),
  gone: boundedList(Id, MAX_GONE).optional().meta({
    description: 'Captures that are there no more, by id. Absent: the report is whole.',
  }),
  more,
});
export type StatusMessage = z.infer<typeof StatusMessage>;

/** Identifies one report of one agent, so that the controller can acknowledge it. */
const reading = {
  run: Word.meta({ description: 'New for each run of the agent.' }),
  readAt: z
    .number()
    .nonnegative()
    .meta({ description: 'Time of the reading, in milliseconds since the agent started.' }),
};
export const CounterReading = z.object(reading);
export type CounterReading = z.infer<typeof CounterReading>;

/**
 * Sent every second, or as often as `ReportingMessage` says. What it does not mention has not changed.
 * A message without `reading` is not acknowledged. A large report is divided into several messages.
 * Each of them counts as a report, and the last one has the reading.
 */
export const CountersMessage = z.object({
  type: z.literal('counters'),
  reading: CounterReading.optional(),
  report: CounterReport,
  budgets: boundedList(DeviceBudget, MAX_BUDGETS).optional().meta({
    description: 'Of the devices by which copies leave; left out where none has one.',
  }),
  traffic: TrafficReport.optional().meta({ description: 'In every second message, and in none of earlier agents.' }),
  numbers: CounterNumbers.optional().meta({ description: 'More rows of the report and of the traffic, as numbers.' }),
});
export type CountersMessage = z.infer<typeof CountersMessage>;

/** A node cannot carry out a look, or cannot any more. */
export const LookRefusal = z.object({
  look: Word,
  field: Word.optional().meta({ description: 'Part of the request that is wrong. Absent: none is.' }),
  message: Text.meta({ description: 'Why, and what to do.' }),
});
export type LookRefusal = z.infer<typeof LookRefusal>;

/** All looks of the last `looks` that the node cannot carry out. Sent when they have changed. */
export const LooksRefusedMessage = z.object({
  type: z.literal('looksRefused'),
  refused: boundedList(LookRefusal, LOOK_KEEPING.running),
});
export type LooksRefusedMessage = z.infer<typeof LooksRefusedMessage>;

export const AgentMessage = z.discriminatedUnion('type', [
  Hello,
  InventoryMessage,
  StatusMessage,
  CountersMessage,
  EventsMessage,
  TestReportMessage,
  LooksRefusedMessage,
  ProgramWantedMessage,
  RenewMessage,
  CertificateStoredMessage,
]);
export type AgentMessage = z.infer<typeof AgentMessage>;

/**
 * The whole program of the node. Sent after hello and after every change, unless the agent has it,
 * or what differs is sent.
 */
export const ProgramMessage = z.object({ type: z.literal('program'), program: NodeProgram });
export type ProgramMessage = z.infer<typeof ProgramMessage>;

/**
 * The controller has saved totals that include this reading. Until this message, the agent keeps
 * and reports the counters of parts that have left its program.
 */
export const CountersSavedMessage = z.object({ type: z.literal('countersSaved'), ...reading });
export type CountersSavedMessage = z.infer<typeof CountersSavedMessage>;

/** Bounds of the time between two reports of counters, milliseconds. */
export const COUNTER_INTERVAL_MS = { least: 1000, most: 5000 } as const;

/**
 * How the agent reports from now on: differences to what it has told on this connection. Sent after
 * the hello of an agent that can (`differences`), and when something of it changes.
 */
export const ReportingMessage = z.object({
  type: z.literal('reporting'),
  counterIntervalMs: z.number().int().min(COUNTER_INTERVAL_MS.least).max(COUNTER_INTERVAL_MS.most),
  whole: z.literal(true).optional().meta({ description: 'The next counters are whole, once.' }),
  numbers: z.literal(true).optional().meta({ description: 'Counters are told as numbers, where they can be.' }),
});
export type ReportingMessage = z.infer<typeof ReportingMessage>;

/** A look that a node shall carry out. */
export const LookOrder = z.object({
  id: z.string(),
  of: z.union([z.object({ interfaces: z.array(InterfaceId) }), z.object({ policy: Id })]).meta({
    description: 'Interfaces, or the uid of a policy.',
  }),
  words: z.string(),
  fates: z.array(z.enum(COPY_FATES)).optional(),
  payload: z.boolean(),
  packetRate: z.number().int(),
  leaseMs: z.number().meta({ description: 'Milliseconds that it lives on unless it is renewed.' }),
});
export type LookOrder = z.infer<typeof LookOrder>;

/**
 * All looks of the node, the oldest first. Sent when they change, when one is renewed, and after a
 * hello if there are some.
 */
export const LooksMessage = z.object({ type: z.literal('looks'), looks: z.array(LookOrder) });
export type LooksMessage = z.infer<typeof LooksMessage>;

export const ControllerMessage = z.discriminatedUnion('type', [
  ProgramMessage,
  ProgramDifferenceMessage,
  PartsWantedMessage,
  EventsTakenMessage,
  CountersSavedMessage,
  ReportingMessage,
  TestsMessage,
  LooksMessage,
  CertificateMessage,
  AuthorityMessage,
  LeaderMessage,
]);
export type ControllerMessage = z.infer<typeof ControllerMessage>;
