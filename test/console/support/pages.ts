/** The pages of the console of a lab with two policies. */
import type { Lab } from '@mirrorplane/lab';
import type { Page } from 'playwright-core';
import { activeEventually, createPolicy } from '../../support/policy.ts';
import type { ConsoleBrowser } from './browser.ts';

/** Two policies for the pages to show: one of VMs, one with an edge as destination. */
export async function createTwo(lab: Lab): Promise<void> {
  await createPolicy(lab, { name: 'ids-web', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0' });
  await createPolicy(lab, { name: 'retain-db', sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 });
  await activeEventually(lab, 'ids-web');
}

/** Pages with dialogs, wide tables and charts, and something that each shows when it is ready. */
const PAGES: readonly [path: string, shows: string][] = [
  ['/policies', 'retain-db'],
  ['/policies/ids-web', 'ids-web'],
  ['/policies/ids-web?tab=sources', 'web-2/0'],
  ['/policies/ids-web/edit?step=4', 'web-2/0'],
  ['/new-policy?step=2', 'edge-1'],
  ['/new-policy?step=3', '⟦'],
  ['/interfaces', 'web-1/0'],
  ['/interfaces/ids-1%2F0', 'ids-web'],
  ['/interfaces/edge-1', 'edge0'],
  ['/nodes', 'node-3'],
  ['/nodes/node-1', 'tap-web-1'],
  ['/pools', 'pool-a'],
  ['/domains', 'domain-1'],
  ['/events', 'nodeConnected'],
];

/** Goes to each page, and gathers what is wrong with it. */
export async function wrongWith(
  page: Page,
  browser: ConsoleBrowser,
  look: (page: Page) => Promise<string[]>,
): Promise<string[]> {
  const found: string[] = [];
  for (const [path, shows] of PAGES) {
    await page.goto(browser.url + path);
    await page.getByText(shows, { exact: false }).first().waitFor();
    found.push(...(await look(page)).map((line) => `${path}: ${line}`));
  }
  return found;
}
