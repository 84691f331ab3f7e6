/** The audit log in the console: pages, filter, what was before, the chain, and all lines as a file. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { ROOT } from '../../packaging/paths.ts';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { ControllerHost } from './support/controller-host.ts';
import { must } from './support/holder.ts';

/** Changes: more than a page of the log has. */
const CHANGES = 110;

let host: ControllerHost;
before(async () => {
  host = await ControllerHost.start();
  for (let at = 1; at <= CHANGES; at++) {
    await must(host, 'PUT', '/api/v1/domains/blue', { description: `number ${at}.` });
  }
  await must(host, 'PUT', '/api/v1/domains/green', {});
  assert.equal((await host.api('DELETE', '/api/v1/domains/red')).status, 404);
});
after(() => host?.close());
const browser = useBrowser(() => host);

test('the log is read page by page, filtered by the server, and says what was before and after', async () => {
  await onPage(browser, { path: '/audit' }, async (page) => {
    const rows = page.getByRole('main').locator('tbody tr');
    await page.getByRole('cell', { name: 'domains/green' }).waitFor();
    assert.equal(await rows.count(), 100);
    assert.equal(await page.getByText('number 1.', { exact: false }).count(), 0, 'on the next page');
    await page.getByRole('button', { name: 'Older entries' }).click();
    await rows.filter({ hasText: /number 1\..*number 2\./ }).waitFor();

    await page.getByRole('searchbox').fill('resource:domains/blue number 7.');
    await rows.filter({ hasText: /number 7\..*number 8\./ }).waitFor();
    await rows.filter({ hasText: 'domains/green' }).waitFor({ state: 'detached' });
    assert.match(page.url(), /q=resource%3Adomains%2Fblue/);
    await page.getByRole('searchbox').fill('outcome:refused resource:domains/red');
    await rows.getByText('NOT_FOUND').waitFor();
    assert.equal(await rows.count(), 1);
    assert.deepEqual(await axeViolations(page), []);
  });
});

test('the chain is checked on demand, and the file of all lines is verified without the controller', async () => {
  await onPage(browser, { path: '/audit' }, async (page) => {
    await page.getByRole('button', { name: 'Check now' }).click();
    await page.getByText('As it was written up to entry', { exact: false }).waitFor();
    const downloading = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download all lines' }).click();
    const download = await downloading;
    assert.equal(download.suggestedFilename(), 'audit.jsonl');
    const file = await download.path();
    assert.match(readFileSync(file, 'utf8'), /"domains\/green"/);
    const verify = ['audit', 'verify', file, '--authority', join(host.data, 'ca.crt')];
    const { stdout } = await promisify(execFile)(join(ROOT, 'bin/mirrorplane'), verify);
    assert.match(stdout, /as it was written/i);
  });
});
