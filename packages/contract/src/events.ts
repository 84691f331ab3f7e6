/** Events: what happened, when, to what, why, and who caused it. Told once, kept in order, never changed. */
import * as z from 'zod';
import { boundedList, Id, Text, Word } from './bounds.ts';
import { ReasonCode } from './errors.ts';
import { InterfaceId, Name, Timestamp } from './names.ts';
import { PolicyState, StatusReason } from './status.ts';

/**
 * Every kind of event; a kind, once released, keeps its meaning.
 * - `policyCreated`, `policyChanged`, `policyEnabled`, `policyDisabled`, `policyDeleted`: an operator did it.
 * - `policyStateChanged`: the state of a policy or its reasons changed.
 * - `captureAttached`, `captureDetached`, `captureRefused`: an agent began, ended or could not begin a capture.
 * - `repaired`: an agent put back what others had taken away or pushed aside.
 * - `datapathFailed`: the data plane of a node could not be changed at all.
 * - `interfaceAppeared`, `interfaceGone`: it has a device now, or none any more.
 * - `interfaceMigrating`: it has a second device, on another node. `interfaceMigrated`: it has moved to another node.
 *   `interfaceStayed`: its second device went again, and it has not moved.
 * - `migrationMeasured`: the old device of a source or destination that migrated live is gone: what the move has missed and
 *   duplicated; of a destination `count` copies that it had not read were relayed to it.
 * - `interfaceContested`: a node claims an interface that another node has, and the claim is refused.
 * - `edgeDeviceChanged`: an edge-connected interface has another device, or lost or found it.
 * - `nodeConnected`, `nodeDisconnected`: the connection of an agent.
 * - `nodeRejected`: an agent was turned away: it speaks another version of the protocol, or its node has another agent.
 * - `countersRefused`: a node reports counters that cannot be its own; they are not taken.
 * - `nodeDeclaredDead`: an operator has said that a node copies no more, and has deleted it.
 * - `nodeProblemBegan`, `nodeProblemEnded`: a node has a problem of this code, or none of it any more.
 * - `requestRefused`: what an operator or an agent asked for was refused.
 * - `eventsLost`: an agent could not keep all its events while the controller was away; `count` says how many it dropped.
 * - `eventsLeftOut`: the controller has left out events that a node caused or sent: more than its share, or not about what is
 *   its own; `count` says how many.
 * - `certificateEnding`: the authority of the controller ends within months, or has ended.
 * - `controllerStarted`: the controller was started.
 */
export const EVENT_KINDS = [
  'policyCreated',
  'policyChanged',
  'policyEnabled',
  'policyDisabled',
  'policyDeleted',
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
  'countersRefused',
  'nodeDeclaredDead',
  'nodeProblemBegan',
  'nodeProblemEnded',
  'requestRefused',
  'eventsLost',
  'eventsLeftOut',
  'certificateEnding',
  'controllerStarted',
] as const;
export const EventKind = z.enum(EVENT_KINDS).meta({ id: 'EventKind' });
export type EventKind = z.infer<typeof EventKind>;

/** Events that are kept at most. */
export const MAX_EVENTS = 10_000;
/** A status event lists at most this many reasons. */
export const MAX_EVENT_REASONS = 16;
/** One message of an agent carries at most this many events. */
export const MAX_EVENTS_MESSAGE = 500;

/** What an event is about. */
export const EventObject = z.object({
  kind: z.enum(['policy', 'interface', 'node', 'pool', 'domain', 'controller']),
  name: z.string().meta({ description: 'Name or id. Empty if a refused request named none.' }),
});
export type EventObject = z.infer<typeof EventObject>;

/** Who caused an event: an operator, the agent of a node, or the controller itself. */
export const EventCause = z.object({
  kind: z.enum(['operator', 'agent', 'controller']),
  name: z.string().meta({ description: 'Name of the operator, of the node of the agent, or "controller".' }),
});
export type EventCause = z.infer<typeof EventCause>;

/** What an event can measure. */
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

/** One event. Fields beside those that every event has are there where they mean something. */
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
    state: PolicyState.optional().meta({ description: 'New state of the policy.' }),
    previousState: PolicyState.optional().meta({
      description: 'Previous state of the policy. Absent: there was none yet.',
    }),
    reasons: z
      .array(StatusReason)
      .optional()
      .meta({ description: `Why the policy is not active: the first ${MAX_EVENT_REASONS} reasons.` }),
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

/** An event before it has its number; its time is that of the controller where it has none. */
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

/** Sent within a stream as an SSE event named `gap`: events between the two ids are not kept any more. */
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
 * What happened on the node. Repeated on every connection until the controller has answered with `eventsTaken`: at least
 * once, and `epoch` with `seq` tells the controller what it has already. A gap in `seq` is what the agent had to drop.
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

/** The controller has kept, or knew already, all events up to this one. */
export const EventsTakenMessage = z.object({
  type: z.literal('eventsTaken'),
  epoch: z.string(),
  seq: z.number().int(),
});
export type EventsTakenMessage = z.infer<typeof EventsTakenMessage>;

/** Reads `KIND/NAME`, as in `policy/ids-all` or `interface/web-1/0`. Undefined where it is not of that form. */
export function parseEventObject(text: string): EventObject | undefined {
  const at = text.indexOf('/');
  const result = EventObject.safeParse({ kind: text.slice(0, at), name: text.slice(at + 1) });
  return at > 0 && at < text.length - 1 && result.success ? result.data : undefined;
}
