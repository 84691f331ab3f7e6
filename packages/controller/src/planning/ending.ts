/** What a node may still copy for, although it should not. */
import type { LiveNode } from '../reports/live-node.ts';
import { policiesOf } from '../store/policies.ts';
import type { View } from '../store/view.ts';

/** uids of policies that are enabled, and of which count of changes they are. */
const enabledOf = new WeakMap<View, { changes: number; uids: ReadonlySet<string> }>();

/** Policies that are disabled or gone, and that the node copied for when it was heard last. */
export function endingOn({ copying }: LiveNode, view: View): string[] {
  if (copying.length === 0) {
    return [];
  }
  const enabled = enabledNow(view);
  return copying.filter(({ uid }) => !enabled.has(uid)).map(({ name }) => name);
}

/** The list of nodes asks for each of them: it is made once for all. */
function enabledNow(view: View): ReadonlySet<string> {
  const changes = view.changesOf('policies');
  const known = enabledOf.get(view);
  if (known?.changes === changes) {
    return known.uids;
  }
  const uids = new Set(policiesOf(view).flatMap((policy) => (policy.enabled ? [policy.uid] : [])));
  enabledOf.set(view, { changes, uids });
  return uids;
}
