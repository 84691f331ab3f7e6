/** A browser at which somebody has signed in who has some grants. */
import assert from 'node:assert/strict';
import type { Grant } from '@mirrorplane/contract';
import type { Page } from 'playwright-core';
import { type ConsoleBrowser, type ConsoleHost, onPage } from './browser.ts';

/** What the controller answers to a request that it does not refuse. */
export async function must(
  host: ConsoleHost,
  method: string,
  path: string,
  body: unknown,
): Promise<Record<string, string>> {
  const answer = await host.api(method, path, body);
  assert.ok(answer.status < 300, JSON.stringify(answer));
  return answer.body as Record<string, string>;
}

/** Runs `work` on the overview of somebody who has signed in with a token with these grants. */
export async function asHolder(
  host: ConsoleHost,
  browser: ConsoleBrowser,
  name: string,
  grants: readonly Grant[],
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const { token } = await must(host, 'POST', '/api/v1/tokens', { name, grants, expiresAt: 'never' });
  await onPage(browser, { signedIn: false }, async (page) => {
    await page.getByRole('button', { name: 'Sign in with a token' }).click();
    await page.getByLabel('Token', { exact: true }).fill(token!);
    await page.getByRole('button', { name: 'Sign in', exact: true }).click();
    await page.getByRole('navigation').waitFor();
    await work(page);
  });
}

/** The communication domain blue with the resource pools east and west, and VMs in them. */
export async function twoPools(host: ConsoleHost, vms: Readonly<Record<string, 'east' | 'west'>>): Promise<void> {
  await must(host, 'PUT', '/api/v1/domains/blue', {});
  for (const pool of ['east', 'west']) {
    await must(host, 'PUT', `/api/v1/pools/${pool}`, { domain: 'blue' });
  }
  for (const [id, pool] of Object.entries(vms)) {
    await must(host, 'PUT', `/api/v1/interfaces/${encodeURIComponent(id)}`, { kind: 'vm', pool });
  }
}
