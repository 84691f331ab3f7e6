/** /api/v1/looks */
import { COPY_FATES, InterfaceId, LOOK_PLACES, Look, LookCreate, OriginalFate } from '@mirrorplane/contract';
import * as z from 'zod';
import type { Judge } from '../access/judge.ts';
import { forbidden } from '../access/refusal.ts';
import { lookRefusals } from '../looks/check-request.ts';
import type { LiveLook } from '../looks/live-look.ts';
import { matches, PcapngStream } from '../looks/pcapng-stream.ts';
import { whatOf } from '../looks/tell-looks.ts';
import { ProblemError } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { beginLook } from './begin-look.ts';
import { admitStream } from './events.ts';
import { require } from './judges.ts';
import { lookSight } from './look-sight.ts';
import { found, ownerOf } from './mutation.ts';
import { auditReading } from './read-look.ts';
import { NOTHING, type Route, route } from './route.ts';

const path = '/api/v1/looks';
const tag = 'looks';
/** Who may see packets. */
const needs = 'packets';
const Params = z.object({ id: z.string().max(64).meta({ description: 'Id of the look.' }) });

const PcapngQuery = z.strictObject({
  follow: z.enum(['true', 'false']).default('false').meta({
    description:
      'true: the answer goes on until the look ends, and the look is renewed while it is read. false: packets that are kept now.',
  }),
  interface: InterfaceId.optional().meta({ description: 'Only packets of this interface.' }),
  place: z.enum(LOOK_PLACES).optional().meta({ description: 'Only packets that were seen at this place.' }),
  copy: z.enum(COPY_FATES).optional().meta({ description: 'Only packets whose copy had this fate.' }),
  original: OriginalFate.shape.state.optional().meta({ description: 'Only packets that had this fate themselves.' }),
});

/** @throws ProblemError NOT_FOUND */
function lookOf({ looks }: Services, id: string): LiveLook {
  return found(looks.get(id), 'look', id);
}

/** @throws ProblemError LOOK_INVALID with everything that is wrong, LOOK_LIMIT */
function check(request: LookCreate, services: Services): void {
  const { view } = services;
  const refusals = lookRefusals(request, {
    hasInterface: (id) => view.get('interfaces', id) !== undefined,
    policy: (name) => view.get('policies', name)?.value,
  });
  if (refusals.length > 0) {
    throw new ProblemError('LOOK_INVALID', `the look is refused: ${refusals[0]!.message}`, refusals);
  }
}

/**
 * A policy may get other sources while it is looked at: that needs the right everywhere.
 * @throws ProblemError FORBIDDEN
 */
function requireSubjects({ interfaces = [], policy }: LookCreate, judge: Judge): void {
  if (policy !== undefined && !judge.everywhere('packets')) {
    throw forbidden('packets', `all sources that policy/${policy} may get: name the interfaces instead`);
  }
  for (const id of interfaces) {
    require(judge, 'packets', 'interface', id);
  }
}

export const lookRoutes: Route[] = [
  route({
    method: 'post',
    path,
    tag,
    needs,
    about: 'handler',
    summary: 'Look at packets of interfaces, or of the sources of a policy',
    body: LookCreate,
    refuses: ['LOOK_INVALID', 'LOOK_INTERFACE_NOT_FOUND', 'LOOK_POLICY_NOT_FOUND', 'LOOK_WORDS_INVALID', 'LOOK_LIMIT'],
    responses: [
      {
        status: 201,
        description:
          'The look has begun. It ends after 30 seconds, unless it is renewed or its packets are followed, and after ten minutes in any case.',
        schema: Look,
      },
    ],
    handle: async ({ body, services, who, request, judge }) => {
      const { looks, view } = services;
      const owner = ownerOf(who, request);
      const look = await beginLook(body, { services, owner }, (admit) => {
        requireSubjects(body, judge);
        check(body, services);
        admit();
        const policy = body.policy === undefined ? undefined : view.get('policies', body.policy)!.value;
        return looks.create(body, owner, policy);
      });
      return { body: look.describe() };
    },
  }),
  route({
    method: 'get',
    path,
    tag,
    needs,
    about: 'handler',
    summary: 'List looks: those that run, and those that have ended within ten minutes',
    responses: [{ status: 200, description: 'Looks, the newest first.', schema: z.object({ items: z.array(Look) }) }],
    handle: ({ services: { looks }, judge }) => {
      const seen = looks.list().filter(({ id }) => judge.may('packets', 'look', id));
      return { body: { items: seen.map((look) => look.describe()) } };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}`,
    tag,
    needs,
    about: 'look',
    summary: 'Read a look',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The look, with its counts on each node.', schema: Look }],
    handle: ({ params: { id }, services }) => ({ body: lookOf(services, id).describe() }),
  }),
  route({
    method: 'post',
    path: `${path}/{id}/renew`,
    tag,
    needs,
    about: 'look',
    summary: 'Let a look live on for another 30 seconds',
    params: Params,
    body: NOTHING.optional(),
    refuses: ['NOT_FOUND', 'LOOK_ENDED'],
    responses: [{ status: 200, description: 'The look.', schema: Look }],
    handle: ({ params: { id }, services }) => {
      const look = lookOf(services, id);
      if (!services.looks.renew(id)) {
        throw new ProblemError('LOOK_ENDED', `look "${id}" has ended: begin another one`);
      }
      return { body: look.describe() };
    },
  }),
  route({
    method: 'delete',
    path: `${path}/{id}`,
    tag,
    needs,
    about: 'look',
    summary: 'End a look',
    params: Params,
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The look. It has ended, and can be read for ten minutes.', schema: Look }],
    handle: ({ params: { id }, services, who, request }) => {
      const look = lookOf(services, id);
      services.looks.end(id, 'asked', ownerOf(who, request));
      return { body: look.describe() };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}/packets.pcapng`,
    tag,
    needs,
    about: 'look',
    summary: 'Packets of a look as a pcapng file, for Wireshark',
    params: Params,
    query: PcapngQuery,
    refuses: ['NOT_FOUND', 'UNAVAILABLE'],
    responses: [
      {
        status: 200,
        description:
          'A pcapng file. Each packet has its direction, id, drop count, and in a comment what became of its copy and of itself.',
        mediaType: 'application/x-pcapng',
      },
    ],
    handle: async ({ params: { id }, query: { follow, ...filter }, services, who, request }) => {
      const look = lookOf(services, id);
      await auditReading(look, { services, who, request });
      const admit = admitStream(services, who);
      const stream = new PcapngStream({
        look,
        follow: follow === 'true',
        wanted: matches(filter),
        read: () => void services.looks.renew(id),
        isAllowed: lookSight(services, who, id),
        comment: `look ${id} of ${look.owner}: ${whatOf(look)}`,
      });
      admit(stream);
      const headers = {
        'content-type': 'application/x-pcapng',
        'content-disposition': `attachment; filename="look-${id}.pcapng"`,
        'cache-control': 'no-store',
        'x-accel-buffering': 'no',
      };
      return { headers, body: stream };
    },
  }),
];
