/** Names of interfaces for people. */
import type { Policy } from '@mirrorplane/contract';
import { isInForce } from '../store/policies.ts';
import type { View } from '../store/view.ts';

/** The display name of an interface by its id; empty where it is not known. */
export function displayNames(view: View): (id: string) => string {
  const interfaces = view.all('interfaces');
  return (id) => interfaces.get(id)?.value.name ?? '';
}

/**
 * What was declared of the ends of a policy. Nothing while the policy waits for consent: whoever names
 * an interface of others in a request would learn it.
 */
export function declaredEnds(policy: Pick<Policy, 'approval'>, view: View) {
  const isKnown = isInForce(policy);
  return (id: string) => (isKnown ? view.get('interfaces', id)?.value : undefined);
}
