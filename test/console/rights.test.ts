/**
 * What one may not do is grey with the reason, and a policy of two owners is in force when both have
 * agreed.
 */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Grant } from '@mirrorplane/contract';
import type { Locator, Page } from 'playwright-core';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { ControllerHost } from './support/controller-host.ts';
import { asHolder, must, twoPools } from './support/holder.ts';
import { make } from './support/policy-form.ts';

let host: ControllerHost;
before(async () => {
  host = await ControllerHost.start();
  await twoPools(host, { 'tool/0': 'east', 'app/0': 'east', 'web/0': 'west' });
  await must(host, 'POST', '/api/v1/policies', { name: 'own', sources: ['app/0'], destination: 'tool/0' });
});
after(() => host?.close());
const browser = useBrowser(() => host);

const as = (name: string, grants: Grant[], work: (page: Page) => Promise<void>) =>
  asHolder(host, browser, name, grants, work);

/** Who reads everything, and makes policies in one pool. */
const ownerOf = (pool: string): Grant[] => [{ role: 'viewer' }, { role: 'operator', scope: { pools: [pool] } }];

/** What a reader says of a control behind its name, and whether it can be used. */
async function saidOf(page: Page, control: Locator): Promise<[disabled: string | null, reason: string]> {
  const id = await control.getAttribute('aria-describedby');
  const reason = id === null ? '' : await page.locator(`[id="${id}"]`).textContent();
  return [await control.getAttribute('aria-disabled'), reason ?? ''];
}

const MISSING =
  'You need the right "policy", which these roles have: operator, admin. Who has the right "access" can grant it.';

test('a viewer sees what one may not do in grey, with the right that is missing', async () => {
  await as('viewer', [{ role: 'viewer' }], async (page) => {
    const create = page.getByRole('button', { name: 'New policy' });
    assert.deepEqual(await saidOf(page, create), ['true', MISSING]);
    // As by the keyboard: after a click alone, focus that a script gives shows nothing.
    await page.keyboard.press('Tab');
    await create.focus();
    await page.getByRole('tooltip').filter({ hasText: MISSING }).waitFor();
    await page.keyboard.press('Enter');
    assert.equal(new URL(page.url()).pathname, '/');
    await create.blur();
    await page.getByRole('tooltip').waitFor({ state: 'detached' });
    const [disabled, reason] = await saidOf(page, page.getByRole('link', { name: 'Users' }));
    assert.deepEqual([disabled, reason.includes('the right "access", which these roles have: admin')], ['true', true]);
    assert.deepEqual(await axeViolations(page), []);

    await page.getByRole('grid', { name: 'Mirror policies' }).getByRole('link', { name: 'own' }).click();
    for (const name of ['Disable', 'Edit', 'Clone', 'Delete']) {
      assert.deepEqual(await saidOf(page, page.getByRole('button', { name })), ['true', MISSING], name);
    }
    await page.getByRole('link', { name: 'Resource pools' }).click();
    const row = page.getByRole('row').filter({ hasText: 'west' });
    assert.equal((await saidOf(page, row.getByRole('button', { name: 'Delete' })))[0], 'true');
    assert.deepEqual(await axeViolations(page), []);
  });
  await onPage(browser, { path: '/policies/own' }, async (page) => {
    await page.getByRole('link', { name: 'Edit' }).waitFor();
    assert.equal(await page.locator('[aria-disabled=true]').count(), 0, 'nothing is grey for an administrator');
  });
});

test('a policy of two owners waits, is seen by who can consent, and is in force with the consent', async () => {
  const waiting = (page: Page) => page.getByRole('region', { name: 'Waits for consent' });
  await as('east', ownerOf('east'), async (east) => {
    await make(east, { name: 'tap', sources: ['web/0'], destination: 'tool/0' });
    await east.getByText('waits for approval', { exact: true }).waitFor();
    const approve = east.getByRole('button', { name: 'Approve' });
    await east.setViewportSize({ width: 1280, height: 500 });
    const isCut = await east
      .getByRole('alert')
      .filter({ has: approve })
      .evaluate(({ scrollHeight, clientHeight }) => scrollHeight > clientHeight + 1);
    assert.ok(!isCut, 'the panel of the consent is seen as a whole');
    await east
      .getByText('None of the missing consent is yours to give', { exact: false })
      .first()
      .waitFor({ state: 'attached' });
    assert.match((await saidOf(east, approve)).join(), /^true,None .* can: mirror\.$/);
    await east.getByRole('link', { name: 'Overview' }).click();
    await waiting(east).getByText('0 of 1 wait for you').waitFor();

    await as('west', ownerOf('west'), async (west) => {
      await waiting(west).getByText('1 of 1 wait for you').waitFor();
      assert.deepEqual(await axeViolations(west), []);
      await west.goto(`${browser.url}/policies/own`);
      const edit = west.getByRole('button', { name: 'Edit' });
      await west.getByText('does not hold for policy/own', { exact: false }).first().waitFor({ state: 'attached' });
      assert.match((await saidOf(west, edit)).join(), /^true,Your right "policy" does not hold for policy\/own\./);
      await west.getByRole('link', { name: 'Mirror policies' }).click();
      await west.getByRole('switch', { name: 'Waits for consent' }).check();
      await west.getByText('1 in all').waitFor();
      await west.getByRole('link', { name: 'tap', exact: true }).click();
      await west.getByRole('button', { name: 'Approve' }).click();
      await west.getByText('Approved', { exact: true }).waitFor();
      await west.getByText('waiting', { exact: true }).waitFor();
      assert.equal(await west.getByText('waits for approval', { exact: true }).count(), 0);
    });
    await waiting(east).waitFor({ state: 'detached' });
    await east.goto(`${browser.url}/policies?q=consent:waits`);
    await east.getByText('The filter hides everything.').waitFor();
  });
});
