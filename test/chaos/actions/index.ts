/** Everything that chaos can do to the cluster. */
import type { AnyAction } from './action.ts';
import * as daemons from './daemons.ts';
import * as edges from './edges.ts';
import * as fabric from './fabric.ts';
import * as frozen from './frozen.ts';
import * as impostors from './impostors.ts';
import * as interference from './interference.ts';
import * as links from './links.ts';
import * as migrate from './migrate.ts';
import * as policies from './policies.ts';
import * as refusals from './refusals.ts';
import * as streams from './streams.ts';

export type { Action, AnyAction, Hands } from './action.ts';

/** A plan chooses among them in this order, so a new action must be added at the end. */
export const ACTIONS: AnyAction[] = [
  ...[policies, refusals, migrate, daemons, links, edges, interference, streams],
  ...[frozen, impostors, fabric],
].flatMap((all) => Object.values(all));

/** The action of this name. */
export function actionOf(name: string): AnyAction {
  const action = ACTIONS.find((one) => one.name === name);
  if (!action) {
    throw new Error(`there is no action ${name}`);
  }
  return action;
}
