/**
 * Every page with as much on it as there may be: 100 policies of 1,024 sources each. What a page
 * draws, how long it keeps the browser busy, and how often it is drawn again.
 */
import type { Page } from 'playwright-core';

/** Elements and rows of any page at most. */
export const [MOST_ELEMENTS, MOST_ROWS] = [3000, 80];

/** Each page, and something that it shows when it is ready. */
export const LARGE_PAGES: readonly [name: string, path: string, shows: string][] = [
  ['overview', '/', 'p-1'],
  ['policies', '/policies', 'p-1'],
  ['policy', '/policies/p-1', 'Rate of copies, bit/s'],
  ['policy, all sources absent', '/policies/p-50', 'Rate of copies, bit/s'],
  ['sources of a policy', '/policies/p-1?tab=sources', 'vm-1-1/0'],
  ['events of a policy', '/policies/p-1?tab=events', 'policyStateChanged'],
  ['form: sources', '/policies/p-1/edit', '1,024 of at most 1,024 sources'],
  ['form: destination', '/policies/p-1/edit?step=2', 'ids-1/0'],
  ['form: copies', '/policies/p-1/edit?step=3', 'Mirror percent'],
  ['form: review', '/policies/p-1/edit?step=4', 'The controller would accept this policy.'],
  ['interfaces', '/interfaces', 'ids-1/0'],
  ['interface', '/interfaces/vm-1-1%2F0', 'p-1'],
  ['interface, a destination', '/interfaces/ids-1%2F0', 'Copies delivered a second'],
  ['destinations', '/destinations', 'ids-1/0'],
  ['nodes', '/nodes', 'node-2'],
  ['node', '/nodes/node-1', 'Packets a second'],
  ['pools', '/pools', 'pool-a'],
  ['domains', '/domains', 'domain-1'],
  ['events', '/events', 'policyStateChanged'],
];

/** Goes to a page, and waits until it shows what it is for. */
export async function openLarge(page: Page, url: string, [, path, shows]: (typeof LARGE_PAGES)[number]): Promise<void> {
  await page.goto(url + path);
  await page.getByText(shows, { exact: false }).first().waitFor({ timeout: 60_000 });
}

/** How much is drawn. */
export async function drawn(page: Page): Promise<{ elements: number; rows: number }> {
  return page.evaluate(() => ({
    elements: document.getElementsByTagName('*').length,
    rows: document.querySelectorAll('[role=row], tbody tr').length,
  }));
}
