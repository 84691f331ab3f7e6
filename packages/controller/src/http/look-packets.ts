/** Packets of a look for people: a live list, the fields of one packet, and whether a filter is one. */
import { LOOK_LIMITS, LookCheck, MAX_DISPLAY_FILTER, PacketDetail, PacketRows } from '@mirrorplane/contract';
import * as z from 'zod';
import { DECODER_OK } from '../decoder/decoders.ts';
import { packetDetail } from '../decoder/packet-detail.ts';
import { RowStream } from '../decoder/row-stream.ts';
import { checkWords } from '../looks/check-words.ts';
import type { LiveLook } from '../looks/live-look.ts';
import { ProblemError, refuseField } from '../problems/problems.ts';
import type { Services } from '../services.ts';
import { admitStream, STREAM_HEADERS } from './events.ts';
import { lookSight } from './look-sight.ts';
import { auditReading } from './read-look.ts';
import { type Route, route } from './route.ts';
import type { Who } from './who.ts';

const path = '/api/v1/looks';
const tag = 'looks';
const Id = z.strictObject({ id: z.string().max(64).meta({ description: 'Id of the look.' }) });
const PacketNumber = z.coerce.number().int().positive().meta({ description: 'Number of the packet in the look.' });

const Display = z
  .string()
  .max(MAX_DISPLAY_FILTER, `a display filter has at most ${MAX_DISPLAY_FILTER} characters`)
  .regex(/^\P{Cc}*$/u, 'write the display filter in one line, without control characters')
  .transform((text) => text.trim())
  .meta({ description: 'A display filter of Wireshark.', examples: ['tcp.port == 5432'] });

/** A look that runs, or that can still be read. @throws ProblemError NOT_FOUND */
function lookNamed({ looks }: Services, id: string): LiveLook {
  const look = looks.get(id);
  if (look === undefined) {
    throw new ProblemError('NOT_FOUND', `there is no look "${id}", or not any more`);
  }
  return look;
}

/** @throws ProblemError FIELD_INVALID where it is none. Where nothing can check it, rows say so. */
async function requireDisplayFilter({ decoders }: Services, filter: string, who: Who): Promise<void> {
  const checked = filter === '' ? undefined : await decoders.filterProblem(filter, who.name);
  if (checked && 'value' in checked && checked.value !== undefined) {
    refuseField('display', `this is no display filter: ${checked.value}`);
  }
}

export const lookPacketRoutes: Route[] = [
  route({
    method: 'get',
    path: `${path}/{id}/rows`,
    tag,
    needs: 'packets',
    about: 'look',
    summary: 'Follow the packets of a look, decoded, as server-sent events',
    params: Id,
    query: z.strictObject({
      after: z.coerce.number().int().min(0).default(0).meta({
        description: 'Packets after this number. The header Last-Event-ID overrides it. Default: all that are kept.',
      }),
      display: Display.default(''),
    }),
    refuses: ['NOT_FOUND', 'FIELD_INVALID'],
    responses: [
      {
        status: 200,
        description:
          'Messages are named: rows with a PacketRows, at most five a second with 500 rows each; heartbeat every 15 s; end ' +
          'when the look has ended and all was sent, or with endedBy: access when one may not see it any more. While it is read, the look is renewed.',
        mediaType: 'text/event-stream',
        schema: PacketRows,
      },
    ],
    handle: async ({ params: { id }, query: { after, display }, request, services, who }) => {
      const look = lookNamed(services, id);
      await requireDisplayFilter(services, display, who);
      await auditReading(look, { services, who, request });
      const admit = admitStream(services, who);
      const stream = new RowStream({
        look,
        holder: who.name,
        decoders: services.decoders,
        after: PacketNumber.safeParse(request.headers['last-event-id']).data ?? after,
        filter: display,
        renew: () => services.looks.renew(id),
        isAllowed: lookSight(services, who, id),
      });
      admit(stream);
      return { headers: STREAM_HEADERS, body: stream };
    },
  }),
  route({
    method: 'get',
    path: `${path}/{id}/packets/{number}`,
    tag,
    needs: 'packets',
    about: 'look',
    summary: 'Show the fields and the bytes of one packet',
    params: Id.extend({ number: PacketNumber }),
    refuses: ['NOT_FOUND'],
    responses: [{ status: 200, description: 'The packet.', schema: PacketDetail }],
    handle: async ({ params: { id, number }, services, who, request }) => {
      const look = lookNamed(services, id);
      await auditReading(look, { services, who, request });
      const { ring } = look;
      const body = await packetDetail({ ring, number, decoders: services.decoders, holder: who.name });
      if (body === undefined) {
        const kept = `it has the packets ${ring.oldest} to ${ring.newest}`;
        throw new ProblemError('NOT_FOUND', `the look does not have packet ${number}, or not any more: ${kept}`);
      }
      return { body };
    },
  }),
  route({
    method: 'get',
    path: `${path}/check`,
    tag,
    needs: 'packets',
    about: 'handler',
    summary: 'Check capture words and a display filter',
    query: z.strictObject({
      words: z.string().max(LOOK_LIMITS.words).optional().meta({ description: 'Capture words of a look.' }),
      display: Display.optional(),
    }),
    responses: [{ status: 200, description: 'What is wrong with them, if anything is.', schema: LookCheck }],
    handle: async ({ query: { words, display }, services: { decoders }, who }) => {
      const checked =
        display === undefined || display === '' ? undefined : await decoders.filterProblem(display, who.name);
      const body: LookCheck = {
        ...(words !== undefined && { words: checkWords(words) }),
        ...(display !== undefined && { display: { ok: true } }),
        ...(checked && { decoder: 'absent' in checked ? checked.absent : DECODER_OK }),
        ...(checked && 'value' in checked && checked.value !== undefined
          ? { display: { ok: false, message: checked.value } }
          : {}),
      };
      return { body };
    },
  }),
];
