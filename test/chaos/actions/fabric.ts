/** The fabric between the nodes loses ERSPAN. */
import { until } from '@mirrorplane/base';
import { policyStatus } from '../../support/policy.ts';
import { FABRIC } from '../ports.ts';
import { isCutOff, NODES, type Spec, type World } from '../world.ts';
import type { Action, Hands } from './action.ts';

/** Milliseconds until a loss must be reported. Nodes report every second. */
const TOLD_MS = 15_000;
const TABLE = 'chaos';

interface Cut {
  node: string;
}

const nft = ({ lab }: Pick<Hands, 'lab'>, command: string) => lab.exec(FABRIC, ['nft', command]);

/** ERSPAN no longer reaches a node. */
export const cutFabric: Action<Cut> = {
  name: 'lossy-fabric',
  weight: 3,
  choose(world, random) {
    return world.cut.length > 0 ? undefined : { node: random.pick(NODES) };
  },
  change(world, { node }) {
    world.cut.push(node);
    world.undo.push({ action: 'mend-fabric', params: { node } });
  },
  async run(hands, { node }) {
    hands.cut(node, true);
    await nft(hands, `add table bridge ${TABLE}`);
    await nft(hands, `add chain bridge ${TABLE} out { type filter hook forward priority 0; }`);
    await nft(hands, `add rule bridge ${TABLE} out oifname "u-${node}" ip protocol 47 drop`);
  },
};

/** ERSPAN passes again. Before that, every policy that loses copies must have said so. */
export const mendFabric: Action<Cut> = {
  name: 'mend-fabric',
  weight: 0,
  choose: () => undefined,
  change(world, { node }) {
    world.cut = world.cut.filter((other) => other !== node);
  },
  async run(hands, { node }) {
    try {
      await told(hands);
    } finally {
      await nft(hands, `delete table bridge ${TABLE}`);
      hands.cut(node, false);
    }
  },
};

async function told({ lab, before, violation }: Hands): Promise<void> {
  // A node without reports cannot report a loss.
  if (before.down.length > 0) {
    return;
  }
  for (const { name } of Object.values(before.policies).filter((spec) => losesAll(before, spec))) {
    let last: unknown;
    try {
      await until(
        `COPIES_LOST of ${name}`,
        async () => {
          const { reasons } = await policyStatus(lab, name);
          last = reasons;
          return reasons.some(({ code }) => code === 'COPIES_LOST');
        },
        { limitMs: TOLD_MS },
      );
    } catch {
      violation(`${name} loses copies in the fabric, and does not say so: ${JSON.stringify(last)}`);
    }
  }
}

/** All copies of some source, which has traffic all the time, are lost. */
function losesAll(world: World, spec: Spec): boolean {
  const steady = spec.enabled && spec.percent > 0;
  return steady && spec.sources.some((source) => source !== 'mon-3/0' && isCutOff(world, spec, source));
}
