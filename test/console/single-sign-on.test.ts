/**
 * Signing in at a provider of OpenID Connect with a real browser, which decides about cookies: the
 * provider is of another site, `localhost` and not `127.0.0.1`.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { ROOT } from '../../packaging/paths.ts';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';

const MAIN = join(ROOT, 'packages/controller/test/sso/world-main.ts');

let world: { address: string; issuer: string };
let child: ChildProcess;
before(async () => {
  child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN], {
    stdio: ['pipe', 'pipe', 'ignore'],
  });
  for await (const line of createInterface({ input: child.stdout! })) {
    // The provider writes there, too.
    if (line.startsWith('{')) {
      world = JSON.parse(line);
      return;
    }
  }
  throw new Error('the controller and the provider did not start');
});
after(async () => {
  const ended = once(child, 'exit');
  child.stdin!.end();
  await ended;
});
const browser = useBrowser(() => ({
  state: { apiPort: Number(new URL(world.address).port) },
  api: () => Promise.reject(new Error('not used')),
}));

/** Goes to the provider and signs in there. */
async function signInAs(page: Page, person: string): Promise<void> {
  await page.getByRole('button', { name: 'Sign in by Example Corp' }).click();
  await page.getByLabel('Person').fill(person);
  await page.getByRole('button', { name: 'Let me in' }).click();
}

test('a person comes back from the provider to the page where they were, signed in, and signs out there too', async () => {
  await onPage(browser, { path: '/nodes?sort=name', signedIn: false }, async (page) => {
    await page.getByRole('button', { name: 'Sign in by Example Corp' }).waitFor();
    assert.deepEqual(await axeViolations(page), []);
    await signInAs(page, 'otto');
    await page.getByRole('navigation').waitFor();
    assert.equal(page.url(), `${world.address}/nodes?sort=name`);
    const cookies = await page.context().cookies(world.address);
    assert.deepEqual(
      cookies.map(({ name, sameSite, httpOnly }) => [name, sameSite, httpOnly]),
      [['mirrorplane_session', 'Strict', true]],
    );
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL((url) => url.origin === world.issuer);
  });
});

test('a person who is refused reads why on the sign-in page', async () => {
  await onPage(browser, { path: '/nodes', signedIn: false }, async (page) => {
    await signInAs(page, 'nobody');
    const why = page.getByRole('alert');
    await why.waitFor();
    assert.match((await why.textContent())!, /none of your groups has rights here: "staff", "lunch"/);
    assert.equal(new URL(page.url()).pathname, '/nodes');
    assert.equal(await page.getByRole('navigation').count(), 0);
  });
});
