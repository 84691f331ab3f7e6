/** Finding a fault by clicking: the sentence is that of the fault that was made, and of none. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaultTopology } from '@mirrorplane/lab';
import type { Page } from 'playwright-core';
import { countedByRule, FAULTS, say, withFault, withService } from '../support/faults.ts';
import { useLab } from '../support/lab.ts';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { foreignWords, unreachable } from './support/walk.ts';

const lab = useLab({ topology: defaultTopology({ nodes: 2, switch: false }) });
const browser = useBrowser(lab);
/** Milliseconds that a finding of six seconds may take on a loaded machine. */
const FOUND_MS = 60_000;

/** From the page of an interface: chooses the other end, looks while something is said, and waits. */
async function find(page: Page): Promise<void> {
  await page.getByRole('link', { name: 'Find a fault from here' }).click();
  await page.getByRole('combobox', { name: 'To' }).fill('db-1');
  await page.getByRole('option', { name: 'db-1/0' }).click();
  await page.getByRole('textbox', { name: 'Seconds' }).fill('6');
  await page.getByRole('button', { name: 'Look', exact: true }).click();
  await page.getByText(/^Looking: \d+ s left/).waitFor({ timeout: FOUND_MS });
  await say(lab(), 150, 400, 0.01);
  await page.locator('[data-cause]').waitFor({ timeout: FOUND_MS });
}

test('says that nothing was lost, with the conversation, and lists it with the newest', async () => {
  await withService(lab(), () =>
    onPage(browser, { path: '/interfaces/web-1%2F0' }, async (page) => {
      await find(page);
      await page
        .locator('[data-cause=nothingLost]')
        .getByText(/^nothing was lost between "web-1\/0"/)
        .waitFor();
      await page.getByRole('region', { name: 'Conversations' }).getByText('1 accepted, 0 refused of 1').waitFor();
      await page.getByRole('region', { name: 'Newest findings' }).getByText('web-1/0 → db-1/0').waitFor();
    }),
  );
});

test('names the node and the rule, lists each packet that was lost, and keeps the rules of accessibility', async () => {
  await withService(lab(), () =>
    withFault(lab(), FAULTS.lossAtReceiver, () =>
      onPage(browser, { path: '/interfaces/web-1%2F0' }, async (page) => {
        await find(page);
        const dropped = await countedByRule(lab(), FAULTS.lossAtReceiver);
        assert.ok(dropped > 0);
        const sentence = new RegExp(`^${dropped} of \\d+ segments .* were dropped on node "node-2" by a rule`);
        await page.locator('[data-cause=filtered]').getByText(sentence).waitFor();
        const packets = page.getByRole('region', { name: 'Packet by packet' }).getByRole('row');
        assert.equal(await packets.count(), dropped + 1);
        await packets.nth(1).getByRole('link').click();
        const packet = page.getByRole('region', { name: /^Packet \d/ });
        await packet.getByText('dropped by a rule').first().waitFor();
        await page.goBack();
        await page.locator('[data-cause=filtered]').waitFor();
        assert.deepEqual(await axeViolations(page), []);
        await page.evaluate(() => localStorage.setItem('mirrorplane.locale', 'pseudo'));
        await page.reload();
        await page.locator('[data-cause=filtered]').waitFor();
        assert.deepEqual([...(await foreignWords(page)), ...(await unreachable(page))], []);
      }),
    ),
  );
});
