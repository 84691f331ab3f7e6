/**
 * The stream of a tab: given back while the tab is hidden, and what a tab does that has outlived an
 * upgrade.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { useLab } from '../support/lab.ts';
import { createPolicy } from '../support/policy.ts';
import { onPage, useBrowser } from './support/browser.ts';

const lab = useLab({ nodes: 1 });
const browser = useBrowser(lab);

test('a hidden tab gives its stream back after 30 seconds, and reads again when it is seen', async () => {
  await onPage(browser, {}, async (page) => {
    const sign = page.getByRole('banner').getByRole('status');
    await sign.getByText('Live').waitFor();
    const show = (hidden: boolean) =>
      page.evaluate((value) => {
        Object.defineProperty(document, 'hidden', { value, configurable: true });
        document.dispatchEvent(new Event('visibilitychange'));
      }, hidden);
    await page.clock.install();
    await show(true);
    await page.clock.fastForward(29_000);
    await sign.getByText('Live').waitFor();
    await page.clock.fastForward(2_000);
    await sign.getByText(/^Paused since/).waitFor();
    await createPolicy(lab(), { name: 'meanwhile', sources: ['web-1/0'], destination: 'fw-1/0', enabled: false });
    await show(false);
    await page.clock.resume();
    await sign.getByText('Live').waitFor();
    await page.getByText('meanwhile').first().waitFor();
  });
});

test('a tab that outlives an upgrade loads itself again, once', async () => {
  await onPage(browser, {}, async (page) => {
    await page.getByRole('banner').getByText('Live').waitFor();
    let loads = 0;
    page.on('framenavigated', () => {
      loads += 1;
    });
    // As after an upgrade: each connection now says another version.
    await page.route('**/api/v1/stream?*', async (route) => {
      const hello = JSON.stringify({ version: '9.9.9', serverTime: new Date().toISOString(), revision: 1 });
      await route.fulfill({ contentType: 'text/event-stream', body: `event: hello\ndata: ${hello}\n\n` });
    });
    let asked = 0;
    page.on('request', (request) => {
      asked += request.url().includes('/api/v1/stream') ? 1 : 0;
    });
    // Another page wants other topics, so the stream is opened again.
    await page.getByRole('link', { name: 'Mirror policies', exact: true }).click();
    await until('the page to load again, and to ask some more', async () => loads >= 1 && asked >= 4, {
      limitMs: 30_000,
    });
    // Going to the other page is a navigation too, and so is the reload.
    assert.equal(loads, 2);
  });
});
