/**
 * Events: what happened, when, to what, why, and who caused it. An event is reported once, stored
 * in order, and never changed.
 */
import * as z from 'zod';
import { boundedList, Id, Text, Word } from './bounds.ts';
import { ReasonCode } from './errors.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { PolicyState, StatusReason } from './status.ts';

/**
 * Every kind of event. A released kind keeps its meaning.
 * - `policyCreated`, `policyChanged`, `policyEnabled`, `policyDisabled`, `policyDeleted`: an
 *   operator did it.
 * - `policyApprovalRequested`: a policy, or a change of it, waits for the consent of others.
 *   `policyApproved`, `policyRejected`: an owner has given or refused it, or has withdrawn it.
 * - `policyEndsSoon`: a policy ends automatically within the hour. `policyEnded`: it has, and is disabled.
 * - `policyStateChanged`: the state of a policy or its reasons changed.
 * - `captureAttached`, `captureDetached`, `captureRefused`: an agent started a capture, ended it,
 *   or could not start it.
 * - `repaired`: an agent put back what other software had removed or pushed aside.
 * - `datapathFailed`: the data plane of a node could not be changed at all.
 * - `interfaceAppeared`, `interfaceGone`: an interface has a device now, or has none any more.
 * - `interfaceMigrating`: an interface has a second device, on another node. `interfaceMigrated`:
 *   it has moved to another node. `interfaceStayed`: its second device is gone again, and it has
 *   not moved.
 * - `migrationMeasured`: the old device of a source or destination that migrated live is gone. The
 *   event says how many packets were missed and duplicated. For a destination, `count` copies that
 *   it had not read were relayed to it.
 * - `interfaceContested`: a node claims an interface that another node has, and the claim is
 *   refused.
 * - `edgeDeviceChanged`: an edge-connected interface has lost its device, has found it, or has
 *   another device.
 * - `nodeConnected`, `nodeDisconnected`: the agent of a node connected or disconnected.
 * - `nodeRejected`: an agent was refused, because it speaks another version of the protocol, or its
 *   node has another agent or a newer certificate.
 * - `nodeEnrolledAgain`: a node has enrolled again. The certificate of its earlier enrolment is
 *   refused from now on.
 * - `nodeRevoked`: an operator has cut a node off.
 * - `countersRefused`: a node reported counters that cannot be its own. The controller ignores
 *   them.
 * - `nodeDeclaredDead`: an operator has declared that a node no longer copies, and has deleted the
 *   node.
 * - `nodeProblemBegan`, `nodeProblemEnded`: a node has a problem with this code, or no longer has
 *   one.
 * - `requestRefused`: a request of an operator or an agent was refused.
 * - `eventsLost`: an agent could not keep all its events while the controller was away. It dropped
 *   `count` events.
 * - `eventsLeftOut`: the controller has left out `count` events that a node caused or sent: they
 *   exceeded the share of the node, or were about something that is not its own.
 * - `lookBegan`, `lookEnded`: a user looks at packets of interfaces or of the sources of a policy,
 *   or does not any more.
 * - `authorityRotated`: an operator has begun to rotate the authority, or has dropped the old one.
 * - `auditProblem`: the audit log cannot be written, can be written again, is not what it was, or
 *   does not reach the receiver of its copies.
 * - `certificateEnding`: the authority of the controller ends within months, or has ended; or the
 *   certificate that an operator gave for the API ends within days.
 * - `certificateRefused`: an operator has replaced the certificate of the API by one that cannot be
 *   used. The one before stays in use.
 * - `apiNotEncrypted`: the API listens without TLS where others can reach it.
 * - `controllerStarted`: the controller was started.
 * - `leaderChanged`: one of several controllers leads from now on.
 * - `leaderRefused`: an agent has refused a controller that does not lead any more.
 */
