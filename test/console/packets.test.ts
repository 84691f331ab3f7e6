/**
 * The page of packets against a real lab: packets with both fates, counted against tcpdump; filters,
 * pause, the file, and packets that try to harm the page.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { afterEach, test } from 'node:test';
import { until } from '@mirrorplane/base';
import type { Page } from 'playwright-core';
import { useLab } from '../support/lab.ts';
import { activeEventually, createPolicy } from '../support/policy.ts';
import { PYTHON, ping } from '../support/traffic.ts';
import { axeViolations, onPage, SHOWN_MS, useBrowser } from './support/browser.ts';
import { foreignWords, unreachable } from './support/walk.ts';

const lab = useLab();
const browser = useBrowser(lab);
const PINGS = 20;
/** Where a look of both ends sees a packet: sent, arrived, delivered. */
const PLACES = 3;

// A node has four looks at most.
afterEach(async () => {
  const { body } = await lab().api('GET', '/api/v1/looks');
  for (const { id } of (body as { items: { id: string }[] }).items) {
    await lab().api('DELETE', `/api/v1/looks/${id}`);
  }
});

/** Begins a look by the form, and waits until its nodes look. */
async function look(page: Page, interfaces: readonly string[], words: string): Promise<void> {
  await page.goto(`${browser.url}/packets`);
  for (const id of interfaces) {
    await page.getByRole('searchbox', { name: 'Filter', exact: true }).fill(id);
    const row = page.getByRole('grid', { name: 'Interfaces' }).getByRole('row').filter({ hasText: id });
    await row.first().getByRole('checkbox').check();
  }
  await page.getByRole('textbox', { name: 'Capture words' }).fill(words);
  await page.getByRole('button', { name: 'Look at packets' }).click();
  await running(page);
}

/** Waits until each node of the look of this page says that it looks. */
async function running(page: Page): Promise<void> {
  await page.getByText(/The look runs/).waitFor();
  await until('the nodes to look', async () => {
    const id = new URL(page.url()).searchParams.get('look');
    const { body } = await lab().api('GET', `/api/v1/looks/${id}`);
    const { nodes } = body as { nodes: { state: string }[] };
    return nodes.length > 0 && nodes.every(({ state }) => state === 'running');
  });
}

const grid = (page: Page) => page.getByRole('grid', { name: 'Packets of the look' });

/** Rows of the list, by what readers are told. */
async function rowCount(page: Page): Promise<number> {
  return Number(await grid(page).getAttribute('aria-rowcount')) - 1;
}

async function rows(page: Page, count: number): Promise<void> {
  await until(`${count} rows`, async () => (await rowCount(page)) === count, { limitMs: SHOWN_MS }).catch(
    async (error) => {
      throw new Error(`${error}; there are ${await rowCount(page)}`);
    },
  );
}

test('a policy copies what web-1 sends', async () => {
  await createPolicy(lab(), { name: 'ids-web', sources: ['web-1/0'], destination: 'ids-1/0' });
  await activeEventually(lab(), 'ids-web');
});

test('a ping is shown at each place with both fates, as often as tcpdump saw it', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0', 'app-1/0'], 'icmp');
    await pinged();
    await rows(page, PLACES * 2 * PINGS);
    await grid(page).getByText('Echo (ping) re', { exact: false }).first().waitFor();
    // The policy counts what web-1 sends, and what is for it where it enters the bridge.
    await page.getByRole('combobox', { name: 'Filter by the fate of the copy' }).click();
    await page.getByRole('option', { name: 'copied', exact: true }).click();
    await rows(page, 2 * PINGS);
    await grid(page).getByText('copied', { exact: true }).first().waitFor();
    await grid(page).getByText('delivered', { exact: true }).first().waitFor();
    await page.keyboard.press('Escape');
    await page.getByRole('combobox', { name: 'Filter by the fate of the original' }).click();
    await page.getByRole('option', { name: 'unknown' }).click();
    await page.keyboard.press('Escape');
    await page.getByText(`All packets are hidden: ${PLACES * 2 * PINGS} hidden by fate`).waitFor();
    assert.match(page.url(), /original=unknown/);
    assert.match(page.url(), /copy=copied/);
  });
});

