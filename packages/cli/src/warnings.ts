/** Warnings of a policy or of grants: they are accepted, but their author should know them. */

import { printable } from '@mirrorplane/base';
import type { Policy } from '@mirrorplane/contract';
import type { Context } from './context.ts';

/** Prints the warnings of an answer on stderr. */
export function noteWarnings(context: Context, answer: object): void {
  for (const warning of (answer as Partial<Policy>).warnings ?? []) {
    const field = warning.field === undefined ? '' : ` (${warning.field})`;
    context.note(`warning: ${printable(`${warning.code}${field}: ${warning.message}`)}\n`);
  }
}
