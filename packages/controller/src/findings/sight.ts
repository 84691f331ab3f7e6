/** Follows how well a look sees and hears, over its whole life. */
import type { LiveLook } from '../looks/live-look.ts';
import type { Circumstances } from './circumstances.ts';

/** What `watchLook` gives. */
export interface Sight {
  /** Every node looks. */
  allLook(): boolean;
  /** Notes what is so now. @param mustLook every node has to look */
  turn(mustLook: boolean): void;
  result(): Pick<Circumstances, 'lookLost' | 'notSeen' | 'notHeard'>;
}

/** @param nodes where its interfaces are */
export function watchLook(look: LiveLook, nodes: readonly string[]): Sight {
  const blind = new Map<string, string>();
  const deaf = new Map<string, string>();
  const looks = (node: string) => look.shares.get(node)?.state === 'running';
  return {
    allLook: () => nodes.every(looks),
    turn: (mustLook) => {
      for (const { node, state, message, unseen, unheard } of look.running ? look.nodes() : []) {
        if (unheard !== undefined) {
          deaf.set(node, unheard);
        }
        for (const gap of unseen) {
          blind.set(`"${gap.device}" on "${node}"`, gap.message);
        }
        if (state === 'refused') {
          blind.set(`"${node}"`, message ?? 'it refused to look');
        }
      }
      for (const node of nodes.filter((one) => mustLook && look.running && !looks(one))) {
        const where = `"${node}"`;
        blind.set(where, blind.get(where) ?? 'it did not look all of the time');
      }
    },
    result: () => ({
      lookLost: look.nodes().flatMap(({ node, counts }) => {
        const lost = counts.overRate + counts.ringFull + counts.lostOnTheWay;
        return lost > 0 ? [{ node, lost, seen: counts.seen }] : [];
      }),
      notSeen: [...blind].map(([where, message]) => ({ where, message })),
      notHeard: [
        ...[...deaf].map(([node, message]) => ({ node, message })),
        ...look.nodes().flatMap(({ node, counts: { dropsHeard, dropsLost } }) => {
          const message = `of ${dropsHeard} drops, ${dropsLost} were too many to be told`;
          return dropsLost > 0 && !deaf.has(node) ? [{ node, message }] : [];
        }),
      ],
    }),
  };
}
