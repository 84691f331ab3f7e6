/** The page of a policy's test: it runs by a button, and says where which size dies, in words. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import { useLab } from '../support/lab.ts';
import { activeEventually, createPolicy } from '../support/policy.ts';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';

const lab = useLab({ nodes: 2 });
const browser = useBrowser(lab);

test('the button on the page of a policy leads to its test, and the test shows each size at each hop', async () => {
  await createPolicy(lab(), { name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0' });
  await activeEventually(lab(), 'ids-web');
  await onPage(browser, { path: '/policies/ids-web' }, async (page) => {
    await page.getByRole('link', { name: 'Test', exact: true }).click();
    await page.getByText('This policy was not tested', { exact: false }).waitFor();
    assert.equal(page.url(), `${browser.url}/policies/ids-web/test`);
    await page.getByRole('button', { name: 'Run the test' }).click();
    await page.getByText('Copies of every size reach the destination.').waitFor();
    const rows = await page.getByRole('table', { name: 'Result' }).getByRole('row').allInnerTexts();
    assert.deepEqual(
      rows.slice(1).map((row) => row.split(/\s*\t\s*/).map((cell) => cell.replaceAll(/\s+/g, ' ').trim())),
      [
        ['node-1', 'node-2', 'small', '64 B', '1', '1', '1', '1', '✓ delivered'],
        ['node-1', 'node-2', 'full frame', '1.51 kB', '1', '1', '1', '1', '✓ delivered'],
        ['node-1', 'node-2', 'super-packet', '65.5 kB', '45', '45', '45', '45', '✓ delivered'],
      ],
    );
    assert.deepEqual(await axeViolations(page), []);
  });
});

test('a size that dies is marked by a sign and words, with what to do, and stays there for who comes later', async () => {
  await lab().exec('node-2', ['ip', 'link', 'set', 'tap-ids-1', 'down']);
  await onPage(browser, { path: '/policies/ids-web/test' }, async (page) => {
    await page.getByText('Copies of every size reach the destination.').waitFor();
    const told = page.getByText('Copies of some sizes do not reach the destination.');
    // A policy is tested again only some seconds after its last test.
    await until('the policy may be tested again', async () => {
      await page.getByRole('button', { name: 'Run the test' }).click();
      await page.getByText('TESTS_EXCEEDED').or(told).first().waitFor();
      return told.isVisible();
    });
    const cells = page.getByRole('cell', { name: 'died on the node of the destination' });
    assert.equal(await cells.count(), 3);
    assert.equal(await page.getByText('PROBE_DESTINATION_DOWN', { exact: true }).count(), 1);
    assert.deepEqual(await axeViolations(page), []);
  });
  await onPage(browser, { path: '/policies/ids-web/test', colorScheme: 'dark' }, async (page) => {
    await page.getByText('PROBE_DESTINATION_DOWN', { exact: true }).waitFor();
    assert.deepEqual(await axeViolations(page), []);
  });
});

test('a test that is refused says why', async () => {
  await lab().api('PATCH', '/api/v1/policies/ids-web', { enabled: false });
  await onPage(browser, { path: '/policies/ids-web/test' }, async (page) => {
    await page.getByRole('button', { name: 'Run the test' }).click();
    await page.getByRole('alert').getByText('POLICY_NOT_TESTABLE').waitFor();
  });
});
