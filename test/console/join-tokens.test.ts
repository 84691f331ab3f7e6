/** Join tokens by clicking. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { ControllerHost } from './support/controller-host.ts';

let host: ControllerHost;
before(async () => {
  host = await ControllerHost.start();
  await host.api('PUT', '/api/v1/domains/blue', {});
  assert.equal((await host.api('PUT', '/api/v1/pools/west', { domain: 'blue' })).status, 201);
});
after(() => host?.close());
const browser = useBrowser(() => host);

test('a join token of a pool is shown once, listed without its secret, and revoked', async () => {
  await onPage(browser, { path: '/nodes' }, async (page) => {
    await page.getByRole('button', { name: 'New join token' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.getByLabel('Resource pool').fill('west');
    await dialog.getByLabel('Nodes that can join').fill('3');
    await dialog.getByRole('button', { name: 'New join token' }).click();
    const secret = page.getByRole('dialog').locator('pre');
    await secret.getByText(/^mp1\./).waitFor();
    const token = (await secret.textContent()) ?? '';
    await page.getByRole('button', { name: 'Done' }).click();
    const row = page.getByRole('region', { name: 'Join tokens' }).getByRole('row').filter({ hasText: 'west' });
    await row.getByRole('cell', { name: '3', exact: true }).waitFor();
    assert.equal(await page.getByText(token).count(), 0, 'the secret is gone with its dialog');
    assert.deepEqual(await axeViolations(page), []);
    await row.getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await row.waitFor({ state: 'detached' });
    const { body } = await host.api('GET', '/api/v1/join-tokens');
    assert.deepEqual((body as { items: unknown[] }).items, []);
  });
});