export const EVENT_KINDS = [
  'policyCreated',
  'policyChanged',
  'policyEnabled',
  'policyDisabled',
  'policyDeleted',
  'policyApprovalRequested',
  'policyApproved',
  'policyRejected',
  'policyEndsSoon',
  'policyEnded',
  'policyStateChanged',
  'captureAttached',
  'captureDetached',
  'captureRefused',
  'repaired',
  'datapathFailed',
  'interfaceAppeared',
  'interfaceGone',
  'interfaceMigrating',
  'interfaceMigrated',
  'migrationMeasured',
  'interfaceStayed',
  'interfaceContested',
  'edgeDeviceChanged',
  'nodeConnected',
  'nodeDisconnected',
  'nodeRejected',
  'nodeEnrolledAgain',
  'nodeRevoked',
  'countersRefused',
  'nodeDeclaredDead',
  'nodeProblemBegan',
  'nodeProblemEnded',
  'requestRefused',
  'eventsLost',
  'eventsLeftOut',
  'lookBegan',
  'lookEnded',
  'certificateEnding',
  'authorityRotated',
  'auditProblem',
  'certificateRefused',
  'apiNotEncrypted',
  'controllerStarted',
  'leaderChanged',
  'leaderRefused',
] as const;
export const EventKind = z.enum(EVENT_KINDS).meta({ id: 'EventKind' });
export type EventKind = z.infer<typeof EventKind>;

/** The most events that are stored. */
export const MAX_EVENTS = 10_000;
/** A status event lists at most this many reasons. */
export const MAX_EVENT_REASONS = 16;
/** One message of an agent carries at most this many events. */
export const MAX_EVENTS_MESSAGE = 500;

/** What an event is about. */
export const EventObject = z.object({
  kind: z.enum(['policy', 'interface', 'node', 'pool', 'domain', 'look', 'user', 'apiToken', 'controller']),
  name: z.string().meta({ description: 'Name or id. Empty if a refused request named none.' }),
});
export type EventObject = z.infer<typeof EventObject>;

/** Who caused an event: an operator, the agent of a node, or the controller itself. */
export const EventCause = z.object({
  kind: z.enum(['operator', 'agent', 'controller']),
  name: z.string().meta({ description: 'Name of the operator, of the node of the agent, or "controller".' }),
});
export type EventCause = z.infer<typeof EventCause>;

/** Measured values that an event can have. */
const measures = {
  ms: z.number().nonnegative().optional().meta({
    description:
      'Milliseconds between the time when the agent first saw the device and the time when its capture was in force.',
  }),
  missed: z.number().int().nonnegative().optional().meta({
    description:
      'Packets that passed the device before its capture was in force, as the device counts them. For a destination that has migrated: copies that were lost with its old device. Absent: not known.',
  }),
  duplicated: z.number().int().nonnegative().optional().meta({
    description:
      'Packets captured twice: on the origin node too, after the guest had left it. For a destination that has migrated: the largest number of copies that it may have received twice. Absent: not known.',
  }),
  count: z
    .number()
    .int()
    .nonnegative()
    .optional()
    .meta({ description: 'Number of things, if the event is about several.' }),
};

/** One event. Optional fields are present where they mean something. */
export const Event = z
  .object({
    id: z
      .number()
      .int()
      .positive()
      .meta({ description: 'Number of the event. It grows with every event, also across restarts.' }),
    at: Timestamp.meta({
      description: 'Time of the event, ISO 8601 in UTC, by the clock of the agent or the controller.',
    }),
    claimedAt: Timestamp.optional().meta({
      description:
        'Time that the agent reported, if that time is impossible. `at` is then the time when the controller received the event.',
    }),
    kind: EventKind,
    object: EventObject,
    code: ReasonCode.optional().meta({ description: 'Code of the reason.' }),
    message: z.string(),
    cause: EventCause,
    policy: z
      .string()
      .optional()
      .meta({ description: 'Name of the policy concerned, if the object is something else.' }),
    node: z.string().optional().meta({ description: 'Name of the node concerned, if the object is something else.' }),
    from: z.string().optional().meta({ description: 'For a migration: the origin node.' }),
    interfaces: z
      .array(InterfaceId)
      .optional()
      .meta({ description: 'Interfaces that a look is of. Absent: it is of a policy, see policy.' }),
    state: PolicyState.optional().meta({ description: 'New state of the policy.' }),
    previousState: PolicyState.optional().meta({
      description: 'Previous state of the policy. Absent: there was none yet.',
    }),
    reasons: z
      .array(StatusReason)
      .optional()
      .meta({ description: `Why the policy is not active: the first ${MAX_EVENT_REASONS} reasons.` }),
    was: z
      .object({
        destination: InterfaceId,
        sources: z
          .array(InterfaceId)
          .meta({ description: 'Those that are no longer sources, or whose copies go elsewhere now.' }),
      })
      .optional()
      .meta({ description: 'Of a policy that was deleted, or has other sources or another destination: what it was.' }),
    ...measures,
  })
  .meta({
    id: 'Event',
    examples: [
      {
        id: 4711,
        at: '2026-01-31T12:00:00.000Z',
        kind: 'captureAttached',
        object: { kind: 'interface', name: 'web-1/0' },
        message: 'capture at tap-web-1 began',
        cause: { kind: 'agent', name: 'node-2' },
        policy: 'ids-web',
        node: 'node-2',
        ms: 6.8,
        missed: 0,
      },
    ],
  });
