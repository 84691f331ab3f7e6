/**
 * What holds of every page: keyboard, rules of accessibility, words of the catalogue, signing in,
 * and a connection that is lost.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { activeEventually, createPolicy } from '../support/policy.ts';
import { axeViolations, onPage, SHOWN_MS, useBrowser } from './support/browser.ts';
import { foreignWords, unreachable } from './support/walk.ts';

const lab = useLab();
const browser = useBrowser(lab);

test('two policies are in force, for the pages to show', async () => {
  await createPolicy(lab(), { name: 'ids-web', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0' });
  await createPolicy(lab(), { name: 'retain-db', sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 });
  await activeEventually(lab(), 'ids-web');
});

/** Each page, and something that it shows when it is ready. */
const PAGES: [path: string, shows: string][] = [
  ['/', 'ids-web'],
  ['/policies', 'retain-db'],
  ['/policies/ids-web', 'ids-web'],
  ['/policies/ids-web?tab=sources', 'web-2/0'],
  ['/policies/ids-web?tab=events', 'policyCreated'],
  ['/policies/ids-web/test', '⟦'],
  ['/policies/ids-web/edit', 'web-2/0'],
  ['/policies/ids-web/edit?step=4', 'web-2/0'],
  ['/new-policy', 'web-1/0'],
  ['/new-policy?step=2', 'edge-1'],
  ['/new-policy?step=3', '⟦'],
  ['/interfaces', 'web-1/0'],
  ['/interfaces/web-1%2F0', 'tap-web-1'],
  ['/interfaces/edge-1', 'edge0'],
  ['/destinations', 'ids-1/0'],
  ['/nodes', 'node-3'],
  ['/nodes/node-1', 'tap-web-1'],
  ['/pools', 'pool-a'],
  ['/domains', 'domain-1'],
  ['/packets', 'web-1/0'],
  ['/packets?policy=ids-web&fates=copied', 'copied'],
  ['/events', 'nodeConnected'],
  ['/findings?from=web-1%2F0', '⟦'],
  ['/users', 'admin'],
  ['/tokens', 'read'],
  ['/account', 'admin'],
  ['/device', '⟦'],
  ['/audit', 'policies/'],
  ['/audit?q=resource:policies/ids-web', 'ids-web'],
  ['/nothing-here', '⟦'],
];

/** Goes to each page, and gathers what is wrong with it. */
async function wrongWith(page: Page, look: (page: Page) => Promise<string[]>): Promise<string[]> {
  const found: string[] = [];
  for (const [path, shows] of PAGES) {
    await page.goto(browser.url + path);
    await page.getByText(shows, { exact: false }).first().waitFor();
    found.push(...(await look(page)).map((line) => `${path}: ${line}`));
  }
  return found;
}

test('axe finds nothing on any page in dark colours', async () => {
  await onPage(browser, { colorScheme: 'dark', locale: 'pseudo' }, async (page) => {
    assert.deepEqual(await wrongWith(page, axeViolations), []);
  });
});

test('axe finds nothing in light colours, words are from the catalogue or data, and Tab reaches every control', async () => {
  const look = async (page: Page) => [
    ...(await axeViolations(page)),
    ...(await foreignWords(page)),
    ...(await unreachable(page)),
  ];
  await onPage(browser, { colorScheme: 'light', locale: 'pseudo' }, async (page) => {
    assert.deepEqual(await wrongWith(page, look), []);
  });
});

test('the sign-in page refuses a wrong token with its reason, and lets the right one in where one wanted to go', async () => {
  await onPage(browser, { path: '/nodes/node-1', signedIn: false }, async (page) => {
    await page.getByRole('heading', { name: 'Sign in to Mirrorplane' }).waitFor();
    assert.deepEqual(await axeViolations(page), []);
    await page.getByRole('button', { name: 'Sign in with a token' }).click();
    await page.getByLabel('Token', { exact: true }).fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByRole('alert').getByText('the token is not valid', { exact: false }).waitFor();
    await page.getByLabel('Token', { exact: true }).fill(readFileSync(lab().tokenFile, 'utf8'));
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'node-1' }).waitFor();
    const cookies = await page.context().cookies();
    assert.deepEqual(
      cookies.map(({ httpOnly, sameSite }) => [httpOnly, sameSite]),
      [[true, 'Strict']],
    );
    assert.equal(await page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage })), '{}');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'Sign in to Mirrorplane' }).waitFor();
  });
});

test('a ticket signs in once, and is not left in the address', async () => {
  const ticket = await browser.ticket();
  await onPage(browser, { path: `/policies#ticket=${ticket}`, signedIn: false }, async (page) => {
    await page.getByRole('heading', { name: 'Mirror policies' }).waitFor();
    assert.equal(page.url(), `${browser.url}/policies`);
  });
  await onPage(browser, { path: `/policies#ticket=${ticket}`, signedIn: false }, async (page) => {
    await page.getByRole('heading', { name: 'Sign in to Mirrorplane' }).waitFor();
    await page.getByRole('alert').waitFor();
  });
});

test('an address has the filter and the order of its table, and going back has them again', async () => {
  await onPage(browser, { path: '/policies?q=retain&sort=-name' }, async (page) => {
    const grid = page.getByRole('grid', { name: 'Mirror policies' });
    await grid.getByText('retain-db').waitFor();
    assert.equal(await grid.getByText('ids-web').count(), 0);
    assert.equal(await grid.getAttribute('aria-rowcount'), '2');
    assert.equal(await page.getByRole('columnheader', { name: 'Name' }).getAttribute('aria-sort'), 'descending');
    await page.getByRole('searchbox', { name: 'Filter' }).fill('colour:red');
    await page.getByText('colour', { exact: false }).nth(1).waitFor();
    await page.getByRole('searchbox', { name: 'Filter' }).fill('nothing');
    await page.getByText('The filter hides everything.').waitFor();
  });
});

test('while the controller is away the page says since when, and heals when it is back', async () => {
  await onPage(browser, {}, async (page) => {
    const sign = page.getByRole('banner').getByRole('status');
    await sign.getByText('Live').waitFor();
    await lab().stopController();
    await sign.getByText(/No connection. What is shown is from \d\d:\d\d:\d\d UTC/).waitFor({ timeout: 60_000 });
    await page.getByText('ids-web').first().waitFor();
    await lab().startController();
    await sign.getByText('Live').waitFor({ timeout: 60_000 });
    await createPolicy(lab(), { name: 'after', sources: ['app-1/0'], destination: 'mon-3/0', enabled: false });
    await until(
      'the new policy to be shown',
      async () => (await page.getByText('after', { exact: true }).count()) > 0,
      {
        limitMs: 2 * SHOWN_MS,
      },
    );
  });
});
