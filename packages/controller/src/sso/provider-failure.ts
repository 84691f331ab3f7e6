/** What went wrong at a provider of OpenID Connect, in words for the person and for the log. */
import { printable } from '@mirrorplane/base';
import {
  AuthorizationResponseError,
  ClientError,
  ResponseBodyError,
  WWWAuthenticateChallengeError,
} from 'openid-client';
import { refused, SignInRefused } from './refused.ts';

/** The most characters of a provider's own words that are shown. */
const MAX_SAID = 200;

/**
 * Words for errors that a provider sends the browser back with (RFC 6749, section 4.1.2.1; OpenID
 * Connect Core 1.0, section 3.1.2.6).
 */
const SAID: Readonly<Record<string, string>> = {
  access_denied: 'it does not let you in, or you stopped the sign-in there',
  login_required: 'it wants you to sign in there first',
  consent_required: 'it wants your consent first',
  interaction_required: 'it wants to ask you something first',
  unauthorized_client:
    'it does not know this controller: check clientId, and the redirect URI that is registered there',
  invalid_scope: 'it does not know one of the scopes: check "scopes" in the file of --sign-in',
  temporarily_unavailable: 'it has no time at the moment: try again',
  server_error: 'it failed: try again, or look into its log',
};

/** Codes of the library for a provider that does not answer, or not as a provider does. */
const AWAY = ['OAUTH_TIMEOUT', 'OAUTH_ABORT', 'OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_RESPONSE_IS_NOT_JSON'];

/** The refusal for an error on the way to or from a provider. */
export function providerFailure(error: unknown, title: string): SignInRefused {
  if (error instanceof SignInRefused) {
    return error;
  }
  const reason = reasonOf(error);
  if (error instanceof AuthorizationResponseError) {
    const words = SAID[error.error] ?? 'it refused';
    const own = error.error_description === undefined ? '' : ` (it says: ${said(error.error_description)})`;
    return refused('SIGN_IN_REFUSED', `${title} has not signed you in: ${words}${own}`, reason);
  }
  if (error instanceof ResponseBodyError) {
    const { detail, code } = ofAnswer(error.error, title);
    return refused(code, detail, reason);
  }
  if (error instanceof WWWAuthenticateChallengeError || isInvalid(error)) {
    const detail = `what ${title} has sent cannot be trusted: try again. An administrator finds the reason in the log of the controller`;
    return refused('SIGN_IN_REFUSED', detail, reason);
  }
  const detail = `${title} does not answer: try again later, or sign in with a local account`;
  return refused('SIGN_IN_AWAY', detail, reason);
}

function ofAnswer(code: string, title: string): { code: 'SIGN_IN_REFUSED' | 'SIGN_IN_AWAY'; detail: string } {
  switch (code) {
    case 'invalid_grant':
      return { code: 'SIGN_IN_REFUSED', detail: `${title} does not take the sign-in any more: begin again` };
    case 'invalid_client':
    case 'unauthorized_client':
      return {
        code: 'SIGN_IN_AWAY',
        detail: `${title} does not know this controller: an administrator has to check clientId and the secret in the file of --sign-in`,
      };
    default:
      return { code: 'SIGN_IN_AWAY', detail: `${title} has failed: try again later, or sign in with a local account` };
  }
}

/**
 * Whether an answer came that is not right: of another issuer, for others, too old, forged. Errors
 * of the network have no code of the library.
 */
function isInvalid(error: unknown): boolean {
  return error instanceof ClientError && error.code !== undefined && !AWAY.includes(error.code);
}

/** Error, its code and its causes in one line, without tokens: errors have none in their messages. */
function reasonOf(error: unknown): string {
  const parts: string[] = [];
  for (let at: unknown = error; at instanceof Error && parts.length < 4; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    parts.push(code === undefined ? at.message : `${at.message} [${code}]`);
  }
  return said(parts.join(': '));
}

function said(text: string): string {
  return printable(text).slice(0, MAX_SAID);
}
