/** /api/v1/events */
import { Event, EventGap, EventKind, EventList, type EventObject, parseEventObject } from '@mirrorplane/contract';
import * as z from 'zod';
import { givesWay } from '../auth/fair-share.ts';
import { EventStream } from '../events/event-stream.ts';
import type { PacedStream } from '../events/paced-stream.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { seesEvent } from './event-sight.ts';
import { filterOf } from './list-filter.ts';
import type { ListSpec } from './list-spec.ts';
import { type Route, route } from './route.ts';
import type { Who } from './who.ts';

const path = '/api/v1/events';
const tag = 'events';
/** Where words of a filter are looked for. */
const EVENTS: Pick<ListSpec<Event>, 'key' | 'texts' | 'filter'> = {
  key: ({ kind }) => kind,
  texts: ({ object, message, code, cause, policy, node, from }) => [
    object.name,
    message,
    code,
    cause.name,
    policy,
    node,
    from,
  ],
  filter: {},
};

/**
 * Streams that are read at a time, of one user or token and of all, and those of one session. Where
 * all places are taken, one of who has most of them ends for somebody else: it is opened again.
 */
export const STREAM_PLACES = { each: 64, total: 256 };
const MAX_STREAMS_OF_SESSION = 16;
const Id = z.coerce.number().int().min(0);

const filters = {
  kind: z
    .union([z.string(), z.array(z.string())])
    .transform((given) => [given].flat().flatMap((text) => text.split(',')))
    .pipe(z.array(EventKind))
    .optional()
    .meta({
      description: 'Kinds of events, separated by commas; or repeat the parameter. Default: all.',
      list: EventKind,
    }),
  object: z
    .string()
    .transform((text, context): EventObject => {
      const object = parseEventObject(text);
      if (!object) {
        context.addIssue({
          code: 'custom',
          message: 'write KIND/NAME, for example policy/ids-all or interface/web-1/0',
        });
        return z.NEVER;
      }
      return object;
    })
    .optional()
    .meta({
      description:
        'KIND/NAME, for example policy/ids-all: events about this object, and events that name it. Default: all.',
    }),
};

const ListQuery = z.strictObject({
  after: Id.optional().meta({ description: 'Only events after this id. Default: the newest events.' }),
  before: Id.optional().meta({ description: 'Only events before this id: the newest of them.' }),
  filter: z.string().max(512).default('').meta({
    description: 'Words that an event has to contain, all of them: in its kind, names, code, message and cause.',
  }),
  since: z.iso
    .datetime({ offset: true, error: 'write a time of ISO 8601, as in 2026-01-31T12:00:00Z' })
    .transform((text) => Date.parse(text))
    .optional()
    .meta({ description: 'Only events that happened at this time or later, ISO 8601.' }),
  limit: z.coerce
    .number()
    .int()
    .min(1)
    .max(1000)
    .default(100)
    .meta({ description: 'Largest number of events, 1 to 1000.' }),
  ...filters,
});

const StreamQuery = z.strictObject({
  after: Id.optional().meta({
    description:
      'The stream begins after this id. The header Last-Event-ID overrides this parameter. Default: only new events.',
  }),
  ...filters,
});

/** An event about an interface also matches the policy and the node that it names. */
function matcher({ kind, object }: { kind?: EventKind[] | undefined; object?: EventObject | undefined }) {
  const kinds = kind && new Set(kind);
  return (event: Event): boolean => (!kinds || kinds.has(event.kind)) && (!object || concerns(event, object));
}

function concerns(event: Event, { kind, name }: EventObject): boolean {
  if (event.object.kind === kind && event.object.name === name) {
    return true;
  }
  if (kind === 'interface') {
    return event.interfaces?.includes(name) ?? false;
  }
  if (kind === 'node') {
    return event.node === name || event.from === name;
  }
  return kind === 'policy' && event.policy === name;
}

/** Where a stream begins. */
export function startOf(
  header: string | string[] | undefined,
  after: number | undefined,
  { events }: Services,
): number {
  if (header === undefined || header === '') {
    return after ?? events.last;
  }
  const id = Id.safeParse(header);
  if (!id.success) {
    throw new ProblemError(
      'BAD_REQUEST',
      'Last-Event-ID must be the id of an event: remove it, or send the last id that you received',
    );
  }
  return id.data;
}

