/** What a node may still copy for, although it should not. */
import type { LiveNode } from '../reports/live-node.ts';
import { policiesOf } from '../store/policies.ts';
import type { View } from '../store/view.ts';

/** Policies that are disabled or gone, and that the node copied for when it was heard last. */
export function endingOn({ copying }: LiveNode, view: View): string[] {
  if (copying.length === 0) {
    return [];
  }
  const enabled = new Set(policiesOf(view).flatMap((policy) => (policy.enabled ? [policy.uid] : [])));
  return copying.filter(({ uid }) => !enabled.has(uid)).map(({ name }) => name);
}
