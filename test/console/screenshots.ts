/**
 * `make screenshots`: the pages of the console with live data of a lab, light and dark, into
 * docs/img. Names of pictures as arguments: only these.
 */
import assert from 'node:assert/strict';
import { mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '@mirrorplane/base';
import type { Role } from '@mirrorplane/contract';
import { createLab, type Lab } from '@mirrorplane/lab';
import type { Page } from 'playwright-core';
import { ROOT } from '../../packaging/paths.ts';
import { FAULTS, say, withFault, withService } from '../support/faults.ts';
import { findWhile } from '../support/finding.ts';
import { activeEventually, createPolicy, policyStatus } from '../support/policy.ts';
import { ConsoleBrowser } from './support/browser.ts';

const FOLDER = join(ROOT, 'docs/img');
const SIZE = { width: 1280, height: 800 };
/** Bytes of one picture at most: they are part of the repository. */
const MOST = 150_000;

interface Picture {
  name: string;
  path: string;
  /** What has to be seen before the picture is taken. */
  shows: string;
  /** Name of the section that is scrolled to. */
  section?: string;
  /** Makes the page show it. */
  prepare?(page: Page): Promise<void>;
}

const PICTURES: Picture[] = [
  { name: 'overview', path: '/', shows: 'audit-branch' },
  { name: 'policies', path: '/policies', shows: 'audit-branch' },
  { name: 'policy', path: '/policies/ids-web', shows: 'Rate of copies, bit/s' },
  { name: 'policy-sources', path: '/policies/ids-web?tab=sources', shows: 'web-2/0' },
  { name: 'policy-test', path: '/policies/ids-web/test', shows: 'super-packet' },
  { name: 'form-sources', path: '/policies/ids-web/edit', shows: 'web-2/0' },
  { name: 'form-copies', path: '/policies/retain-db/edit?step=3', shows: 'The edge allows' },
  { name: 'form-review', path: '/policies/ids-web/edit?step=4', shows: 'The controller would accept this policy.' },
  { name: 'interfaces', path: '/interfaces', shows: 'web-1/0' },
  { name: 'interface', path: '/interfaces/web-1%2F0', shows: 'tap-web-1' },
  { name: 'destination', path: '/interfaces/ids-1%2F0', shows: 'Copies delivered a second', section: 'History' },
  { name: 'destinations', path: '/destinations', shows: 'edge-1' },
  { name: 'nodes', path: '/nodes', shows: 'node-4' },
  { name: 'node', path: '/nodes/node-1', shows: 'tap-web-1' },
  { name: 'node-history', path: '/nodes/node-1', shows: 'Packets a second', section: 'History' },
  { name: 'pools', path: '/pools', shows: 'pool-a' },
  { name: 'domains', path: '/domains', shows: 'domain-1' },
  { name: 'packets-form', path: '/packets?policy=ids-web', shows: 'Look at packets' },
  { name: 'packets', path: '/packets', shows: 'Internet Control Message Protocol', prepare: lookAtPackets },
  { name: 'events', path: '/events', shows: 'policyCreated' },
  { name: 'audit', path: '/audit', shows: 'policies/' },
  { name: 'consent', path: '/policies/tap-firewall', shows: 'Needs the right "mirror"' },
  { name: 'users', path: '/users', shows: 'operator:pool=pool-b' },
  { name: 'tokens', path: '/tokens', shows: 'nightly-report' },
  { name: 'account', path: '/account', shows: 'Grants' },
];

/** A finding of a rule that drops, with packets that it has lost. */
async function finding(lab: Lab): Promise<Picture> {
  const pair = { from: 'web-1/0', to: 'db-1/0', seconds: 6 };
  await withService(lab, () =>
    withFault(lab, FAULTS.lossAtReceiver, () => findWhile(lab, pair, () => say(lab, 200, 400, 0.01))),
  );
  const { body } = await lab.api('GET', '/api/v1/findings');
  const search = new URLSearchParams({ from: pair.from, to: pair.to, id: body.items[0].id });
  return { name: 'finding', path: `/findings?${search}`, shows: 'were dropped on node' };
}

/** A look at both ends of a ping, with the fields of a packet. */
async function lookAtPackets(page: Page): Promise<void> {
  const body = { interfaces: ['web-1/0', 'app-1/0'], words: 'icmp' };
  const { body: look } = await lab.api('POST', '/api/v1/looks', body);
  await page.goto(`${browser.url}/packets?look=${(look as { id: string }).id}`);
  const list = page.getByRole('grid', { name: 'Packets of the look' });
  await until('packets', async () => Number(await list.getAttribute('aria-rowcount')) > 60, { limitMs: 30_000 });
  await list.focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
}

/** Policies of each type, with traffic that goes on until the lab goes. */
async function prepare(lab: Lab): Promise<void> {
  await createPolicy(lab, { name: 'ids-web', sources: ['web-1/0', 'web-2/0'], destination: 'ids-1/0', percent: 50 });
  await createPolicy(lab, { name: 'retain-db', sources: ['db-1/0'], destination: 'edge-1', vlanId: 100 });
  await createPolicy(lab, { name: 'audit-branch', sources: ['edge-3'], destination: 'edge-1', vlanId: 200 });
  await createPolicy(lab, { name: 'night', sources: ['app-1/0'], destination: 'mon-3/0', enabled: false });
  for (const [from, to] of [
    ['web-1', 'app-1'],
    ['db-1', 'fw-1'],
    ['pgw-3', 'phys-2'],
  ] as const) {
    lab.spawn(from, ['ping', '-q', '-i', '0.02', lab.address(to)], { stdio: 'ignore' });
  }
  await preparePeople(lab);
  await activeEventually(lab, 'ids-web');
  await testPolicy(lab);
  await until('copies', async () => (await policyStatus(lab, 'ids-web')).totals.copied.packets > 500, {
    limitMs: 60_000,
  });
}

/** Users and tokens; and a policy of somebody who may have another pool's interfaces mirrored by consent alone. */
async function preparePeople(lab: Lab): Promise<void> {
  const people: [name: string, displayName: string, role: Role, pool?: string][] = [
    ['anna', 'Anna Berg', 'operator', 'pool-b'],
    ['bo', 'Bo Lind', 'observer', 'pool-a'],
    ['carla', 'Carla Sousa', 'auditor'],
  ];
  for (const [name, displayName, role, pool] of people) {
    const grants = [{ role, ...(pool && { scope: { pools: [pool] } }) }];
    await lab.api('PUT', `/api/v1/users/${name}`, { displayName, grants });
  }
  const expiresAt = new Date(Date.now() + 90 * 24 * 3_600_000).toISOString();
  await lab.api('POST', '/api/v1/tokens', { name: 'nightly-report', grants: [{ role: 'viewer' }], expiresAt });
  const grants = [{ role: 'operator', scope: { pools: ['pool-b'] } }];
  const { body } = await lab.api('POST', '/api/v1/tokens', { name: 'team-b', grants, expiresAt });
  const answer = await fetch(`http://127.0.0.1:${lab.state.apiPort}/api/v1/policies`, {
    method: 'POST',
    headers: { authorization: `Bearer ${(body as { token: string }).token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'tap-firewall', sources: ['fw-1/0'], destination: 'mon-3/0' }),
  });
  assert.equal(answer.status, 201, await answer.text());
}

/** A test of a policy whose full frames are cut, because the underlay has no room for them. */
async function testPolicy(lab: Lab): Promise<void> {
  const { underlayMtu } = lab.topology;
  await lab.exec('node-2', ['ip', 'link', 'set', 'underlay0', 'mtu', '1500']);
  await until(
    'full frames to be cut',
    async () => (await lab.api('POST', '/api/v1/policies/ids-web/test')).body.outcome === 'cut',
    { limitMs: 60_000 },
  );
  await lab.exec('node-2', ['ip', 'link', 'set', 'underlay0', 'mtu', String(underlayMtu)]);
}

async function take(
  browser: ConsoleBrowser,
  colorScheme: 'light' | 'dark',
  pictures: readonly Picture[],
): Promise<void> {
  const { page, close } = await browser.open({ viewport: SIZE, colorScheme, reducedMotion: 'reduce' });
  const only = process.argv.slice(2);
  const wanted = pictures.filter(({ name }) => only.length === 0 || only.includes(name));
  for (const { name, path, shows, section, prepare: prepareFor } of wanted) {
    await page.goto(browser.url + path);
    await prepareFor?.(page);
    await page.getByText(shows, { exact: false }).first().waitFor();
    await page.getByRole('banner').getByText('Live').waitFor();
    if (section !== undefined) {
      await page.getByRole('region', { name: section, exact: true }).evaluate((element) => element.scrollIntoView());
    }
    const file = join(FOLDER, `${name}-${colorScheme}.png`);
    await page.screenshot({ path: file });
    const { size } = statSync(file);
    process.stdout.write(`${(size / 1000).toFixed(0).padStart(5)} kB  ${file}\n`);
    if (size > MOST) {
      throw new Error(`${file} has ${size} bytes: at most ${MOST}`);
    }
  }
  await close();
}

mkdirSync(FOLDER, { recursive: true });
const lab = await createLab({ name: `s${(process.pid % 36 ** 4).toString(36)}` });
const browser = new ConsoleBrowser(() => lab);
try {
  await prepare(lab);
  await browser.launch();
  const pictures = [...PICTURES, await finding(lab)];
  await take(browser, 'light', pictures);
  await take(browser, 'dark', pictures);
} finally {
  await browser.close();
  await lab.down();
}
