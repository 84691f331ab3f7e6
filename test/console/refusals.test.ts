/**
 * What the controller refuses of a policy stands at its field in the form, with the words of the
 * controller: a row for each code that a form can meet.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { createPolicy, deletePolicy } from '../support/policy.ts';
import { onPage, useBrowser } from './support/browser.ts';

const lab = useLab();
const browser = useBrowser(lab);
/** A VM of another communication domain. */
let foreign = '';
test('there is a VM of another communication domain', async () => {
  const { body } = await lab().api('GET', '/api/v1/interfaces?filter=domain:domain-2%20kind:vm&limit=1');
  foreign = body.items[0].id;
});

interface Case {
  code: string;
  /** A policy that is there before. */
  other?: Parameters<typeof createPolicy>[1];
  destination: string;
  /** Pasted when the destination is chosen already, so that nothing is greyed out. */
  sources: () => string[];
  /** Typed on the third step, by the label of its field. */
  typed?: Record<string, string>;
  name?: string;
  /** Where the refusal stands: the step, and what is around it there. */
  step: 'Sources' | 'Destination' | 'Copies' | 'Review';
  says: RegExp;
}

const COPIES = { destination: 'ids-1/0', sources: () => ['web-1/0'], step: 'Copies' } as const;
const CASES: Case[] = [
  {
    ...{ code: 'POLICY_SOURCE_NOT_FOUND', destination: 'ids-1/0', sources: () => ['nobody-1/0'], step: 'Sources' },
    says: /"nobody-1\/0"/,
  },
  {
    ...{ code: 'POLICY_SOURCE_IN_USE', destination: 'ids-1/0', sources: () => ['web-1/0'], step: 'Sources' },
    other: { name: 'owner', sources: ['web-1/0'], destination: 'ids-1/0', enabled: false },
    says: /is a source of policy "owner", which is disabled/,
  },
  {
    ...{
      code: 'POLICY_SOURCE_KINDS_MIXED',
      destination: 'edge-1',
      sources: () => ['web-2/0', 'edge-3'],
      step: 'Sources',
    },
    says: /is an edge-connected interface and "web-2\/0" is not/,
  },
  {
    ...{ code: 'POLICY_CROSS_DOMAIN', destination: 'ids-1/0', sources: () => [foreign], step: 'Sources' },
    says: /is in communication domain "domain-2"/,
  },
  {
    ...{
      code: 'POLICY_DESTINATION_IS_SOURCE',
      destination: 'ids-1/0',
      sources: () => ['ids-1/0'],
      step: 'Destination',
    },
    says: /"ids-1\/0" is also sources\[0\] of this policy/,
  },
  {
    ...{ code: 'POLICY_PHYSICAL_TO_VIRTUAL', destination: 'ids-1/0', sources: () => ['edge-3'], step: 'Destination' },
    says: /the source "edge-3" is an edge-connected interface/,
  },
  {
    ...{ code: 'POLICY_CYCLE', destination: 'web-1/0', sources: () => ['db-1/0'], step: 'Destination' },
    other: { name: 'there', sources: ['web-1/0'], destination: 'db-1/0', enabled: false },
    says: /copies would come back to their source/,
  },
  {
    ...{ ...COPIES, code: 'POLICY_PERCENT_INVALID', typed: { 'Mirror percent': '12.345' } },
    says: /12\.345 is not a percentage/,
  },
  {
    ...{ ...COPIES, code: 'POLICY_RATE_INVALID', typed: { 'Budget (Mbit/s)': '100001' } },
    says: /100001 is out of range/,
  },
  {
    ...{ ...COPIES, code: 'POLICY_VLAN_REQUIRED', destination: 'edge-1', typed: { 'VLAN ID': '' } },
    says: /is an edge-connected interface: give a vlanId/,
  },
  {
    ...{ ...COPIES, code: 'POLICY_VLAN_INVALID', destination: 'edge-1', typed: { 'VLAN ID': '4095' } },
    says: /4095/,
  },
  {
    ...{ ...COPIES, code: 'POLICY_VLAN_NOT_IN_TRUNK', destination: 'edge-1', typed: { 'VLAN ID': '999' } },
    says: /does not carry VLAN 999/,
  },
  { ...COPIES, code: 'POLICY_NAME_INVALID', name: 'IDS_1', step: 'Review', says: /"IDS_1" is not a valid name/ },
  {
    ...{ ...COPIES, code: 'ALREADY_EXISTS', name: 'taken', step: 'Review' },
    other: { name: 'taken', sources: ['app-1/0'], destination: 'ids-1/0', enabled: false },
    says: /policy "taken" exists already/,
  },
];

async function goTo(page: Page, step: Case['step']): Promise<void> {
  await page
    .getByRole('button', { name: new RegExp(`\\b${step}\\b`) })
    .first()
    .click();
}

/** Fills the form in. */
async function fill(page: Page, { destination, sources, typed = {}, name = 'made' }: Case): Promise<void> {
  await goTo(page, 'Destination');
  await page.getByRole('searchbox', { name: 'Filter' }).fill(destination);
  const grid = page.getByRole('grid', { name: 'Destination' });
  await grid.getByRole('row').filter({ hasText: destination }).first().getByRole('checkbox').check();
  await goTo(page, 'Sources');
  await page.getByRole('textbox', { name: 'Paste a list' }).fill(sources().join(' '));
  await page.getByRole('button', { name: 'Add', exact: true }).click();
  await goTo(page, 'Copies');
  for (const [label, value] of Object.entries(typed)) {
    await page.getByRole('textbox', { name: label }).fill(value);
  }
  await goTo(page, 'Review');
  await page.getByRole('textbox', { name: 'Name' }).fill(name);
}

for (const one of CASES) {
  const { code, other, step, says, name = 'made' } = one;
  test(`${code} stands at its field on the step "${step}", and nothing is created`, async () => {
    if (other) {
      await createPolicy(lab(), other);
    }
    try {
      await onPage(browser, { path: '/new-policy' }, async (page) => {
        await fill(page, one);
        assert.equal(await page.getByRole('button', { name: 'Create the policy' }).isDisabled(), true);
        await goTo(page, step);
        const main = page.getByRole('main');
        const place = {
          Sources: main
            .getByRole('region', { name: 'sources', exact: false })
            .or(main.getByRole('grid', { name: 'Sources' })),
          Destination: main.getByRole('region', { name: 'Destination' }),
          Copies: main.getByRole('region').filter({ has: page.getByRole('textbox', { name: 'Mirror percent' }) }),
          Review: main
            .locator('.mantine-InputWrapper-root')
            .filter({ has: page.getByRole('textbox', { name: 'Name' }) }),
        }[step];
        await place.getByText(says).first().waitFor();
      });
      const { status } = await lab().api('GET', `/api/v1/policies/${name}`);
      assert.equal(status, name === other?.name ? 200 : 404);
    } finally {
      if (other) {
        await deletePolicy(lab(), other.name);
      }
    }
  });
}
