/** What a finding says at its end, of all that it has taken. */
import type { FindingAnswer, FindingCreate } from '@mirrorplane/contract';
import { answerOf } from './answer.ts';
import type { Circumstances, Ends } from './circumstances.ts';
import { Conversations } from './conversations.ts';
import { MOST_PACKETS, type Taken } from './taken.ts';
import type { Whereabouts } from './whereabouts.ts';

/** All that the end of a finding hangs on. */
export interface Ended {
  request: FindingCreate;
  taken: Taken;
  /** Where the interfaces were at its beginning. */
  before: Readonly<Record<keyof Ends, Whereabouts>>;
  whereIs: (id: string) => Whereabouts;
  sight: Pick<Circumstances, 'lookLost' | 'notSeen' | 'notHeard'>;
  /** The look was ended by another. */
  endedEarly: boolean;
  /** Seconds. */
  looked: number;
}

/** The answer of what was taken. */
export function concludes({ request, taken, before, whereIs, sight, endedEarly, looked }: Ended): FindingAnswer {
  const moved = (['from', 'to'] as const).filter((end) => whereIs(request[end]).node !== before[end].node);
  const absent = (['from', 'to'] as const).filter((end) => before[end].node === undefined);
  const ends = { from: request.from, to: request.to };
  const { from, to } = before;
  return answerOf({
    conversations: taken.conversations,
    drops: taken.drops,
    around: {
      ...sight,
      notSeen: [
        ...absent.map((end) => ({ where: `"${ends[end]}"`, message: 'it has no device now' })),
        ...(endedEarly ? [{ where: 'all places', message: 'the look was ended early' }] : []),
        ...sight.notSeen,
      ],
      moved: moved.filter((end) => !absent.includes(end)).map((end) => `"${ends[end]}"`),
      tooMany: taken.tooMany,
      nodes: { from: from.node ?? '', to: to.node ?? '' },
      seconds: looked,
    },
    ends,
    isKnown: to.macs.length > 0,
    most: MOST_PACKETS,
  });
}

/** The answer where the controller could not compare what it has taken. */
export function failed({ from, to }: FindingCreate): FindingAnswer {
  const ends = { from, to };
  const none = { macs: new Set<string>() };
  return answerOf({
    conversations: new Conversations({ from: { id: from, ...none }, to: { id: to, ...none } }),
    drops: [],
    around: {
      lookLost: [],
      notSeen: [{ where: 'all places', message: 'the controller could not compare the packets, see its log' }],
      notHeard: [],
      moved: [],
      tooMany: false,
      nodes: { from: '', to: '' },
      seconds: 0,
    },
    ends,
    isKnown: true,
    most: MOST_PACKETS,
  });
}
