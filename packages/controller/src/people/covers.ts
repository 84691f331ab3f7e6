/** Whether grants are within other grants: nobody gives more than they have. Pure. */
import { type Grant, givesRight, hasConditions, ROLES, type Scope } from '@mirrorplane/contract';

/**
 * Whether `have` allows all that `want` allows. Each wanted right has to be within one grant: parts
 * of several grants that only together make a scope do not count.
 */
export function covers(have: readonly Grant[], want: readonly Grant[]): boolean {
  return want.every(({ role, scope }) =>
    ROLES[role].every((right) => have.some((one) => givesRight(one.role, right) && isWithin(scope, one.scope))),
  );
}

function isWithin(inner: Scope | undefined, outer: Scope | undefined): boolean {
  if (outer === undefined) {
    return true;
  }
  return (
    inner !== undefined &&
    hasConditions(outer) &&
    isPart(inner.pools, outer.pools) &&
    isPart(inner.networks, outer.networks) &&
    Object.entries(outer.labels ?? {}).every(([key, value]) => inner.labels?.[key] === value)
  );
}

function isPart(inner: readonly string[] | undefined, outer: readonly string[] | undefined): boolean {
  return outer === undefined || (inner?.every((value) => outer.includes(value)) ?? false);
}
