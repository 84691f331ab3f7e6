/** People in the console: the first sign-in, an authenticator app, users, tokens, and logins of the command line. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { TOTP, URI } from 'otpauth';
import type { Locator, Page } from 'playwright-core';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { ControllerHost } from './support/controller-host.ts';
import { qrCodeOf } from './support/qr-code.ts';

let host: ControllerHost;
before(async () => {
  host = await ControllerHost.start();
});
after(() => host.close());
const browser = useBrowser(() => host);
const nobody = { signedIn: false };
const password = 'five words are a password';
let secret = '';
let recoveryCodes: string[] = [];

async function give(page: Page, fields: Record<string, string>, button: string): Promise<void> {
  for (const [label, value] of Object.entries(fields)) {
    await page.getByLabel(label, { exact: true }).fill(value);
  }
  await page.getByRole('button', { name: button, exact: true }).click();
}

async function textOf(place: Locator): Promise<string> {
  return ((await place.textContent()) ?? '').trim();
}

test('the first administrator has to choose a password, and sets up an authenticator app', async () => {
  await onPage(browser, { path: '/account', ...nobody }, async (page) => {
    await give(page, { User: 'admin', Password: 'wrong' }, 'Sign in');
    await page.getByRole('alert').getByText('the user, the password or the code is wrong').waitFor();
    assert.deepEqual(await axeViolations(page), []);
    const first = host.file('first-password');
    await give(page, { User: 'admin', Password: first }, 'Sign in');
    await page.getByText('Choose a password of your own first').waitFor();
    assert.deepEqual(await axeViolations(page), []);
    await give(page, { 'Password of today': first, 'New password': 'short' }, 'Change the password');
    await page.getByText('use at least 15', { exact: false }).first().waitFor();
    await give(page, { 'Password of today': first, 'New password': password }, 'Change the password');
    await page.getByRole('heading', { name: 'Your account' }).waitFor();

    await give(page, { Password: password }, 'Set up an app');
    secret = await textOf(page.locator('pre').first());
    // As the camera of a phone reads it.
    const uri = (await qrCodeOf(page.getByRole('img', { name: 'QR code of the secret' }))) ?? '';
    const read = URI.parse(uri);
    assert.ok(read instanceof TOTP);
    assert.deepEqual([read.secret.base32, read.label, uri.includes('issuer=')], [secret, 'admin', true]);
    const code = read.generate();
    await give(page, { Code: code }, 'Confirm');
    recoveryCodes = (await textOf(page.getByRole('dialog').locator('pre'))).split('\n');
    assert.equal(recoveryCodes.length, 10);
    assert.deepEqual(await axeViolations(page), []);
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByText('10 recovery codes are left').waitFor();
  });
});

/** Signs in with a password and a code. */
async function signIn(page: Page, code: string): Promise<void> {
  await give(page, { User: 'admin', Password: password }, 'Sign in');
  await page.getByRole('alert').getByText('the password is right', { exact: false }).waitFor();
  await give(page, { Code: code }, 'Sign in');
}

test('a code is asked for after the password, and a login of the command line is confirmed with its address', async () => {
  await onPage(browser, { path: '/device', ...nobody }, async (page) => {
    // The code of the next half minute: the one of this one is used up.
    await signIn(page, new TOTP({ secret }).generate({ timestamp: Date.now() + 30_000 }));
    await page.getByRole('heading', { name: 'Confirm a login' }).waitFor();
    const begun = await host.api('POST', '/api/v1/device-logins', { host: 'laptop-7' });
    const { userCode, deviceCode } = begun.body as Record<string, string>;
    await give(page, { 'Code of the command': 'BBBB-BBBB' }, 'Show the login');
    await page.getByRole('alert').getByText('no login waits', { exact: false }).waitFor();
    await give(page, { 'Code of the command': userCode!.toLowerCase() }, 'Show the login');
    await page.getByText('laptop-7').waitFor();
    await page.getByText('127.0.0.1').waitFor();
    assert.deepEqual(await axeViolations(page), []);
    await page.getByRole('button', { name: 'Confirm', exact: true }).click();
    await page.getByText('The command has its token', { exact: false }).waitFor();
    const { body } = await host.api('POST', '/api/v1/device-logins/poll', { deviceCode });
    assert.match((body as { token: string }).token, /^mpt_/);

    await page.getByRole('link', { name: 'API tokens' }).click();
    const row = page.getByRole('row').filter({ hasText: 'login-laptop-7' });
    await row.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await row.waitFor({ state: 'detached' });
  });
});

test('an administrator makes a user, whose password is shown once, and a token', async () => {
  await onPage(browser, { path: '/users', ...nobody }, async (page) => {
    await signIn(page, recoveryCodes[0]!);
    await page.getByRole('button', { name: 'New user' }).click();
    await give(page, { Name: 'bob', Grants: 'boss' }, 'Save');
    await page.getByRole('dialog').getByRole('alert').waitFor();
    await give(page, { Grants: 'operator:pool=east' }, 'Save');
    const shown = await textOf(page.getByRole('dialog').locator('pre'));
    await page.getByRole('button', { name: 'Done' }).click();
    await page.getByRole('row').filter({ hasText: 'bob' }).getByText('operator:pool=east').waitFor();
    const signedIn = await fetch(`${host.url}/api/v1/session`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user: 'bob', password: shown }),
    });
    assert.equal(signedIn.status, 201);

    await page.getByRole('link', { name: 'API tokens' }).click();
    await page.getByRole('button', { name: 'New token' }).click();
    await give(page.getByRole('dialog') as unknown as Page, { Name: 'ci', Grants: 'viewer' }, 'New token');
    const token = await textOf(page.getByRole('dialog').locator('pre'));
    const headers = { authorization: `Bearer ${token}` };
    assert.equal((await fetch(`${host.url}/api/v1/policies`, { headers })).status, 200);
    assert.equal((await fetch(`${host.url}/api/v1/users`, { headers })).status, 403);
  });
});
