/** The part of a policy that one may see. */
import type { ConsentNeed, Policy } from '@mirrorplane/contract';
import type { Judge } from '../access/judge.ts';

type Shown = Pick<Policy, 'sources' | 'destination' | 'approval' | 'change'>;

/**
 * A policy as one may see it: whole, or without what names interfaces of others. Its ends are those
 * that it has and those that it waits for. Undefined: nothing.
 */
export function partOfPolicy<P extends Shown>(policy: P, judge: Judge): P | undefined {
  const { approval, change } = policy;
  const sees = (id: string) => judge.may('read', 'interface', id);
  if (judge.everywhere('read') || (judge.seesWhole(policy) && (!change || judge.seesWhole(change.spec)))) {
    return policy;
  }
  const named = change ? [...policy.sources, ...change.spec.sources, change.spec.destination] : policy.sources;
  if (!named.some(sees) && !sees(policy.destination)) {
    return undefined;
  }
  const seen = <N extends ConsentNeed>(needs: N[]) =>
    needs.map((need) => ({ ...need, interfaces: need.interfaces.filter(sees) }));
  const asked = <A extends { needs: ConsentNeed[]; given: ConsentNeed[] }>(one: A) => {
    return { ...one, needs: seen(one.needs), given: seen(one.given) };
  };
  const isWhole = judge.seesWhole(policy);
  return {
    ...policy,
    sources: isWhole ? policy.sources : policy.sources.filter(sees),
    ...(approval && { approval: asked(approval) }),
    ...(change && {
      change: { ...asked(change), spec: { ...change.spec, sources: change.spec.sources.filter(sees) } },
    }),
  };
}
