/** Who refused: the other guest itself, or somebody in its name. Pure. */
import { along, type Circumstances } from './circumstances.ts';
import { type Sighting, WAYS, type Way } from './conversations.ts';
import { least } from './extremes.ts';
import type { Talk } from './talks.ts';
import type { Verdict } from './verdict.ts';

/**
 * Looks for refusals.
 * @param by `foreign`: in the name of the guest; `own`: the guest itself
 */
export function refusalIn(talks: readonly Talk[], by: 'foreign' | 'own', around: Circumstances): Verdict | undefined {
  const ways = WAYS.map((way) => (by === 'foreign' ? foreign(talks, way, around) : own(talks, way)));
  return ways.find((verdict) => verdict !== undefined);
}

/** @param way of the packets that were refused */
function foreign(talks: readonly Talk[], way: Way, around: Circumstances): Verdict | undefined {
  const answer = way === 'there' ? 'back' : 'there';
  const isCounted = ({ counted }: Sighting) => counted;
  const refused = talks.filter((talk) => talk.foreign[answer].some(isCounted));
  const answers = refused.flatMap((talk) => talk.foreign[answer].filter(isCounted));
  if (answers.length === 0) {
    return undefined;
  }
  const services = [...new Set(refused.map(({ service }) => service))];
  const about = { way, services, count: answers.length, since: least(answers.map(({ at }) => at)) };
  const node = refuserOf(refused, way, answers, around);
  return node === undefined
    ? { ...about, cause: 'undetermined', undetermined: 'refuserUnknown' }
    : { ...about, cause: 'resetByRule', node };
}

/** The node that refused. Undefined: what was seen does not say. */
function refuserOf(
  talks: readonly Talk[],
  way: Way,
  answers: readonly Sighting[],
  around: Circumstances,
): string | undefined {
  const ruled = new Set(
    talks.flatMap(({ losses }) =>
      losses.flatMap(({ drop, way: of }) => (of === way && drop?.cause === 'rule' ? drop.node : [])),
    ),
  );
  if (ruled.size === 1) {
    return [...ruled][0];
  }
  const nodes = along(way, around.nodes);
  if (nodes.from === nodes.to) {
    return nodes.from;
  }
  // What was made on the node of the guest that gets it, did not come in there.
  if (answers.every(({ place }) => place === 'delivered')) {
    return nodes.from;
  }
  const stopped = talks.some(({ losses }) => losses.some((loss) => loss.way === way && loss.stretch === 'lostBehind'));
  return answers.every(({ place }) => place === 'arrived') && stopped ? nodes.to : undefined;
}

/** @param way of the packets that were refused */
function own(talks: readonly Talk[], way: Way): Verdict | undefined {
  const byService = Map.groupBy(talks, ({ service }) => service);
  for (const [service, group] of byService) {
    const refused = group.map((talk) => refusedOf(talk, way));
    const count = refused.reduce((total, one) => total + one.refused, 0);
    const all = refused.reduce((total, one) => total + one.all, 0);
    if (count > 0 && count === all) {
      const since = least(refused.flatMap(({ first }) => first ?? []));
      return { cause: 'portClosed', way, services: [service], count, of: all, since };
    }
  }
  return undefined;
}

/** Attempts of TCP, or packets of UDP that the guest has answered with an error. */
function refusedOf(talk: Talk, way: Way): { refused: number; all: number; first?: number } {
  const { attempts, conversation } = talk;
  if (conversation.protocol === 'udp') {
    const errors = conversation.errors[way].filter(
      (one) => one.place === 'sent' && one.headers.icmp?.kind === 'unreachable',
    );
    const answered = conversation[way === 'there' ? 'back' : 'there'].sent.length > 0;
    const first = errors[0]?.at;
    return {
      refused: errors.length,
      all: answered ? Number.POSITIVE_INFINITY : errors.length,
      ...(first && { first }),
    };
  }
  const own = attempts.filter((attempt) => attempt.way === way && attempt.counted);
  const refused = own.filter(({ answer }) => answer === 'refused');
  const first = refused[0]?.first.at;
  return { refused: refused.length, all: own.length, ...(first && { first }) };
}
