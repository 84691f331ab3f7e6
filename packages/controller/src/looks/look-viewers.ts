/** Looks that see the traffic of an interface, and those that have. */
import type { Event, LookViewer } from '@mirrorplane/contract';
import type { Looks } from './looks.ts';

interface Known {
  looks: Looks;
  /** Policies that see the interface, or have. */
  policies: ReadonlySet<string>;
  /** Events that are kept. */
  newestFirst: Iterable<Event>;
}

/** The newest looks that are named. */
const MOST = 100;

/** Those that run are told by `looks`, the others by their events. The newest first. */
export function lookViewersOf(id: string, { looks, policies, newestFirst }: Known): LookViewer[] {
  const viewers = new Map<string, LookViewer>();
  for (const event of newestFirst) {
    const { kind, object, cause, policy, at, message, interfaces } = event;
    const concerns = interfaces?.includes(id) ?? (policy !== undefined && policies.has(policy));
    if ((kind !== 'lookBegan' && kind !== 'lookEnded') || !concerns) {
      continue;
    }
    const look = looks.get(object.name);
    const known = viewers.get(object.name);
    const isNow = look?.running ?? false;
    const ofPolicy = policy !== undefined && { policy };
    if (kind === 'lookEnded') {
      viewers.set(object.name, { look: object.name, owner: '', isNow, ...ofPolicy, until: at, message });
    } else {
      const until = known?.until !== undefined && { until: known.until };
      viewers.set(object.name, {
        look: object.name,
        owner: cause.name,
        isNow,
        ...ofPolicy,
        from: at,
        ...until,
        message,
      });
    }
    if (viewers.size >= MOST) {
      break;
    }
  }
  return [...viewers.values()];
}