export type Event = z.infer<typeof Event>;

/** An event before it gets its number. Without `at`, it gets the time of the controller. */
export type EventDraft = Omit<Event, 'id' | 'at'> & { at?: string };

/** Answer to a list of events. */
export const EventList = z
  .object({
    items: z.array(Event).meta({ description: 'Events, the oldest first.' }),
    last: z.number().int().meta({
      description: 'Pass this value as `after`, to the list or to the stream, to continue without a gap.',
    }),
    oldest: z.number().int().meta({ description: 'Id of the oldest stored event. 0: there is none.' }),
  })
  .meta({ id: 'EventList' });
export type EventList = z.infer<typeof EventList>;

/**
 * Sent within a stream as an SSE event named `gap`: events between the two ids are no longer
 * stored.
 */
export const EventGap = z
  .object({
    after: z.number().int().meta({ description: 'Id after which the client asked to continue.' }),
    resumed: z.number().int().meta({ description: 'Id after which the stream continues instead.' }),
  })
  .meta({ id: 'EventGap' });
export type EventGap = z.infer<typeof EventGap>;

/** The kinds of events that an agent reports. */
export const AgentEventKind = z.enum([
  'captureAttached',
  'captureDetached',
  'captureRefused',
  'repaired',
  'datapathFailed',
  'migrationMeasured',
  'leaderRefused',
]);
export type AgentEventKind = z.infer<typeof AgentEventKind>;

/** One event of an agent. Without `interface` it is about the node. */
export const AgentEvent = z.object({
  seq: z.number().int().positive().meta({ description: 'From 1, without gaps, within one epoch.' }),
  at: z.iso.datetime(),
  kind: AgentEventKind,
  cause: z.enum(['agent', 'controller']).meta({ description: 'controller: the agent carried out a new program.' }),
  message: Text,
  interface: InterfaceId.optional(),
  policy: Id.optional().meta({ description: 'uid of the policy.' }),
  code: Word.optional(),
  to: Name.optional().meta({ description: 'For a migration: name of the target node.' }),
  ...measures,
});
export type AgentEvent = z.infer<typeof AgentEvent>;

/**
 * Events of the node. The agent sends them again on every connection until the controller answers
 * with `eventsTaken`, so each event arrives at least once. By `epoch` and `seq` the controller
 * recognises events that it already has. A gap in `seq` stands for events that the agent had to
 * drop.
 */
export const EventsMessage = z.object({
  type: z.literal('events'),
  epoch: Word.meta({ description: 'New for each run of the agent.' }),
  events: boundedList(AgentEvent, MAX_EVENTS_MESSAGE).refine(
    (events) => events.length > 0 && events.every(({ seq }, index) => index === 0 || seq > events[index - 1]!.seq),
    'send at least one event, in the order of their numbers',
  ),
});
export type EventsMessage = z.infer<typeof EventsMessage>;

/** The controller has stored all events up to this one, now or earlier. */
export const EventsTakenMessage = z.object({
  type: z.literal('eventsTaken'),
  epoch: z.string(),
  seq: z.number().int(),
});
export type EventsTakenMessage = z.infer<typeof EventsTakenMessage>;

/**
 * Reads `KIND/NAME`, for example `policy/ids-all` or `interface/web-1/0`. Undefined for text of
 * another form.
 */
export function parseEventObject(text: string): EventObject | undefined {
  const at = text.indexOf('/');
  const result = EventObject.safeParse({ kind: text.slice(0, at), name: text.slice(at + 1) });
  return at > 0 && at < text.length - 1 && result.success ? result.data : undefined;
}
