/** The roles with their rights, without schemas: the first page of the console needs them, too. */
import { RIGHTS } from './rights.ts';

type Right = (typeof RIGHTS)[number];
type Role = keyof typeof ROLES;

/** What of a grant says which rights it gives. */
interface Given {
  role: Role;
  scope?: unknown;
}

const VIEWER = ['read', 'metrics'] as const satisfies readonly Right[];

/** Each role is a set of rights. The roles are fixed. */
export const ROLES = {
  metrics: ['metrics'],
  viewer: VIEWER,
  operator: [...VIEWER, 'policy', 'mirror', 'send'],
  observer: [...VIEWER, 'packets'],
  auditor: [...VIEWER, 'audit'],
  admin: RIGHTS,
} as const satisfies Record<string, readonly Right[]>;

/** The names of all roles, from the least to the most. */
export const ROLE_NAMES = Object.keys(ROLES) as Role[];

/**
 * Rights for the cluster as a whole: what they are for cannot be divided, so a grant with a scope
 * does not give them.
 */
export const WHOLE_RIGHTS: ReadonlySet<Right> = new Set(['metrics', 'audit', 'access'] as const);

/** The rights that grants give, somewhere at least, in the order of `RIGHTS`. */
export function rightsOf(grants: readonly Given[]): Right[] {
  return RIGHTS.filter((right) => grants.some((grant) => givesSomewhere(grant, right)));
}

/** Whether a grant gives a right for something at least. */
export function givesSomewhere({ role, scope }: Given, right: Right): boolean {
  return givesRight(role, right) && (scope === undefined || !WHOLE_RIGHTS.has(right));
}

/** Whether a role has a right. */
export function givesRight(role: Role, right: Right): boolean {
  return (ROLES[role] as readonly Right[]).includes(right);
}

/** The roles that have a right, from the least to the most. */
export function rolesWith(right: Right): Role[] {
  return ROLE_NAMES.filter((role) => givesRight(role, right));
}

interface Conditions {
  pools?: string[] | undefined;
  networks?: string[] | undefined;
  labels?: Record<string, string> | undefined;
}

/** Whether a scope leaves anything out. Without a condition it would match everything. */
export function hasConditions({ pools, networks, labels }: Conditions): boolean {
  return pools !== undefined || networks !== undefined || Object.keys(labels ?? {}).length > 0;
}
