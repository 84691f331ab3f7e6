/** What is lost on each path by now, as the planner derives it. */
import { filteredInSteps } from '@mirrorplane/base';
import { involvedNodes, type NodeReport, observe, type PolicyPlan, pathLosses } from '@mirrorplane/planner';
import type { Planning } from '../planning/planning.ts';
import type { LiveNode } from '../reports/live-node.ts';
import type { LiveNodes } from '../reports/live-nodes.ts';
import type { View } from '../store/view.ts';

interface Parts {
  view: View;
  live: LiveNodes;
  planning: Planning;
}

/** Nothing of it matters to losses. */
const NO_INVENTORY = { domains: [], pools: [], nodes: [], interfaces: [] };

/**
 * The paths of which it is known, in steps, of policies of which a node has reported.
 * @param reported names of the nodes that have reported since this was asked last
 */
export function* lossesNow(
  { view, live, planning }: Parts,
  reported: ReadonlySet<string>,
): Generator<undefined, { uid: string; from: string; to: string; lost: number }[]> {
  const isOf = ([, plan]: [string, PolicyPlan]) => involvedNodes(plan).some((node) => reported.has(node));
  const plans = yield* filteredInSteps(planning.planned?.policies ?? [], isOf);
  const uids = new Set(plans.map(([uid]) => uid));
  const nodes = new Map<string, NodeReport>();
  for (const name of view.all('nodes').keys()) {
    const node = live.get(name);
    if (node) {
      nodes.set(name, endsOf(node, uids));
    }
  }
  const observation = observe(NO_INVENTORY, nodes);
  yield;
  const losses: { uid: string; from: string; to: string; lost: number }[] = [];
  for (const [uid, plan] of plans) {
    losses.push(...pathLosses(plan, observation).map((path) => ({ uid, ...path })));
    yield;
  }
  return losses;
}

/** What a node has said of its ends of paths of these policies. */
function endsOf({ connected, readings, ends, countersAt }: LiveNode, uids: ReadonlySet<string>): NodeReport {
  const isAsked = ({ policy }: { policy: string }) => uids.has(policy);
  const asked = ends && {
    deliveries: ends.deliveries.filter(isAsked),
    terminations: ends.terminations.filter(isAsked),
  };
  return {
    connected,
    captures: [],
    problems: [],
    sent: readings.sent,
    arrivedBefore: readings.arrivedBefore,
    ...(asked && { counters: { epoch: 'total', captures: [], peers: [], unknownErspan: 0, ...asked } }),
    ...(ends && countersAt !== undefined && { countersAt }),
  };
}
