/** What is lost on each path by now, as the planner derives it. */
import { type NodeReport, observe, pathLosses } from '@mirrorplane/planner';
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

/** The paths of which it is known. */
export function lossesNow({ view, live, planning }: Parts): { uid: string; from: string; to: string; lost: number }[] {
  const nodes = new Map<string, NodeReport>();
  for (const name of view.all('nodes').keys()) {
    const node = live.get(name);
    if (node) {
      nodes.set(name, endsOf(node));
    }
  }
  const observation = observe(NO_INVENTORY, nodes);
  return [...(planning.planned?.policies ?? [])].flatMap(([uid, plan]) =>
    pathLosses(plan, observation).map((path) => ({ uid, ...path })),
  );
}

/** What a node has said of its ends of paths. */
function endsOf({ connected, readings, ends, countersAt }: LiveNode): NodeReport {
  return {
    connected,
    captures: [],
    problems: [],
    sent: readings.sent,
    arrivedBefore: readings.arrivedBefore,
    ...(ends && { counters: { epoch: 'total', captures: [], peers: [], unknownErspan: 0, ...ends } }),
    ...(ends && countersAt !== undefined && { countersAt }),
  };
}
