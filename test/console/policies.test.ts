/**
 * Policies by clicking: each type is made in the form, its packets arrive, and what is refused
 * stands at its field.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { activeEventually, createPolicy, deletePolicy, policyStatus } from '../support/policy.ts';
import { ping } from '../support/traffic.ts';
import { onPage, useBrowser } from './support/browser.ts';
import { choose, make } from './support/policy-form.ts';

const lab = useLab();
const browser = useBrowser(lab);

const TYPES = [
  { type: 'virtual', name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0', from: 'web-1', to: 'app-1' },
  {
    type: 'virtual to physical',
    name: 'retain-db',
    sources: ['db-1/0'],
    destination: 'edge-1',
    vlanId: 100,
    from: 'db-1',
    to: 'fw-1',
    at: { host: 'mon-sw', filter: 'icmp' },
  },
  {
    type: 'physical',
    name: 'audit-branch',
    sources: ['edge-3'],
    destination: 'edge-1',
    vlanId: 200,
    from: 'pgw-3',
    to: 'phys-2',
    at: { host: 'mon-200', filter: 'icmp' },
  },
];
const PINGS = 20;

for (const { type, from, to, at, ...made } of TYPES) {
  test(`a policy of type ${type} is made by clicking, and the page counts what tcpdump counts`, async (t) => {
    await onPage(browser, {}, async (page) => {
      await make(page, made);
      t.after(() => deletePolicy(lab(), made.name));
      await activeEventually(lab(), made.name);
      const { host, filter } = at ?? { host: 'ids-1', filter: `icmp and host ${lab().address(from)}` };
      const capture = await lab().capture(host, 'eth0', { filter });
      await ping(lab(), from, to, PINGS);
      await until('the copies to be counted', async () => {
        const { totals } = await policyStatus(lab(), made.name);
        return totals.copied.packets >= 2 * PINGS;
      });
      await capture.waitFor(2 * PINGS);
      const { packets, dropped } = await capture.stop();
      assert.deepEqual([packets, dropped], [2 * PINGS, 0]);
      await page.getByText('active', { exact: true }).waitFor();
      await page.getByText(type, { exact: true }).waitFor();
      await page.getByRole('row', { name: `Copied ${2 * PINGS} 100.00 %` }).waitFor();
    });
  });
}

/** Opens the form of a policy at its last step. */
async function edit(page: Page, name: string): Promise<void> {
  await page.getByRole('link', { name: 'Edit' }).click();
  await page.getByRole('heading', { name: `Change ${name}` }).waitFor();
}

