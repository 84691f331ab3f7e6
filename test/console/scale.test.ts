/**
 * Many rows: whatever there is, the browser draws what is seen, and readers are told how many rows
 * there are.
 */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { createPolicy } from '../support/policy.ts';
import { onPage, useBrowser } from './support/browser.ts';

const lab = useLab({ nodes: 2 });
const browser = useBrowser(lab);

const SOURCES = 1024;
const POLICIES = 100;
/** Requests at a time while interfaces are declared. */
const AT_ONCE = 16;
const [MOST_ELEMENTS, MOST_ROWS] = [3000, 80];

async function declare(ids: readonly string[]): Promise<void> {
  const left = [...ids];
  const worker = async () => {
    for (let id = left.pop(); id !== undefined; id = left.pop()) {
      const path = `/api/v1/interfaces/${encodeURIComponent(id)}`;
      const { status, body } = await lab().api('PUT', path, { kind: 'vm', pool: 'pool-a' });
      assert.equal(status, 201, JSON.stringify(body));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}

/** Asserts the bounds of what is drawn, and prints it. */
async function assertSmall(t: TestContext, page: Page, what: string): Promise<void> {
  const [elements, rows] = await page.evaluate(() => [
    document.getElementsByTagName('*').length,
    document.querySelectorAll('[role=row]').length,
  ]);
  t.diagnostic(`${what}: ${elements} elements, ${rows} rows`);
  assert.ok(elements! <= MOST_ELEMENTS, `${what}: ${elements} elements`);
  assert.ok(rows! <= MOST_ROWS, `${what}: ${rows} rows`);
}

test(`a policy has ${SOURCES} sources, and there are ${POLICIES} policies`, async () => {
  const wide = Array.from({ length: SOURCES }, (_, index) => `wide-${index + 1}/0`);
  const single = Array.from({ length: POLICIES - 1 }, (_, index) => `single-${index + 1}/0`);
  await declare([...wide, ...single]);
  await createPolicy(lab(), { name: 'wide', sources: wide, destination: 'ids-1/0' });
  for (const [index, id] of single.entries()) {
    await createPolicy(lab(), { name: `p-${index + 1}`, sources: [id], destination: 'ids-1/0' });
  }
});

test('the table of policies draws what is seen, and End goes to the last row', async (t) => {
  await onPage(browser, { path: '/policies' }, async (page) => {
    const grid = page.getByRole('grid', { name: 'Mirror policies' });
    await grid.getByText('p-1', { exact: true }).waitFor();
    assert.equal(await grid.getAttribute('aria-rowcount'), String(POLICIES + 1));
    await assertSmall(t, page, '100 policies');
    await grid.focus();
    await page.keyboard.press('End');
    await grid.getByText('wide', { exact: true }).waitFor();
    const active = await grid.getAttribute('aria-activedescendant');
    assert.equal(await page.locator(`[id="${active}"]`).getAttribute('aria-rowindex'), String(POLICIES + 1));
    await page.keyboard.press('Enter');
    await page.getByText('Rate of copies, bit/s').waitFor();
    await assertSmall(t, page, `a policy with ${SOURCES} sources`);
  });
});

test(`the table of ${SOURCES} sources is read a page at a time, and knows how many there are`, async (t) => {
  await onPage(browser, { path: '/policies/wide?tab=sources' }, async (page) => {
    const grid = page.getByRole('grid', { name: 'Sources' });
    await grid.getByText('wide-1/0', { exact: true }).waitFor();
    assert.equal(await grid.getAttribute('aria-rowcount'), String(SOURCES + 1));
    await assertSmall(t, page, `${SOURCES} sources`);
    await grid.focus();
    for (const filter of ['wide-999/0', 'wide-1024/0']) {
      await page.getByRole('searchbox', { name: 'Filter' }).fill(filter);
      await grid.getByText(filter, { exact: true }).waitFor();
      assert.equal(await grid.getAttribute('aria-rowcount'), '2');
    }
  });
});

test(`the form holds ${SOURCES} sources, and refuses one more with the words of the controller`, async (t) => {
  await onPage(browser, { path: '/policies/wide/edit' }, async (page) => {
    await page.getByRole('heading', { name: '1,024 of at most 1,024 sources' }).waitFor();
    await page.getByText('The controller would accept this policy.').waitFor({ timeout: 60_000 });
    await assertSmall(t, page, `the form with ${SOURCES} sources`);
    await page.getByRole('textbox', { name: 'Paste a list' }).fill('web-1/0');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByText('the policy has 1025 sources', { exact: false }).first().waitFor();
  });
});

test('all that match are chosen at once', async () => {
  await onPage(browser, { path: '/new-policy' }, async (page) => {
    await page.getByRole('searchbox', { name: 'Filter' }).fill('single-1');
    await page.getByText('11 in all').waitFor();
    await page.getByRole('button', { name: 'Choose all 11 that match' }).click();
    // All of them are sources of other policies.
    await page.getByText('0 chosen; 11 cannot be sources.').waitFor();
  });
});
