/** What people may do with their own account, and others only with a right. */
import { allows, type Right } from '@mirrorplane/contract';
import { forbidden } from '../access/refusal.ts';
import type { Who } from './who.ts';

/** Whether the request is of this user, signed in or by a token of `mirrorplane login`. */
export function isSelf({ person }: Who, user: string): boolean {
  return person?.user === user;
}

/** @throws ProblemError FORBIDDEN unless it is the user, or has the right */
export function requireSelfOr(right: Right, who: Who, user: string): void {
  if (!isSelf(who, user) && !allows(who.grants, right)) {
    throw forbidden(right, `users/${user}`);
  }
}