/** Headers of a stream of server-sent events. */
export const STREAM_HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // A proxy that collects an answer before it passes it on would keep events back.
  'x-accel-buffering': 'no',
};

/**
 * Whether there is room for one more stream.
 * @returns the stream that gives way to it, if one has to
 * @throws ProblemError where there are too many
 */
export function requirePlace({ streams }: Services, { by, name: holder }: Who): PacedStream | undefined {
  const session = by === 'token' ? undefined : by.session.id;
  const held = new Map([...streams].map(([stream, one]) => [stream, one.holder]));
  const first = givesWay(held, holder, STREAM_PLACES);
  const ofSession = streams.values().filter((one) => session !== undefined && one.session === session);
  const isFull = [...ofSession].length >= MAX_STREAMS_OF_SESSION;
  if (isFull || (first && held.get(first) === holder)) {
    const count = isFull ? MAX_STREAMS_OF_SESSION : [...held.values()].filter((one) => one === holder).length;
    const message = `you read ${count} streams already: close some, or try again later`;
    throw new ProblemError('UNAVAILABLE', message);
  }
  return first;
}

/**
 * Makes room for one more stream.
 * @returns what takes the stream in: it ends with the session of who reads it
 * @throws ProblemError where there are too many
 */
export function admitStream(services: Services, who: Who) {
  const { streams, sessions, people } = services;
  const { by, owner, name: holder } = who;
  const session = by === 'token' ? undefined : by.session.id;
  requirePlace(services, who)?.end();
  return (stream: PacedStream): void => {
    const end = () => stream.end();
    const letGo =
      by !== 'token' ? sessions.hold(by.session, end) : 'token' in owner && people.open.hold(owner.token, end);
    streams.set(stream, { holder, session });
    stream.once('close', () => {
      streams.delete(stream);
      if (letGo) {
        letGo();
      }
    });
  };
}

export const eventRoutes: Route[] = [
  route({
    method: 'get',
    path,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'List events: changes, migrations, repairs, refusals',
    query: ListQuery,
    responses: [{ status: 200, description: 'Events, the oldest first.', schema: EventList }],
    handle: ({
      query: { after, before = Number.POSITIVE_INFINITY, filter, since, limit, ...only },
      services,
      judge,
    }) => {
      const { events } = services;
      const matches = matcher(only);
      const contains = filterOf(EVENTS, filter);
      const wanted = (event: Event) =>
        event.id < before && matches(event) && contains(event) && seesEvent(event, judge, services);
      const items: Event[] = [];
      for (const event of after === undefined ? events.newestFirst() : events.since(after)) {
        if (items.length === limit) {
          break;
        }
        if (wanted(event) && (since === undefined || Date.parse(event.at) >= since)) {
          items.push(event);
        }
      }
      if (after === undefined) {
        items.reverse();
      }
      const cut = after !== undefined && items.length === limit;
      return { body: { items, last: cut ? items.at(-1)!.id : events.last, oldest: events.oldest } };
    },
  }),
  route({
    method: 'get',
    path: `${path}/stream`,
    tag,
    needs: 'read',
    about: 'handler',
    summary: 'Follow events, as server-sent events',
    query: StreamQuery,
    responses: [
      {
        status: 200,
        description:
          'The data of each server-sent event is an Event. If the event is named "gap", the data is an EventGap. Send the ' +
          'last id as Last-Event-ID of the next connection.',
        mediaType: 'text/event-stream',
        schema: z.union([Event, EventGap]),
      },
    ],
    handle: ({ query: { after, ...filter }, request, services, who, judge }) => {
      const admit = admitStream(services, who);
      const start = startOf(request.headers['last-event-id'], after, services);
      const matches = matcher(filter);
      const wanted = (event: Event) => matches(event) && seesEvent(event, judge, services);
      const stream = new EventStream(services.events, { after: start, wanted });
      admit(stream);
      return { headers: STREAM_HEADERS, body: stream };
    },
  }),
];
