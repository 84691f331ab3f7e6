/** The console by TLS in a real browser: its policy lets all pages work, and plain HTTP is said. */
import assert from 'node:assert/strict';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { Controller } from '../../packages/cli/test/controller.ts';
import { ConsoleBrowser, type ConsoleHost, onPage, SHOWN_MS } from './support/browser.ts';

const NAME = 'mirror.example';
const PAGES = ['/', '/policies', '/policies/new', '/interfaces', '/nodes', '/domains', '/packets', '/events', '/audit'];
const controller = new Controller();
let url: string;

const host: ConsoleHost = {
  state: { apiPort: null },
  api: async (method, path) => ({ status: 201, body: await controller.api(method, path.replace('/api/v1', '')) }),
  get url() {
    return url;
  },
};
const browser = new ConsoleBrowser(() => host);

before(async () => {
  const listen = ['--listen', 'https://127.0.0.1:0', '--listen', 'http://0.0.0.0:0', '--insecure-http'];
  await controller.start('--log-level', 'info', ...listen, '--tls-name', NAME);
  // The browser trusts this key, as it would the authority, and no other.
  const { publicKey } = new X509Certificate(readFileSync(join(controller.folder, 'data/api.crt')));
  const key = createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64');
  await browser.launch([`--ignore-certificate-errors-spki-list=${key}`, `--host-resolver-rules=MAP ${NAME} 127.0.0.1`]);
});
after(async () => {
  await browser.close();
  await controller.close();
});

/** The address of the console by the name. */
const consoleAt = (scheme: string) => {
  const [, port] = new RegExp(`"${scheme}://[^"]*:(\\d+)"`).exec(controller.log)!;
  return `${scheme}://${NAME}:${port}`;
};

const warning = (page: Page) => page.getByText('This connection is not encrypted');

test('all pages work by TLS within their policy, and the cookie is for this host and TLS alone', async () => {
  url = consoleAt('https');
  await onPage(browser, {}, async (page) => {
    const said: string[] = [];
    page.on('console', (message) => said.push(message.text()));
    for (const path of PAGES) {
      await page.goto(`${url}${path}`);
      await page.getByRole('heading').first().waitFor();
      assert.equal(await warning(page).count(), 0, path);
    }
    await page.goto(`${url}/domains`);
    await page.getByRole('button', { name: 'Create a communication domain' }).click();
    await page.getByRole('dialog').waitFor();
    // A style that the policy refused would leave the page without its layout.
    const styles = await page
      .locator('style')
      .evaluateAll((all) => all.map((style) => (style as HTMLStyleElement).sheet?.cssRules.length ?? 0));
    assert.ok(styles.length > 0 && styles.every((rules) => rules > 0), `rules of styles: ${styles}`);
    assert.deepEqual(
      said.filter((text) => /Content.Security.Policy|Refused to/i.test(text)),
      [],
    );
    const [cookie] = await page.context().cookies();
    assert.deepEqual(
      [cookie?.name, cookie?.secure, cookie?.httpOnly, cookie?.sameSite, cookie?.path],
      ['__Host-mirrorplane_session', true, true, 'Strict', '/'],
    );
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('button', { name: 'Sign in', exact: true }).waitFor();
  });
});

test('by plain HTTP from elsewhere every page says that it is not encrypted', async () => {
  url = consoleAt('http');
  await onPage(browser, { signedIn: false }, async (page) => {
    await warning(page).waitFor({ timeout: SHOWN_MS });
  });
  await onPage(browser, {}, async (page) => {
    await warning(page).waitFor({ timeout: SHOWN_MS });
    assert.equal((await page.context().cookies())[0]?.name, 'mirrorplane_session');
  });
});