test('what a rule of the receiving node drops is told as that, as often as nft counts it', async (t) => {
  const rule = `ip daddr ${lab().address('app-1')} icmp type echo-request counter drop`;
  const chain = `chain c { type filter hook forward priority 0; ${rule}; };`;
  const nft = (words: string) => lab().exec('node-3', ['nft', ...words.split(' ')]);
  await lab().exec('node-3', ['sh', '-c', `echo 'table bridge mirrorplane-test { ${chain} }' | nft -f -`]);
  t.after(() => nft('delete table bridge mirrorplane-test'));
  await onPage(browser, {}, async (page) => {
    await look(page, ['app-1/0'], 'icmp');
    await lab().exec('web-1', ['ping', '-q', '-c', '10', '-i', '0.02', '-W', '1', lab().address('app-1')], {
      check: false,
    });
    const { stdout } = await nft('list table bridge mirrorplane-test');
    assert.match(stdout, /counter packets 10 /);
    await rows(page, 10);
    const marks = grid(page).getByText('dropped by a rule', { exact: true });
    await until('each fate', async () => (await marks.count()) === 10);
    await open(page);
    await page.getByText('NETFILTER_DROP').waitFor();
    await page.getByText('It is no loss', { exact: false }).waitFor();
    assert.equal(await grid(page).getByText('delivered', { exact: true }).count(), 0);
  });
});

test('a display filter that is none has its reason at the field, and a right one hides the rest', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0'], 'icmp');
    await pinged();
    await rows(page, 2 * PINGS + PINGS);
    const field = page.getByRole('searchbox', { name: 'Display filter' });
    await field.fill('tcp.port == foo');
    await field.press('Enter');
    await page.getByText('"foo" is not a valid number.').waitFor();
    await rows(page, 2 * PINGS + PINGS);
    await field.fill('icmp.type == 8');
    await field.press('Enter');
    await rows(page, PINGS);
    await page.getByText(`${2 * PINGS} hidden by the display filter`).waitFor();
    await field.fill('tcp');
    await field.press('Enter');
    await page.getByText('All packets are hidden:', { exact: false }).waitFor();
  });
});

test('while the list is paused packets wait, and then they come', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0', 'app-1/0'], 'icmp');
    await page.getByRole('button', { name: 'Pause' }).click();
    await pinged();
    await page.getByText(`Paused: ${PLACES * 2 * PINGS} packets wait`).waitFor();
    assert.equal(await rowCount(page), 0);
    await page.getByRole('button', { name: 'Go on' }).click();
    await rows(page, PLACES * 2 * PINGS);
  });
});

test('the list follows the newest packet until one scrolls, and Enter shows the fields of a packet', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0', 'app-1/0'], 'icmp');
    await pinged();
    await rows(page, PLACES * 2 * PINGS);
    const isAtEnd = () => grid(page).evaluate((box) => box.scrollHeight - box.clientHeight - box.scrollTop < 5);
    await until('the end', isAtEnd);
    await open(page);
    await page.getByRole('button', { name: 'Follow the newest' }).waitFor();
    await page.getByText('Internet Control Message Protocol').click();
    await page.getByText('Type: 8 (Echo (ping) request)').click();
    assert.equal(await page.locator('mark').first().textContent(), '08 ');
    await page.getByRole('button', { name: 'Use as display filter' }).click();
    await rows(page, PLACES * PINGS);
    assert.match(page.url(), /display=icmp\.type/);
    assert.match(page.url(), /packet=1\b/);
  });
});

test('the file has what the list has, and tshark reads it; a look that has ended is read in another tab', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0', 'app-1/0'], 'icmp');
    await pinged();
    await rows(page, PLACES * 2 * PINGS);
    await page.getByRole('button', { name: 'End the look' }).click();
    await page.getByText('The look has ended: a user has ended it.', { exact: false }).waitFor();
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download as pcapng' }).click(),
    ]);
    const read = [
      '-n',
      '-r',
      await download.path(),
      '-T',
      'fields',
      '-e',
      'frame.interface_name',
      '-e',
      'frame.comment',
    ];
    const lines = execFileSync('tshark', read, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })
      .trim()
      .split('\n');
    assert.equal(lines.length, PLACES * 2 * PINGS);
    assert.equal(lines.filter((line) => line.startsWith('web-1 eth0 on node-1 (sent)\tcopy: copied;')).length, PINGS);
    await onPage(browser, { path: new URL(page.url()).pathname + new URL(page.url()).search }, async (other) => {
      await rows(other, PLACES * 2 * PINGS);
    });
    await page.getByRole('button', { name: 'New look' }).click();
    await page.getByRole('button', { name: 'Look at packets' }).waitFor();
    await page.goto(`${browser.url}/packets?look=000000000000`);
    await page.getByText('The look is not there any more').waitFor();
  });
});

