/** Whether who looks may still look: judged again while a look runs, and while it is read. */
import type { LiveLook } from '../looks/live-look.ts';
import type { Services } from '../services.ts';
import { judgeOf } from './judges.ts';
import type { Who } from './who.ts';

/**
 * Tells whether a reader may still see the packets of a look: policies, labels and grants may have
 * changed since its stream was opened.
 */
export function lookSight(services: Services, { by, owner }: Who, id: string): () => boolean {
  return () => {
    // The session of who has changed the own password goes on with another owner.
    const now = by === 'token' ? owner : by.session.owner;
    const grants = services.people.credentials.byOwner(now)?.grants ?? [];
    return judgeOf(grants, services).may('packets', 'look', id);
  };
}

/**
 * Whether who has begun a look may still look at all of it. What is not there any more does not
 * count: nothing comes from there.
 */
export function mayLook({ credential, policyUid, subjects }: LiveLook, services: Services): boolean {
  if (credential === undefined) {
    return true;
  }
  const judge = judgeOf(services.people.credentials.byOwner(credential)?.grants ?? [], services);
  if (policyUid !== undefined) {
    return judge.everywhere('packets');
  }
  const present = [...subjects].filter((id) => judge.exists('interface', id));
  return judge.somewhere('packets') && present.every((id) => judge.may('packets', 'interface', id));
}
