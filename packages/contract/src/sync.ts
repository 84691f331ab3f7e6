/** Messages between agent and controller, one JSON text per WebSocket frame. Level-triggered: the newest of a type wins. */
import * as z from 'zod';
import { boundedList, Id, MAX_BUDGETS, MAX_CAPTURE_STATUSES, MAX_DEVICES, MAX_PROBLEMS, Text, Word } from './bounds.ts';
import { CounterReport } from './counters.ts';
import { EventsMessage, EventsTakenMessage } from './events.ts';
import { Device, DeviceBudget, HookKind, Underlay } from './inventory.ts';
import { Name } from './names.ts';
import { NodeProgram } from './program.ts';

/** Version of this protocol; the controller closes a connection that speaks another. */
export const SYNC_PROTOCOL = 1;

/** Header of an answer that refuses /sync: a word for the reason. */
export const REFUSED_HEADER = 'mirrorplane-refused';
/** Its value where the certificate is of this controller, and its node is deleted or was registered again. */
export const NOT_REGISTERED = 'notRegistered';

/** Revision of a program. The controller goes on from what an agent says, so there has to be room above it. */
const Revision = z
  .number()
  .int()
  .min(0)
  .max(2 ** 48);
/** Code with which the controller closes the connection of an agent whose node has another agent that answers. */
export const CLOSE_SECOND_AGENT = 4006;

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
});
export type Hello = z.infer<typeof Hello>;

/** The start of a hello of any version of this protocol: enough to say why it is refused. */
export const AnyHello = z.object({ type: z.literal('hello'), protocol: z.number().int() });

/**
 * What an agent has to say at once may be more than one message holds. It divides its lists, and all messages but the last
 * of them have `more`: the controller acts on them when the last one is there.
 */
const more = z.literal(true).optional();

/** All devices of the node. Sent after hello and after every change. */
export const InventoryMessage = z.object({
  type: z.literal('inventory'),
  underlay: Underlay.optional(),
  devices: boundedList(Device, MAX_DEVICES),
  more,
});
export type InventoryMessage = z.infer<typeof InventoryMessage>;

/**
 * What became of one capture, on one device of its interface. `code` and `message` say why it is refused or, where it is
 * `capturing`, why it is so only in part: in one direction, or without frames that a bridge floods.
 */
export const CaptureStatus = z.object({
  capture: Id,
  device: Word,
  state: z.enum(['capturing', 'refused']),
  code: Word.optional(),
  message: Text.optional(),
});
export type CaptureStatus = z.infer<typeof CaptureStatus>;

/** Something on the node that stands in the way of its program; `policy` is a uid where one policy alone is concerned. */
export const NodeProblem = z.object({
  code: Word,
  message: Text,
  policy: Id.optional(),
  interface: Id.optional(),
});
export type NodeProblem = z.infer<typeof NodeProblem>;

/** What the kernel of the node runs now. Sent after every reconcile. */
export const StatusMessage = z.object({
  type: z.literal('status'),
  appliedRevision: Revision,
  captures: boundedList(CaptureStatus, MAX_CAPTURE_STATUSES),
  problems: boundedList(NodeProblem, MAX_PROBLEMS),
  more,
});
export type StatusMessage = z.infer<typeof StatusMessage>;

/** Names one report of one agent, so that it can be acknowledged. */
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
 * Sent every second. Without `reading` it is not acknowledged. A report that is more than one message holds comes in several;
 * each is a report of its own, and the last one has the reading.
 */
export const CountersMessage = z.object({
  type: z.literal('counters'),
  reading: CounterReading.optional(),
  report: CounterReport,
  budgets: boundedList(DeviceBudget, MAX_BUDGETS).optional().meta({
    description: 'Of the devices by which copies leave; left out where none has one.',
  }),
});
export type CountersMessage = z.infer<typeof CountersMessage>;

export const AgentMessage = z.discriminatedUnion('type', [
  Hello,
  InventoryMessage,
  StatusMessage,
  CountersMessage,
  EventsMessage,
]);
export type AgentMessage = z.infer<typeof AgentMessage>;

/** The node's program, whole. Sent after hello and after every change. */
export const ProgramMessage = z.object({ type: z.literal('program'), program: NodeProgram });
export type ProgramMessage = z.infer<typeof ProgramMessage>;

/**
 * Totals that include this reading are on the disk of the controller. Until then the agent keeps, and reports, the counters
 * of what has left its program.
 */
export const CountersSavedMessage = z.object({ type: z.literal('countersSaved'), ...reading });
export type CountersSavedMessage = z.infer<typeof CountersSavedMessage>;

export const ControllerMessage = z.discriminatedUnion('type', [
  ProgramMessage,
  EventsTakenMessage,
  CountersSavedMessage,
]);
export type ControllerMessage = z.infer<typeof ControllerMessage>;

/** An agent's request for its certificate: POST /enroll on the agents' port, TLS without a client certificate. */
export const EnrollRequest = z.object({
  node: Name,
  secret: z.string().max(256).meta({ description: 'The secret part of the join token.' }),
  csr: z.string().max(4096).meta({ description: 'PKCS #10 request in PEM, subject CN = node.' }),
});
export type EnrollRequest = z.infer<typeof EnrollRequest>;

/** The certificate of the agent and that of the authority, in PEM. */
export const EnrollResponse = z.object({ certificate: z.string(), authority: z.string() });
export type EnrollResponse = z.infer<typeof EnrollResponse>;

/** An agent's request to have its certificate renewed: POST /renew on the agents' port, with the certificate that it has. */
export const RenewRequest = z.object({
  csr: z.string().max(4096).meta({ description: 'PKCS #10 request in PEM, subject CN = node.' }),
});
export type RenewRequest = z.infer<typeof RenewRequest>;

/** A join token: `mp1.SECRET.FINGERPRINT`, the fingerprint being the SHA-256 of the authority's certificate (DER), hex. */
export interface JoinToken {
  secret: string;
  fingerprint: string;
}

/** Writes a join token as text. */
export function formatJoinToken(token: JoinToken): string {
  return `mp1.${token.secret}.${token.fingerprint}`;
}

/** Reads a join token. @throws Error where the text is not one. */
export function parseJoinToken(text: string): JoinToken {
  const match = /^mp1\.([A-Za-z0-9_-]{16,128})\.([0-9a-f]{64})$/.exec(text.trim());
  if (!match) {
    throw new Error(
      'this is not a join token: join tokens have the form mp1.SECRET.FINGERPRINT; create one with "mirrorplane node token"',
    );
  }
  return { secret: match[1]!, fingerprint: match[2]! };
}
