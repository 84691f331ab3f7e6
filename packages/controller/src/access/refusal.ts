/** The refusal of a request whose sender lacks a right. */
import { type Right, rolesWith } from '@mirrorplane/contract';
import { ProblemError } from '../problems/problems.ts';

/**
 * @param object what the right is missing for, as "policies/ids-all". Absent: it is missing
 *   altogether
 */
export function forbidden(right: Right, object?: string): ProblemError {
  const where = object === undefined ? '' : ` for ${object}`;
  const detail = `the right "${right}"${where} is missing: ask an administrator for one of the roles ${rolesWith(right).join(', ')}`;
  return new ProblemError('FORBIDDEN', detail, [], { right, ...(object !== undefined && { object }) });
}
