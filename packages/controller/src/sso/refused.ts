/** Why a person cannot sign in, in words for that person. */
import type { ErrorCode } from '@mirrorplane/contract';
import { ProblemError } from '../problems/problems.ts';

/** `SIGN_IN_REFUSED`: whoever asks again gets the same answer. `SIGN_IN_AWAY`: try later. */
export type SignInCode = Extract<ErrorCode, 'SIGN_IN_REFUSED' | 'SIGN_IN_AWAY' | 'UNAUTHENTICATED'>;

/** A refusal. `detail` of its problem is for the person, `reason` for the log. */
export class SignInRefused extends ProblemError {
  override name = 'SignInRefused';
  readonly code: SignInCode;
  readonly reason: string;

  constructor(code: SignInCode, detail: string, reason: string) {
    super(code, detail);
    this.code = code;
    this.reason = reason;
  }
}

/** @param reason for the log; default: the same as for the person */
export function refused(code: SignInCode, detail: string, reason = detail): SignInRefused {
  return new SignInRefused(code, detail, reason);
}
