/**
 * Every page as others than an administrator see it: the controller refuses nothing that a page asks
 * for by itself, and what one may not use says why.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Grant } from '@mirrorplane/contract';
import type { Page, Request } from 'playwright-core';
import { axeViolations, useBrowser } from './support/browser.ts';
import { ControllerHost } from './support/controller-host.ts';
import { asHolder, must, twoPools } from './support/holder.ts';

let host: ControllerHost;
before(async () => {
  host = await ControllerHost.start();
  await twoPools(host, { 'tool/0': 'east', 'app/0': 'east', 'app/1': 'east', 'web/0': 'west', 'ids/0': 'west' });
  await must(host, 'PUT', '/api/v1/nodes/node-1', { pool: 'east' });
  await must(host, 'POST', '/api/v1/policies', { name: 'own', sources: ['app/0'], destination: 'tool/0' });
  await must(host, 'POST', '/api/v1/policies', { name: 'mixed', sources: ['app/1', 'web/0'], destination: 'ids/0' });
});
after(() => host?.close());
const browser = useBrowser(() => host);

/** Each page, its heading, and the right without which it says why it shows nothing else. */
const PAGES: [path: string, heading: string, needs?: string][] = [
  ['/', 'Overview', 'read'],
  ['/policies', 'Mirror policies', 'read'],
  ['/policies/own', 'own', 'read'],
  ['/policies/own?tab=sources', 'own', 'read'],
  ['/policies/own?tab=events', 'own', 'read'],
  ['/policies/own/test', 'Test of own', 'read'],
  ['/policies/own/edit', 'Change own', 'policy'],
  ['/policies/mixed', 'mixed', 'read'],
  ['/policies/mixed?tab=sources', 'mixed', 'read'],
  ['/policies/mixed/test', 'Test of mixed', 'read'],
  ['/policies/mixed/edit', 'Change mixed', 'policy'],
  ['/new-policy?step=2', 'New mirror policy', 'policy'],
  ['/interfaces', 'Interfaces', 'read'],
  ['/interfaces/app%2F0', 'app/0', 'read'],
  ['/destinations', 'Destinations', 'read'],
  ['/nodes', 'Nodes', 'read'],
  ['/nodes/node-1', 'node-1', 'read'],
  ['/pools', 'Resource pools', 'read'],
  ['/domains', 'Communication domains', 'read'],
  ['/packets?policy=own', 'Packets', 'packets'],
  ['/events', 'Events', 'read'],
  ['/findings?from=app%2F0', 'Find a fault', 'packets'],
  ['/audit', 'Audit log', 'audit'],
  ['/users', 'Users', 'access'],
  ['/tokens', 'API tokens'],
  ['/account', 'Your account'],
  ['/device', 'Confirm a login'],
];

/** A policy that was not tested has no result, which is no refusal. */
const UNTESTED = /^404 .*\/test$/;

/** Goes to a page of the same tab, and waits until it has all that it asks for. */
async function goTo(page: Page, path: string, heading: string, open: ReadonlySet<Request>): Promise<void> {
  await page.evaluate((to) => {
    history.pushState({}, '', to);
    dispatchEvent(new PopStateEvent('popstate'));
  }, path);
  const main = page.getByRole('main');
  await until(`${path}: "${heading}", and its answers`, async () => {
    const shown = await main.locator('h1').allTextContents();
    return shown.join() === heading && open.size === 0 && (await main.getByText('Loading…').count()) === 0;
  });
}

/** Looks at all pages. Returns what was refused, and which pages do not say why they are empty. */
async function walk(page: Page, rights: readonly string[]): Promise<string[]> {
  const open = new Set<Request>();
  const wrong: string[] = [];
  let at = '/';
  page.on('request', (request) => request.url().includes('/api/v1/stream') || open.add(request));
  page.on('requestfailed', (request) => open.delete(request));
  page.on('requestfinished', (request) => open.delete(request));
  page.on('response', (response) => {
    const said = `${response.status()} ${response.url().replace(browser.url, '')}`;
    if (response.status() >= 400 && !UNTESTED.test(said)) {
      wrong.push(`${at}: ${said}`);
    }
  });
  for (const [path, heading, needs] of PAGES) {
    at = path;
    const lacks = ['read', needs].find((right) => right !== undefined && !rights.includes(right));
    const isRefused = needs !== undefined && lacks !== undefined;
    await goTo(page, path, lacks === 'read' && isRefused ? '' : heading, open);
    const alerts = await page.getByRole('main').getByRole('alert').allTextContents();
    const says = isRefused && (await page.getByRole('main').getByText(`You need the right "${lacks}"`).count()) === 0;
    wrong.push(
      ...[...alerts, ...(says ? [`does not say that "${lacks}" is missing`] : [])].map((one) => `${path}: ${one}`),
    );
  }
  return wrong;
}

const ROLES: [name: string, grants: Grant[], rights: string[]][] = [
  ['viewer', [{ role: 'viewer' }], ['read']],
  ['observer', [{ role: 'observer' }], ['read', 'packets']],
  ['auditor', [{ role: 'auditor' }], ['read', 'audit']],
  ['operator-of-a-pool', [{ role: 'operator', scope: { pools: ['east'] } }], ['read', 'policy']],
  ['metrics', [{ role: 'metrics' }], []],
];

for (const [name, grants, rights] of ROLES) {
  test(`as ${name}, no page asks for what is refused, and each says what one lacks`, async () => {
    await asHolder(host, browser, name, grants, async (page) => {
      assert.deepEqual(await walk(page, rights), []);
      assert.deepEqual(await axeViolations(page), []);
    });
  });
}