test('capture words that are none have their reason at the field, and a policy begins a look by its link', async () => {
  await onPage(browser, { path: '/packets?policy=ids-web&fates=copied' }, async (page) => {
    await page.getByRole('textbox', { name: 'Capture words' }).fill('host web-1');
    await page.getByText('write an IPv4 or IPv6 address here', { exact: false }).waitFor();
    await page.getByRole('textbox', { name: 'Capture words' }).fill('icmp');
    await page.getByRole('button', { name: 'Look at packets' }).click();
    await running(page);
    await pinged();
    await grid(page).getByText('copied', { exact: true }).first().waitFor();
    const fates = await grid(page).getByText('no policy', { exact: true }).count();
    assert.equal(fates, 0);
  });
});

test('the page of an interface names who looks at its packets, and when that has ended', async () => {
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0'], 'udp port 4242');
    const id = new URL(page.url()).searchParams.get('look');
    const row = page.getByRole('region', { name: 'Who can see this interface' }).getByRole('row');
    await page.goto(`${browser.url}/interfaces/web-1%2F0`);
    await row.filter({ hasText: 'udp port 4242' }).getByText('now', { exact: true }).waitFor();
    await lab().api('DELETE', `/api/v1/looks/${id}`);
    await page.reload();
    await row.filter({ hasText: 'udp port 4242' }).getByText('not now', { exact: true }).waitFor();
    await page.goto(`${browser.url}/interfaces/db-1%2F0`);
    await page.getByText('Nobody looks at its packets, and nobody is known to have done so.').waitFor();
  });
});

test('names in packets are text on the page, whatever they say', async () => {
  const evil = '\x1b[31m<img src=x onerror=alert(1)>\u202egnp.exe\r\n';
  const frames = `
from scapy.all import Ether, IP, UDP, TCP, DNS, DNSQR, Raw, sendp
evil = ${JSON.stringify(evil)}
ip = Ether(dst="ff:ff:ff:ff:ff:ff") / IP(dst="10.9.9.9")
frames = [
  ip / UDP(dport=53) / DNS(qd=DNSQR(qname=evil)),
  ip / TCP(dport=80, flags="PA") / Raw("GET /" + evil + " HTTP/1.1\\r\\nHost: " + evil + "\\r\\n\\r\\n"),
  ip / UDP(dport=514) / Raw("<1>" + evil),
  ip / UDP(dport=4789) / Raw(bytes(range(256)) * 5),
]
sendp(frames, iface="eth0", verbose=False)
`;
  await onPage(browser, {}, async (page) => {
    await look(page, ['web-1/0'], 'host 10.9.9.9');
    await lab().exec('web-1', [PYTHON, '-c', frames]);
    await rows(page, 4);
    await grid(page).getByText('<img src=x onerror=alert(1)>', { exact: false }).first().waitFor();
    assert.equal(await page.locator('img').count(), 0);
    await open(page);
    await page.getByText('Domain Name System', { exact: false }).click();
    const harmful = await page.evaluate(() => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
      return /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/.test(document.body.textContent ?? '');
    });
    assert.equal(harmful, false);
  });
});

test('axe finds nothing, words are from the catalogue or data, and Tab reaches every control', async () => {
  for (const colorScheme of ['dark', 'light'] as const) {
    await onPage(browser, { colorScheme, locale: 'pseudo', path: await lookByApi() }, async (page) => {
      const list = page.getByRole('grid');
      await list.waitFor();
      await pinged();
      await until('rows', async () => Number(await list.getAttribute('aria-rowcount')) > PINGS);
      await list.focus();
      await page.keyboard.press('Home');
      await page.keyboard.press('Enter');
      await page.getByText('Internet Protocol Version 4', { exact: false }).waitFor();
      const found = [...(await axeViolations(page)), ...(await foreignWords(page)), ...(await unreachable(page))];
      assert.deepEqual(found, []);
    });
  }
});

/** Begins a look, and returns the address of its page. */
async function lookByApi(): Promise<string> {
  const { status, body } = await lab().api('POST', '/api/v1/looks', { interfaces: ['web-1/0'], words: 'icmp' });
  assert.equal(status, 201, JSON.stringify(body));
  return `/packets?look=${(body as { id: string }).id}`;
}

/** Pings app-1 from web-1, and expects tcpdump to see as many. */
async function pinged(): Promise<void> {
  const capture = await lab().capture('app-1', 'any', { filter: 'icmp' });
  await ping(lab(), 'web-1', 'app-1', PINGS);
  await capture.waitFor(2 * PINGS);
  const { packets } = await capture.stop();
  assert.equal(packets, 2 * PINGS);
}

/** Shows the fields of the first packet, with the keys. */
async function open(page: Page): Promise<void> {
  await grid(page).focus();
  await page.keyboard.press('Home');
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Packet 1', exact: true }).waitFor();
}
