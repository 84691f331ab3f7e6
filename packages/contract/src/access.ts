/** Access: rights, the roles that hold them, and grants of roles with a scope. */
import * as z from 'zod';
import { RIGHTS } from './rights.ts';
import { hasConditions, ROLE_NAMES, type ROLES } from './roles.ts';

/** What one may do. */
export const Right = z.enum(RIGHTS).meta({
  id: 'Right',
  description:
    'read: resources, states, counters and events. metrics: /metrics. policy: make, change and delete policies. mirror: have interfaces mirrored. send: send copies to destinations. packets: looks and findings. inventory: domains, pools and interfaces. nodes: register and remove nodes. audit: read the audit log. access: users, API tokens and grants.',
});
export type Right = z.infer<typeof Right>;

/** A named set of rights. */
export type Role = keyof typeof ROLES;
export const Role = z.enum(ROLE_NAMES).meta({ id: 'Role', description: 'A named set of rights.' });

/** Values in one list of a scope, and labels of a scope. */
const MAX_SCOPE_VALUES = 64;
const Value = z.string().min(1).max(63);
const Values = z.array(Value).min(1).max(MAX_SCOPE_VALUES);

/** Labels of an interface, as an operator declares them. */
export const Labels = z
  .record(Value, Value)
  .refine((labels) => Object.keys(labels).length <= MAX_SCOPE_VALUES, `use ${MAX_SCOPE_VALUES} labels at most`)
  .meta({
    id: 'Labels',
    description: 'Words of the operator, by keys: scopes of grants can name them.',
    examples: [{ tenant: 'blue' }],
  });

/** Where a grant holds. An object is in the scope if it matches each field that is given. */
export const Scope = z
  .strictObject({
    pools: Values.optional().meta({ description: 'The object is in one of these resource pools.' }),
    networks: Values.optional().meta({ description: 'The object is in one of these networks.' }),
    labels: Labels.optional().meta({ description: 'The object has all of these labels.' }),
  })
  .refine(hasConditions, 'a scope needs pools, networks or labels: leave the scope out for everywhere')
  .meta({ id: 'Scope', description: 'Where a grant holds: objects that match each given field.' });
export type Scope = z.infer<typeof Scope>;

/** A role that somebody has, everywhere or in a scope. */
export const Grant = z
  .strictObject({
    role: Role,
    scope: Scope.optional().meta({ description: 'Absent: everywhere.' }),
  })
  .meta({ id: 'Grant', examples: [{ role: 'operator', scope: { pools: ['blue'] } }] });
export type Grant = z.infer<typeof Grant>;
