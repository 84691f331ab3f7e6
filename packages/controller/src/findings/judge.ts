/** Which fault packets of two interfaces have in common, or why that is not known. Pure. */
import type { DropCause, FindingCause } from '@mirrorplane/contract';
import { along, type Circumstances } from './circumstances.ts';
import { WAYS, type Way } from './conversations.ts';
import { least } from './extremes.ts';
import type { Loss } from './losses.ts';
import { refusalIn } from './refusals.ts';
import { silenceIn } from './silence.ts';
import { sizeLimitOf } from './sizes.ts';
import type { Talk } from './talks.ts';
import type { Verdict } from './verdict.ts';

/** What the answer is taken from. */
export interface Evidence {
  talks: readonly Talk[];
  /** Addresses that the first interface asked for, without an answer. */
  unanswered: readonly string[];
  sentElsewhere: number;
  /** MAC addresses of the second interface are known. */
  isKnown: boolean;
}

/** A cause has to explain so much of what is lost; else there are several. */
const MOST = 0.9;

const CAUSES: Partial<Record<DropCause, FindingCause>> = {
  rule: 'filtered',
  rateLimit: 'rateLimited',
  queue: 'shaped',
  ring: 'ringFull',
  tooBig: 'tooBig',
  device: 'deviceDown',
  noRoute: 'noRoute',
  malformed: 'malformed',
};

/** The verdict. Where several things are true, what a later one hangs on comes first. */
export function verdictOf(evidence: Evidence, around: Circumstances): Verdict {
  const { talks } = evidence;
  const blind = blindness(around);
  if (blind !== undefined) {
    return blind;
  }
  const refusedByRule = refusalIn(talks, 'foreign', around);
  const lossy = WAYS.map((one) => lossVerdict(talks, one, around)).find((verdict) => verdict !== undefined);
  const fault = refusedByRule ?? lossy ?? refusalIn(talks, 'own', around) ?? silenceIn(talks);
  if (fault !== undefined) {
    return fault;
  }
  return totalOf(talks, 'there') === 0 ? silentVerdict(evidence) : { cause: 'nothingLost', services: [] };
}

/** Why nothing can be said, whatever the packets say. */
function blindness({ lookLost, notSeen, tooMany, moved }: Circumstances): Verdict | undefined {
  if (moved.length > 0 && notSeen.length > 0) {
    return { cause: 'undetermined', undetermined: 'moved', services: [], text: moved.join(', ') };
  }
  if (notSeen.length > 0) {
    const text = notSeen.map(({ where, message }) => `${where}: ${message}`).join('; ');
    return { cause: 'undetermined', undetermined: 'notSeen', services: [], text };
  }
  if (tooMany) {
    return { cause: 'undetermined', undetermined: 'tooMany', services: [] };
  }
  const worst = lookLost.toSorted((a, b) => b.lost - a.lost)[0];
  return (
    worst && {
      cause: 'undetermined',
      undetermined: 'lookLost',
      services: [],
      node: worst.node,
      count: worst.lost,
      of: worst.seen,
    }
  );
}

/** Nothing went from the first to the second. */
function silentVerdict({ talks, unanswered, isKnown, sentElsewhere }: Evidence): Verdict {
  const asked = unanswered.slice(0, 3).join(', ');
  if (!isKnown || asked !== '') {
    const text = asked === '' ? undefined : asked;
    return { cause: 'undetermined', undetermined: 'addressUnknown', services: [], ...(text && { text }) };
  }
  return { cause: 'neverSent', services: [], count: totalOf(talks, 'back'), of: sentElsewhere };
}

/** The fault of what was lost on one way. Undefined: nothing was lost there. */
function lossVerdict(talks: readonly Talk[], way: Way, around: Circumstances): Verdict | undefined {
  const losses = talks.flatMap(({ losses }) => losses).filter((loss) => loss.way === way);
  const lost = sum(losses);
  if (lost === 0) {
    return undefined;
  }
  const services = new Set(
    talks.filter(({ losses: own }) => own.some((loss) => loss.way === way)).map((one) => one.service),
  );
  const about = {
    way,
    services: [...services],
    count: lost,
    of: totalOf(
      talks.filter(({ service }) => services.has(service)),
      way,
    ),
    since: least(losses.flatMap(({ missing }) => missing.map(({ sighting }) => sighting.at))),
  };
  if (around.moved.length > 0) {
    return { ...about, cause: 'undetermined', undetermined: 'moved', text: around.moved.join(', ') };
  }
  const [first] = grouped(losses);
  if (sum(first!) < MOST * lost) {
    return { ...about, cause: 'undetermined', undetermined: 'mixed', text: inWords(losses) };
  }
  return { ...about, ...causeOf(first!, talks, around), count: sum(first!) };
}

/** Losses with the same cause on the same node, the largest group first. */
function grouped(losses: readonly Loss[]): Loss[][] {
  const kind = ({ drop, stretch }: Loss) => (drop ? `${drop.node} ${drop.cause}` : stretch);
  return [...Map.groupBy(losses, kind).values()].sort((a, b) => sum(b) - sum(a));
}

/** The cause of losses of one group. */
function causeOf(losses: readonly Loss[], talks: readonly Talk[], around: Circumstances): Omit<Verdict, 'services'> {
  const { drop, stretch, way } = losses.toSorted((a, b) => b.packets - a.packets)[0]!;
  const nodes = along(way, around.nodes);
  if (drop !== undefined) {
    const { node, device, reason } = drop;
    const since = least(losses.flatMap((loss) => loss.drop?.at ?? []));
    const cause = CAUSES[drop.cause];
    return cause === undefined
      ? {
          cause: 'undetermined',
          undetermined: 'kernelSilent',
          node,
          device,
          ...(drop.function && { text: drop.function }),
        }
      : { cause, node, device, reason, since };
  }
  const deaf = around.notHeard.find(
    ({ node }) => node === nodes.to || (stretch === 'lostBefore' && node === nodes.from),
  );
  if (deaf !== undefined) {
    return { cause: 'undetermined', undetermined: 'notHeard', node: deaf.node, text: deaf.message };
  }
  if (stretch === 'lostBefore' && nodes.from !== nodes.to) {
    const sizes = sizeLimitOf(losses, talks);
    return { cause: 'lostBetweenNodes', node: nodes.from, ...(sizes && { sizes }) };
  }
  return { cause: 'undetermined', undetermined: 'kernelSilent', node: nodes.to };
}

function inWords(losses: readonly Loss[]): string {
  return grouped(losses)
    .slice(0, 4)
    .map((group) => {
      const { drop, stretch } = group[0]!;
      return `${sum(group)} ${drop ? `${drop.cause} on ${drop.node}` : stretch}`;
    })
    .join(', ');
}

function totalOf(talks: readonly Talk[], way: Way): number {
  return talks.reduce((total, { sent }) => total + sent[way], 0);
}

function sum(losses: readonly Loss[]): number {
  return losses.reduce((total, { packets }) => total + packets, 0);
}
