/** Reading the packets of somebody else's look: the first time is in the audit log, before a packet is. */
import type { FastifyRequest } from 'fastify';
import type { LiveLook } from '../looks/live-look.ts';
import { whatOf } from '../looks/tell-looks.ts';
import type { Services } from '../services.ts';
import { askedBy } from './mutation.ts';
import type { Who } from './who.ts';

/**
 * Resolves when the entry is written, if this is the first time.
 * @throws Error where it cannot be written: nobody looks unseen
 */
export async function auditReading(
  look: LiveLook,
  { services, who, request }: { services: Services; who: Who; request: FastifyRequest },
): Promise<void> {
  const asked = askedBy(who, request);
  const reader = `${asked.actorKind} ${asked.actor}`;
  if (asked.actor === look.owner || look.readers.has(reader)) {
    return;
  }
  const detail = `packets of the look of ${look.owner}: ${whatOf(look)}`;
  await services.audit.append({ ...asked, action: 'read', resource: `looks/${look.id}`, outcome: 'done', detail });
  look.readers.add(reader);
}
