/** A guest that gets packets and does not answer. Pure. */
import { WAYS, type Way, wireCount } from './conversations.ts';
import type { Talk } from './talks.ts';
import type { Verdict } from './verdict.ts';

/** So many questions have to be delivered before silence says something. */
const LEAST = 2;

/** Looks for a service that was asked and has never answered. Undefined: all answer. */
export function silenceIn(talks: readonly Talk[]): Verdict | undefined {
  for (const way of WAYS) {
    const back = way === 'there' ? 'back' : 'there';
    const silent = [...Map.groupBy(talks, ({ service }) => service)].flatMap(([service, group]) => {
      const asked = group.reduce((total, talk) => total + askedOf(talk, way), 0);
      const answers = group.reduce((total, { conversation }) => total + wireCount(conversation[back].sent), 0);
      return asked >= LEAST && answers === 0 ? [{ service, asked }] : [];
    });
    if (silent.length > 0) {
      const services = silent.map(({ service }) => service);
      const count = silent.reduce((total, { asked }) => total + asked, 0);
      const of = talks.reduce((total, { conversation }) => total + wireCount(conversation[back].sent), 0);
      return { cause: 'guestSilent', way, services, count, of };
    }
  }
  return undefined;
}

/** Packets that were delivered and want an answer: UDP may be sent to somebody who says nothing. */
function askedOf({ conversation }: Talk, way: Way): number {
  const wanted = conversation[way].delivered.filter(({ counted, headers: { tcp, icmp, asks } }) => {
    return counted && ((tcp && (tcp.syn || tcp.data > 0)) || icmp?.kind === 'echoRequest' || asks);
  });
  return wireCount(wanted);
}
