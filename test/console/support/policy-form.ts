/** Makes policies in the form of the console, by clicking. */
import type { Page } from 'playwright-core';

/** Chooses a row of a table by its check box, after the server has filtered for it. */
export async function choose(page: Page, table: string, id: string): Promise<void> {
  await page.getByRole('searchbox', { name: 'Filter' }).fill(id);
  const row = page.getByRole('grid', { name: table, exact: true }).getByRole('row').filter({ hasText: id });
  await row.first().getByRole('checkbox').check();
}

export interface Made {
  name: string;
  sources: string[];
  destination: string;
  vlanId?: number;
}

/** Makes a policy in the four steps of the form. */
export async function make(page: Page, { name, sources, destination, vlanId }: Made): Promise<void> {
  await page.getByRole('link', { name: 'New policy' }).first().click();
  for (const id of sources) {
    await choose(page, 'Interfaces', id);
  }
  await page.getByRole('heading', { name: `${sources.length} of at most 1,024 sources` }).waitFor();
  await page.getByRole('button', { name: 'Next' }).click();
  await choose(page, 'Destination', destination);
  await page.getByRole('button', { name: 'Next' }).click();
  if (vlanId !== undefined) {
    await page.getByRole('textbox', { name: 'VLAN ID' }).fill(String(vlanId));
  }
  await page.getByRole('button', { name: 'Next' }).click();
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
  await page.getByText('The controller would accept this policy.').waitFor();
  await page.getByRole('button', { name: 'Create the policy' }).click();
  await page.getByRole('heading', { name, exact: true }).waitFor();
}
