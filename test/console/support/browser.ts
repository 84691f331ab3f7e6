/**
 * A real browser at the console of a lab: Debian's Chromium, one for a test file, and a new profile
 * for each page.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { after, before } from 'node:test';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';

const CHROMIUM = '/usr/bin/chromium';
/** Milliseconds that a page may take to show something, on a loaded machine. */
export const SHOWN_MS = 15_000;
const ARGUMENTS = ['--disable-gpu', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** How a page is opened. */
export interface PageOptions extends BrowserContextOptions {
  /** Default: the overview. */
  path?: string;
  /** `pseudo`: the texts of the catalogue are marked. */
  locale?: 'pseudo';
  /** False: nobody is signed in. Default true. */
  signedIn?: boolean;
}

/** What a console belongs to: a lab, or a controller alone. */
export interface ConsoleHost {
  /** Where the API is, on this host. */
  state: { apiPort: number | null };
  /** Default: by plain HTTP on loopback. */
  url?: string;
  api(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }>;
}

/** The console of a lab, or of a controller, in a browser. */
export class ConsoleBrowser {
  readonly #host: () => ConsoleHost;
  #browser: Browser | undefined;

  constructor(host: () => ConsoleHost) {
    this.#host = host;
  }

  /** Where the console is. */
  get url(): string {
    const { url, state } = this.#host();
    return url ?? `http://127.0.0.1:${state.apiPort}`;
  }

  /** @param more arguments of Chromium in addition */
  async launch(more: readonly string[] = []): Promise<void> {
    // The sandbox of Chromium refuses to start for root, who runs these tests.
    const root = process.getuid?.() === 0 ? ['--no-sandbox'] : [];
    const args = [...ARGUMENTS, ...root, ...more];
    this.#browser = await chromium.launch({ executablePath: CHROMIUM, args });
  }

  async close(): Promise<void> {
    await this.#browser?.close();
  }

  /** A ticket that signs one browser in, once. */
  async ticket(): Promise<string> {
    const { status, body } = await this.#host().api('POST', '/api/v1/session/tickets');
    assert.equal(status, 201, JSON.stringify(body));
    return (body as { ticket: string }).ticket;
  }

  /** Opens a page. What its scripts throw makes `assertNoErrors` fail. */
  async open(options: PageOptions = {}): Promise<ConsolePage> {
    const { path = '/', locale, signedIn = true, ...context } = options;
    const made = await this.#browser!.newContext({ viewport: { width: 1440, height: 900 }, ...context });
    made.setDefaultTimeout(SHOWN_MS);
    if (locale !== undefined) {
      await made.addInitScript((name) => localStorage.setItem('mirrorplane.locale', name), locale);
    }
    const page = await made.newPage();
    const errors: string[] = [];
    page.on('pageerror', (error) => errors.push(error.stack ?? error.message));
    const fragment = signedIn ? `#ticket=${await this.ticket()}` : '';
    await page.goto(`${this.url}${path}${fragment}`);
    if (signedIn) {
      await page.getByRole('navigation').waitFor();
    }
    return { page, errors, close: () => made.close() };
  }
}

/** A page, and what its scripts have thrown. */
export interface ConsolePage {
  page: Page;
  errors: string[];
  close(): Promise<void>;
}

/** A browser for all tests of the file. */
export function useBrowser(host: () => ConsoleHost): ConsoleBrowser {
  const browser = new ConsoleBrowser(host);
  before(() => browser.launch());
  after(() => browser.close());
  return browser;
}

/** Runs `work` on a new page, closes it, and asserts that no script has thrown. */
export async function onPage(
  browser: ConsoleBrowser,
  options: PageOptions,
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const { page, errors, close } = await browser.open(options);
  try {
    await work(page);
    assert.deepEqual(errors, [], 'scripts of the page have thrown');
  } catch (error) {
    const shot = `/tmp/mirrorplane-console-${process.pid}.png`;
    await page.screenshot({ path: shot }).catch(() => undefined);
    process.stderr.write(`the page is at ${page.url()}, its picture in ${shot}\n`);
    throw error;
  } finally {
    await close();
  }
}

/** What axe finds against the rules of WCAG 2 A and AA, a line each. */
export async function axeViolations(page: Page): Promise<string[]> {
  // As the tools of a browser run it: the policy of the page lets no other script in.
  await page.evaluate(AXE);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: { run(where: unknown, options: object): Promise<AxeResult> } };
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'];
    return (await axe.run(document, { runOnly: { type: 'tag', values: tags } })).violations;
  });
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary}`),
  );
}

interface AxeResult {
  violations: { id: string; nodes: { target: string[]; failureSummary: string }[] }[];
}
