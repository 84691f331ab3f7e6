/** Warnings of a policy: the policy is accepted, but its author should know them. */

import { printable } from '@mirrorplane/base';
import type { Policy } from '@mirrorplane/contract';
import type { Context } from './context.ts';

/** Prints the warnings of a policy on stderr. */
export function noteWarnings(context: Context, policy: object): void {
  for (const warning of (policy as Partial<Policy>).warnings ?? []) {
    const field = warning.field === undefined ? '' : ` (${warning.field})`;
    context.note(`warning: ${printable(`${warning.code}${field}: ${warning.message}`)}\n`);
  }
}
