/**
 * What holds everywhere: dialogs, colours of the system, twice the size, addresses of the command
 * line, and parts that an upgrade has taken away.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Page } from 'playwright-core';
import { ROOT } from '../../packaging/paths.ts';
import { useLab } from '../support/lab.ts';
import { axeViolations, onPage, useBrowser } from './support/browser.ts';
import { createTwo, wrongWith } from './support/pages.ts';
import { foreignWords, unreachable } from './support/walk.ts';

const lab = useLab();
const browser = useBrowser(lab);

test('two policies are in force, for the pages to show', () => createTwo(lab()));

/** Opens each dialog of a page by its button, and gathers what is wrong with it. */
async function wrongDialogs(page: Page): Promise<string[]> {
  const found: string[] = [];
  const openers = page.locator('main button[aria-haspopup=dialog]');
  // Those of the first row of a table are as those of all others.
  const names = new Set(await openers.evaluateAll((all) => all.map((one) => one.textContent!)));
  for (const name of names) {
    const opener = openers.filter({ hasText: name }).first();
    await opener.click();
    const dialog = page.getByRole('dialog').first();
    await dialog.waitFor();
    // Mantine fades dialogs in, and colours are judged as they are seen.
    await page.waitForFunction(() => document.getAnimations().every(({ playState }) => playState !== 'running'));
    const wrong = [...(await axeViolations(page)), ...(await foreignWords(page))];
    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    const isBack = await opener.evaluate((element) => document.activeElement === element);
    found.push(
      ...wrong.map((line) => `${name}: ${line}`),
      ...(isBack ? [] : [`${name}: the focus does not come back`]),
    );
  }
  return found;
}

test('dialogs have words of the catalogue, obey the rules of accessibility, and give the focus back', async () => {
  let seen = 0;
  const look = async (page: Page) => {
    seen += await page.locator('main button[aria-haspopup=dialog]').count();
    return wrongDialogs(page);
  };
  await onPage(browser, { locale: 'pseudo', reducedMotion: 'reduce' }, async (page) => {
    assert.deepEqual(await wrongWith(page, browser, look), []);
  });
  assert.ok(seen >= 8, `${seen} dialogs`);
});

/** What is wider than the window, and would have to be scrolled to be read. */
async function tooWide(page: Page): Promise<string[]> {
  return page.evaluate(() =>
    [document.documentElement, document.querySelector('main')!]
      .filter((element) => element.scrollWidth > element.clientWidth + 1)
      .map((element) => `${element.tagName} has ${element.scrollWidth} pixels of ${element.clientWidth}`),
  );
}

test('no page has to be scrolled sideways at twice the size, with longer words too', async () => {
  const viewport = { width: 720, height: 450 };
  await onPage(browser, { viewport, locale: 'pseudo' }, async (page) => {
    assert.deepEqual(await wrongWith(page, browser, tooWide), []);
  });
});

test('with the colours of the system every state is still said, and every control is reached', async () => {
  const look = async (page: Page) => {
    const wordless = await page.evaluate(() =>
      [...document.querySelectorAll('main span[data-tone]')]
        .filter((mark) => mark.closest('[aria-hidden]') === null && !/[\p{L}\d]/u.test(mark.textContent!))
        .map((mark) => mark.outerHTML.slice(0, 100)),
    );
    return [...wordless, ...(await axeViolations(page)), ...(await unreachable(page))];
  };
  await onPage(browser, { forcedColors: 'active' }, async (page) => {
    for (const [path, shows] of [
      ['/policies', 'retain-db'],
      ['/policies/ids-web', 'Copied'],
      ['/nodes', 'node-1'],
    ] as const) {
      await page.goto(browser.url + path);
      await page.getByText(shows, { exact: false }).first().waitFor();
      assert.deepEqual(await look(page), [], path);
    }
  });
});

test('a part that an upgrade has taken away is loaded by one reload, and else the page says so', async () => {
  await onPage(browser, {}, async (page) => {
    await page.getByRole('banner').getByText('Live').waitFor();
    let [loads, isGone] = [0, true];
    page.on('load', () => {
      loads += 1;
    });
    await page.route('**/assets/nodes-*.js', (route) => (isGone ? route.fulfill({ status: 404 }) : route.continue()));
    await page.getByRole('link', { name: 'Nodes', exact: true }).click();
    await page.getByRole('heading', { name: 'The page failed' }).waitFor();
    assert.equal(loads, 1, 'it was loaded again once');
    isGone = false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('grid', { name: 'Nodes' }).waitFor();
    assert.equal(loads, 2);
  });
});

test('mirrorplane console prints an address that signs in once', async () => {
  const env = { ...process.env, MIRRORPLANE_TOKEN_FILE: lab().tokenFile, MIRRORPLANE_URL: browser.url };
  const address = execFileSync(join(ROOT, 'bin/mirrorplane'), ['console'], { env, encoding: 'utf8' }).trim();
  const [path, fragment] = address.slice(browser.url.length).split('#');
  await onPage(browser, { path: `${path}#${fragment}`, signedIn: false }, async (page) => {
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    await until('the ticket to be gone from the address', async () => page.url() === `${browser.url}/`);
  });
});