test('what the rules refuse stands at its field, with the words of the controller', async () => {
  await onPage(browser, { path: '/new-policy' }, async (page) => {
    await choose(page, 'Interfaces', 'web-1/0');
    const box = page.getByRole('textbox', { name: 'Paste a list' });
    await box.fill('nobody-1/0');
    await page.getByRole('button', { name: 'Add', exact: true }).click();
    await page.getByRole('button', { name: 'Next' }).click();
    await choose(page, 'Destination', 'edge-1');
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('textbox', { name: 'Mirror percent' }).fill('12.345');
    await page.getByText('12.345 is not a percentage: use 0 to 100 with at most two decimals').waitFor();
    await page.getByRole('textbox', { name: 'VLAN ID' }).fill('');
    await page.getByText('"edge-1" is an edge-connected interface: give a vlanId').first().waitFor();
    await page.getByRole('textbox', { name: 'VLAN ID' }).fill('999');
    await page.getByText('"edge-1" does not carry VLAN 999').first().waitFor();
    await page.getByRole('textbox', { name: 'Budget (Mbit/s)' }).fill('0');
    await page.getByText('0 is out of range: use 1 to 100000 Mbit/s').first().waitFor();
    await page.getByRole('button', { name: 'Next' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('IDS');
    await page.getByText('"IDS" is not a valid name').first().waitFor();
    const missing = page.getByRole('listitem').filter({ hasText: 'nobody-1/0' });
    await missing.getByRole('button', { name: 'Go to Sources' }).click();
    await page.getByRole('grid', { name: 'Sources' }).getByRole('row').filter({ hasText: 'nobody-1/0' }).waitFor();
    assert.equal((await lab().api('GET', '/api/v1/policies/IDS')).status, 404);
  });
});

test('an interface that cannot be chosen is grey, and the table says why', async () => {
  await createPolicy(lab(), { name: 'first', sources: ['web-1/0'], destination: 'ids-1/0', enabled: false });
  try {
    await onPage(browser, { path: '/new-policy' }, async (page) => {
      await page.getByRole('searchbox', { name: 'Filter' }).fill('web-1/0');
      const row = page.getByRole('grid', { name: 'Interfaces' }).getByRole('row').filter({ hasText: 'web-1/0' });
      await row.getByText('"web-1/0" is a source of policy "first"', { exact: false }).waitFor();
      assert.equal(await row.getByRole('checkbox').isDisabled(), true);
      assert.equal(await row.getAttribute('aria-disabled'), 'true');
    });
  } finally {
    await deletePolicy(lab(), 'first');
  }
});

test('when someone else has changed the policy, the form shows what, and keeps what was typed', async () => {
  await createPolicy(lab(), { name: 'shared', sources: ['web-1/0'], destination: 'ids-1/0', enabled: false });
  try {
    await onPage(browser, { path: '/policies/shared' }, async (page) => {
      await edit(page, 'shared');
      await page.getByRole('button', { name: 'Next' }).click();
      await page.getByRole('button', { name: 'Next' }).click();
      await page.getByText('The controller would accept this policy.').waitFor();
      await lab().api('PATCH', '/api/v1/policies/shared', { description: 'night shift' });
      // The next question to the controller meets the change.
      await page.getByRole('textbox', { name: 'Mirror percent' }).fill('10');
      await page.getByText('Someone else has changed this policy meanwhile').waitFor();
      await page.getByRole('row', { name: /^Description none night shift none/ }).waitFor();
      await page.getByRole('button', { name: 'Keep what I typed, on top of theirs' }).click();
      await page.getByRole('button', { name: 'Next' }).click();
      await page.getByText('The controller would accept this policy.').waitFor();
      await page.getByRole('button', { name: 'Save the changes' }).click();
      await page.getByRole('heading', { name: 'shared' }).waitFor();
      const { body } = await lab().api('GET', '/api/v1/policies/shared');
      assert.deepEqual([body.percent, body.description], [10, 'night shift']);
    });
  } finally {
    await deletePolicy(lab(), 'shared');
  }
});

test('a policy is switched off and on, cloned, and deleted with its name', async () => {
  await createPolicy(lab(), { name: 'old', sources: ['web-1/0'], destination: 'ids-1/0', percent: 25 });
  await onPage(browser, { path: '/policies/old' }, async (page) => {
    await page.getByRole('button', { name: 'Disable' }).click();
    await page.getByText('disabled', { exact: true }).waitFor();
    await page.getByRole('button', { name: 'Enable' }).click();
    await page.getByText('active', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'Clone' }).click();
    await page.getByRole('heading', { name: 'New mirror policy, begun as old' }).waitFor();
    await choose(page, 'Interfaces', 'web-2/0');
    await page.getByRole('button', { name: 'Review' }).click();
    await page.getByRole('textbox', { name: 'Name' }).fill('new');
    await page.getByRole('button', { name: 'Create the policy' }).click();
    await page.getByRole('heading', { name: 'new', exact: true }).waitFor();
    const { body } = await lab().api('GET', '/api/v1/policies/new');
    assert.deepEqual([body.sources, body.destination, body.percent], [['web-2/0'], 'ids-1/0', 25]);
    for (const name of ['new', 'old']) {
      await page.goto(`${browser.url}/policies/${name}`);
      await page.getByRole('button', { name: 'Delete' }).click();
      const dialog = page.getByRole('dialog', { name: `Delete ${name}?` });
      assert.equal(await dialog.getByRole('button', { name: 'Delete' }).isDisabled(), true);
      await dialog.getByRole('textbox', { name: 'Name of the policy' }).fill(name);
      await dialog.getByRole('button', { name: 'Delete' }).click();
      await page.getByRole('heading', { name: 'Mirror policies' }).waitFor();
      assert.equal((await lab().api('GET', `/api/v1/policies/${name}`)).status, 404);
    }
  });
});

test('a policy is made with the keyboard alone', async (t) => {
  await onPage(browser, {}, async (page) => {
    const press = async (...keys: string[]) => {
      for (const key of keys) {
        await page.keyboard.press(key);
      }
    };
    await page.getByRole('link', { name: 'New policy' }).first().focus();
    await press('Enter');
    await page.getByRole('searchbox', { name: 'Filter' }).focus();
    await page.keyboard.type('web-2/0');
    await page.getByText('1 in all').waitFor();
    await page.getByRole('grid', { name: 'Interfaces' }).focus();
    await press('Home', 'Space');
    await page.getByRole('heading', { name: '1 of at most 1,024 sources' }).waitFor();
    await page.getByRole('button', { name: 'Next' }).focus();
    await press('Enter');
    await page.getByRole('searchbox', { name: 'Filter' }).focus();
    await page.keyboard.type('mon-3/0');
    await page.getByText('1 in all').waitFor();
    await page.getByRole('grid', { name: 'Destination' }).focus();
    await press('Home', 'Enter');
    await page.getByText('Destination: mon-3/0').waitFor();
    for (const _ of [1, 2]) {
      await page.getByRole('button', { name: 'Next' }).focus();
      await press('Enter');
    }
    await page.getByRole('textbox', { name: 'Name' }).focus();
    await page.keyboard.type('by-keys');
    await page.getByText('The controller would accept this policy.').waitFor();
    await page.getByRole('button', { name: 'Create the policy' }).focus();
    await press('Enter');
    await page.getByRole('heading', { name: 'by-keys', exact: true }).waitFor();
    t.after(() => deletePolicy(lab(), 'by-keys'));
    await activeEventually(lab(), 'by-keys');
  });
});
