/** Judges grants: whether somebody may do something, and to which object. */
import type { Grant, Right, Scope } from './access.ts';
import { givesRight, givesSomewhere, hasConditions } from './roles.ts';

/** What a scope can tell apart of an object. An absent field matches no scope that names it. */
export interface AccessObject {
  /** Resource pool. */
  pool?: string;
  network?: string;
  labels?: Readonly<Record<string, string>>;
}

/**
 * Whether `grants` give `right`.
 * @param object what the right is used on. Absent: whether the right is given for anything at all
 */
export function allows(grants: readonly Grant[], right: Right, object?: AccessObject): boolean {
  return grants.some(
    (grant) =>
      givesSomewhere(grant, right) && (grant.scope === undefined || object === undefined || isIn(grant.scope, object)),
  );
}

/** Whether `grants` give `right` for every object, also for those that no scope can match. */
export function allowsEverywhere(grants: readonly Grant[], right: Right): boolean {
  return grants.some(({ role, scope }) => scope === undefined && givesRight(role, right));
}

/** A scope without conditions, as an older controller may have stored one, matches nothing. */
function isIn(scope: Scope, object: AccessObject): boolean {
  const { pools, networks, labels = {} } = scope;
  return (
    hasConditions(scope) &&
    isOneOf(pools, object.pool) &&
    isOneOf(networks, object.network) &&
    Object.entries(labels).every(
      ([key, value]) => Object.hasOwn(object.labels ?? {}, key) && object.labels![key] === value,
    )
  );
}

function isOneOf(allowed: readonly string[] | undefined, value: string | undefined): boolean {
  return allowed === undefined || (value !== undefined && allowed.includes(value));
}
