/** Waits for a sign-in that has to be refused. */
import assert from 'node:assert/strict';
import type { SignInRefused } from '../../src/sso/refused.ts';

/** Why it was refused. A sign-in that succeeds, or fails otherwise, fails the test. */
export async function refusal(what: Promise<unknown>): Promise<SignInRefused> {
  return what.then(
    (person) => assert.fail(`signed in: ${JSON.stringify(person)}`),
    (error) => {
      assert.ok(error?.name === 'SignInRefused', `${error?.stack}`);
      return error;
    },
  );
}
