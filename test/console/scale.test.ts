/**
 * Many rows: whatever there is, the browser draws what is seen, readers are told how many rows there
 * are, and the stream has a page drawn again once a second.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Page } from 'playwright-core';
import { onPage, useBrowser } from './support/browser.ts';
import { LARGE, LargeHost } from './support/large-host.ts';
import { drawn, LARGE_PAGES, MOST_ELEMENTS, MOST_ROWS, openLarge } from './support/large-pages.ts';

const { policies: POLICIES, sources: SOURCES } = LARGE;
/** Milliseconds that the controller may take to read 100,000 interfaces, on a loaded machine. */
const START_MS = 240_000;
let cluster: LargeHost;
before(
  async () => {
    cluster = await LargeHost.start();
  },
  { timeout: START_MS },
);
after(() => cluster?.close());
const browser = useBrowser(() => cluster);

test(`no page draws more than ${MOST_ELEMENTS} elements or ${MOST_ROWS} rows`, { timeout: 240_000 }, async (t) => {
  await onPage(browser, {}, async (page) => {
    for (const one of LARGE_PAGES) {
      await openLarge(page, browser.url, one);
      const { elements, rows } = await drawn(page);
      t.diagnostic(`${one[0]}: ${elements} elements, ${rows} rows`);
      assert.ok(elements <= MOST_ELEMENTS, `${one[0]}: ${elements} elements`);
      assert.ok(rows <= MOST_ROWS, `${one[0]}: ${rows} rows`);
    }
  });
});

test('End goes to the last row of all policies, and Enter opens it', async () => {
  await onPage(browser, { path: '/policies' }, async (page) => {
    const grid = page.getByRole('grid', { name: 'Mirror policies' });
    await grid.getByText('p-1', { exact: true }).waitFor();
    assert.equal(await grid.getAttribute('aria-rowcount'), String(POLICIES + 1));
    await grid.focus();
    await page.keyboard.press('End');
    await grid.getByText('p-99', { exact: true }).waitFor();
    const active = await grid.getAttribute('aria-activedescendant');
    assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-rowindex'), String(POLICIES + 1));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'p-99' }).waitFor();
  });
});

test(`the table of ${SOURCES} sources is read a page at a time, and knows how many there are`, async () => {
  await onPage(browser, { path: '/policies/p-1?tab=sources' }, async (page) => {
    const grid = page.getByRole('grid', { name: 'Sources' });
    await grid.getByText('vm-1-1/0', { exact: true }).first().waitFor();
    assert.equal(await grid.getAttribute('aria-rowcount'), String(SOURCES + 1));
    for (const filter of ['vm-1-999/0', 'vm-1-1024/0']) {
      await page.getByRole('searchbox', { name: 'Filter' }).fill(filter);
      await grid.getByText(filter, { exact: true }).waitFor();
      assert.equal(await grid.getAttribute('aria-rowcount'), '2');
    }
  });
});

test(`the form holds ${SOURCES} sources, and refuses one more with the words of the controller`, async () => {
  await onPage(browser, { path: '/policies/p-1/edit' }, async (page) => {
    await page.getByRole('heading', { name: '1,024 of at most 1,024 sources' }).waitFor();
    await page.getByText('The controller would accept this policy.').waitFor({ timeout: 60_000 });
    await page.getByRole('textbox', { name: 'Paste a list' }).fill('ids-1/0');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('the policy has 1025 sources', { exact: false }).first().waitFor();
  });
});

test(`${SOURCES} sources are chosen by all that match, and by a pasted list`, { timeout: 120_000 }, async () => {
  // The sources of p-3 are free then.
  assert.equal((await cluster.api('DELETE', '/api/v1/policies/p-3')).status, 204);
  const filled = (page: Page) =>
    page.getByRole('heading', { name: '1,024 of at most 1,024 sources' }).waitFor({ timeout: 60_000 });
  await onPage(browser, { path: '/new-policy' }, async (page) => {
    await page.getByRole('searchbox', { name: 'Filter' }).fill('vm-3-');
    await page.getByText('1,024 in all').waitFor({ timeout: 60_000 });
    await page.getByRole('button', { name: 'Choose all 1,024 that match' }).click();
    await filled(page);
    await page.getByRole('button', { name: 'Remove all' }).click();
    await page.getByText('Nothing is chosen.').waitFor();
    const list = Array.from({ length: SOURCES }, (_, index) => `vm-3-${index + 1}/0`);
    await page.getByRole('textbox', { name: 'Paste a list' }).fill(list.join('\n'));
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await filled(page);
    await page.getByRole('searchbox', { name: 'Filter' }).fill('vm-1-');
    await page.getByRole('grid', { name: 'Interfaces' }).getByText('vm-1-1/0', { exact: true }).first().waitFor();
    await page.getByRole('button', { name: 'Choose all 1,024 that match' }).click();
    await page.getByText('0 chosen; 1,024 cannot be sources.').waitFor();
  });
});
