/**
 * Charts of nodes and destinations: rates of real traffic, the same as a table, a range that is in
 * the address, and gaps where the controller knows nothing. Books whose parts add up.
 */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { after, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { activeEventually, createPolicy, policyStatus } from '../support/policy.ts';
import { onPage, useBrowser } from './support/browser.ts';

const lab = useLab();
const browser = useBrowser(lab);
let traffic: ChildProcess | undefined;
after(() => traffic?.kill());

test('a policy copies pings from one node to another', async () => {
  await createPolicy(lab(), { name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0' });
  await activeEventually(lab(), 'ids-web');
  traffic = lab().spawn('web-1', ['ping', '-q', '-i', '0.02', lab().address('app-1')], { stdio: 'ignore' });
  await until('copies', async () => (await policyStatus(lab(), 'ids-web')).totals.copied.packets > 100, {
    limitMs: 60_000,
  });
});

/** Shows a chart as a table, and waits until a column has a number above 0. */
async function risesIn(page: Page, title: string, column: string): Promise<void> {
  const figure = page.getByRole('figure', { name: title, exact: true });
  await figure.getByRole('button', { name: 'Show as a table' }).click();
  const heads = await figure.getByRole('columnheader').allTextContents();
  const cells = figure.locator(`tbody td:nth-child(${heads.indexOf(column) + 1})`);
  await until(
    `${column} in ${title}`,
    async () => (await cells.allTextContents()).some((cell) => Number.parseFloat(cell) > 0),
    { limitMs: 30_000 },
  );
}

test('a node shows what it copied and sent, and the address keeps the range', async () => {
  const [node] = (await lab().api('GET', '/api/v1/interfaces/web-1%2F0')).body.devices;
  await onPage(browser, { path: `/nodes/${node.node}` }, async (page) => {
    await risesIn(page, 'Packets a second', 'Copied');
    await risesIn(page, 'Rate of copies, bit/s', 'Sent to other nodes');
    await page.getByText('Last hour').click();
    await page.waitForURL(/range=hour/);
    await page.reload();
    assert.equal(await page.getByRole('radio', { name: 'Last hour' }).isChecked(), true);
  });
});

test('a destination shows what it gets, and from which policies', async () => {
  await onPage(browser, { path: '/interfaces/ids-1%2F0' }, async (page) => {
    const received = page.getByRole('region', { name: 'Copies that it gets as a destination' });
    await received.getByRole('link', { name: 'ids-web' }).waitFor();
    await risesIn(page, 'Copies delivered a second', 'Delivered');
  });
  await onPage(browser, { path: '/interfaces/web-1%2F0' }, async (page) => {
    await page.getByRole('heading', { name: 'Who can see this interface' }).waitFor();
    await page.getByRole('link', { name: 'ids-web' }).first().waitFor();
    assert.equal(await page.getByText('Copies that it gets as a destination').count(), 0);
  });
});

test('sent is delivered, lost, and what is still on its way', async () => {
  await onPage(browser, { path: '/policies/ids-web' }, async (page) => {
    const books = page.getByRole('region', { name: 'What became of the copies between nodes' });
    await books.getByRole('row', { name: /^Sent/ }).waitFor();
    const numbers = async (): Promise<Record<string, number>> =>
      Object.fromEntries(
        await Promise.all(
          (await books.locator('tbody tr').all()).map(async (row) => {
            const [name, packets] = [row.getByRole('rowheader'), row.getByRole('cell').first()];
            return [(await name.textContent())!.trim(), Number((await packets.textContent())!.replaceAll(',', ''))];
          }),
        ),
      );
    await until('the sum', async () => {
      const { Sent, ...parts } = await numbers();
      const sum = Object.values(parts).reduce((all, one) => all + one, 0);
      return Sent! > 100 && parts.Delivered! > 100 && sum === Sent;
    });
  });
});

test('a part of the books leads to its packets, by keys too', async () => {
  await onPage(browser, { path: '/policies/ids-web' }, async (page) => {
    const part = page.getByRole('region', { name: 'What became of the packets' }).getByRole('link', { name: 'Copied' });
    await part.focus();
    await page.keyboard.press('Enter');
    await page.waitForURL(/\/packets\?.*policy=ids-web.*fates=copied|\/packets\?.*fates=copied.*policy=ids-web/);
  });
});

test('what the controller does not know is a gap, and no 0', async () => {
  await lab().stopController();
  await lab().startController();
  await activeEventually(lab(), 'ids-web');
  await onPage(browser, { path: '/policies/ids-web' }, async (page) => {
    await risesIn(page, 'Copies a second', 'Copied');
    const figure = page.getByRole('figure', { name: 'Copies a second' });
    await figure.getByText('unknown').first().waitFor({ state: 'attached' });
  });
});
