/** /api/v1/stream: all that a tab of the console follows, in one stream of server-sent events. */

import type { Event } from '@mirrorplane/contract';
import * as z from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { isTopic, TOPIC_FORMS } from '../streams/sources.ts';
import { TopicStream } from '../streams/topic-stream.ts';
import { seesEvent } from './event-sight.ts';
import { admitStream, requirePlace, STREAM_HEADERS, startOf } from './events.ts';
import { type Route, route } from './route.ts';
import { topicSight } from './topic-sight.ts';

/** Topics of one stream. */
const MAX_TOPICS = 32;

const Topics = z
  .string()
  .max(8192)
  .transform((text) => [...new Set(text.split(','))])
  .refine((topics) => topics.length <= MAX_TOPICS, `give at most ${MAX_TOPICS} topics`)
  .refine((topics) => topics.every(isTopic), {
    error: ({ input }) => {
      const wrong = (input as string[]).find((topic) => !isTopic(topic));
      return `"${wrong}" is not a topic: use ${TOPIC_FORMS.join(', ')}, with commas between them`;
    },
  })
  .meta({
    description: `Topics, with commas between them: ${TOPIC_FORMS.join(', ')}.`,
    examples: ['policies,nodes,events'],
  });

const Query = z.strictObject({
  topics: Topics,
  after: z.coerce.number().int().min(0).optional().meta({
    description: 'Events after this id. The header Last-Event-ID overrides this parameter. Default: only new events.',
  }),
});

/**
 * What a message of a topic has; `events` has `items`, and `gap` where some are not kept any more.
 */
const TopicData = z
  .object({
    snapshot: z
      .literal(true)
      .optional()
      .meta({ description: 'The reader knows nothing yet: what it has is replaced.' }),
    total: z.number().int().meta({ description: 'Items of the topic. The first 1000 of them are sent.' }),
    upserts: z.array(z.looseObject({})).meta({
      description: 'Items that are new or changed, as summaries. A sparkline that has not changed is left out.',
    }),
    removed: z.array(z.string()).meta({ description: 'Names or ids of items that are gone.' }),
  })
  .meta({ id: 'TopicData' });

export const streamRoutes: Route[] = [
  route({
    method: 'get',
    path: '/api/v1/stream',
    tag: 'events',
    needs: 'read',
    about: 'handler',
    summary: 'Follow policies, nodes, destinations and events, as server-sent events',
    query: Query,
    responses: [
      {
        status: 200,
        description:
          'Messages are named: hello (version, serverTime, revision) once, then each topic by its name with a TopicData, ' +
          'a snapshot first and differences at most once a second, and heartbeat every 15 s. Of a topic with more than 200 ' +
          'items, states are told at once, and numbers alone within five seconds.',
        mediaType: 'text/event-stream',
        schema: TopicData,
      },
    ],
    handle: async ({ query: { topics, after }, request, services, who, judge }) => {
      const start = startOf(request.headers['last-event-id'], after, services);
      const names = topics.filter((topic) => topic !== 'events');
      const { view, clock, events, hub } = services;
      const serverTime = new Date(clock()).toISOString();
      const sight = topicSight(judge, services);
      const wanted = (event: Event) => seesEvent(event, judge, services);
      // Before anything is made for it.
      requirePlace(services, who);
      await hub.prepare(names, sight);
      const admit = admitStream(services, who);
      const stream = new TopicStream({
        topics: hub.open(names, sight),
        ...(topics.includes('events') && { events: { log: events, after: start, wanted } }),
        hello: { version: manifest.version, serverTime, revision: view.revision },
        clock,
      });
      hub.add(stream, names, sight);
      admit(stream);
      return { headers: STREAM_HEADERS, body: stream };
    },
  }),
];
