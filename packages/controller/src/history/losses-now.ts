/** What is lost on each path by now, as the planner derives it. */
import { filteredInSteps } from '@mirrorplane/base';
import { involvedNodes, type PathEnd, type PolicyPlan, pathLosses } from '@mirrorplane/planner';
import type { Planning } from '../planning/planning.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';

interface Parts {
  live: Pick<LiveNodes, 'get'>;
  planning: Pick<Planning, 'planned'>;
}

const NONE: PathEnd['terminations'] = new Map();

/**
 * The paths of which it is known, in steps, of policies of which a node has reported. Each policy is
 * as its nodes have told it when its step comes.
 * @param reported names of the nodes that have reported since this was asked last
 */
export function* lossesNow(
  { live, planning }: Parts,
  reported: ReadonlySet<string>,
): Generator<undefined, { uid: string; from: string; to: string; lost: number }[]> {
  const isOf = ([, plan]: [string, PolicyPlan]) => involvedNodes(plan).some((node) => reported.has(node));
  const plans = yield* filteredInSteps(planning.planned?.policies ?? [], isOf);
  const endOf = (name: string) => {
    const node = live.get(name);
    return node && endOfNode(node);
  };
  const losses: { uid: string; from: string; to: string; lost: number }[] = [];
  for (const [uid, plan] of plans) {
    losses.push(...pathLosses(plan, endOf).map((path) => ({ uid, ...path })));
    yield;
  }
  return losses;
}

function endOfNode({ readings, countersAt }: LiveNode): PathEnd {
  const { sent, arrived, arrivedBefore } = readings;
  return {
    sent,
    arrivedBefore,
    hasCounted: arrived !== undefined,
    ...(arrived && countersAt !== undefined && { countersAt }),
    terminations: arrived ?? NONE,
  };
}
