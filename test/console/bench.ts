/**
 * `make bench-console`: what the pages of the console cost a browser, and what ten of them cost the
 * controller, with 100 policies of 1,024 sources each. Times depend on the machine: no test asserts
 * them.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Page } from 'playwright-core';
import { ConsoleBrowser } from './support/browser.ts';
import { LargeHost } from './support/large-host.ts';
import { drawn, LARGE_PAGES, openLarge } from './support/large-pages.ts';

/** Times that each page is loaded. */
const RUNS = Number(process.env.RUNS ?? 5);
/** Milliseconds that each page is looked at, and that the controller is. */
const [WATCH_MS, SPAN_MS] = [5000, 20_000];
/** Milliseconds that a page may take on a loaded machine. */
const NAVIGATION_MS = 60_000;
const READERS = 10;
/** Clock ticks a second in /proc: the same on every Linux. */
const USER_HZ = 100;

const say = (line: string) => process.stdout.write(`${line}\n`);
const median = (values: number[]) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** Counts what React draws, and how long tasks are, from before the first script of a page. */
function watchPage(): void {
  const seen = { commits: 0, longest: 0 };
  Object.assign(globalThis, {
    seen,
    // What the tools for developers of React hang on.
    __REACT_DEVTOOLS_GLOBAL_HOOK__: {
      supportsFiber: true,
      inject: () => 1,
      onCommitFiberRoot: () => {
        seen.commits += 1;
      },
      onPostCommitFiberRoot: () => undefined,
      onCommitFiberUnmount: () => undefined,
    },
  });
  new PerformanceObserver((list) => {
    for (const { duration } of list.getEntries()) {
      seen.longest = Math.max(seen.longest, duration);
    }
  }).observe({ type: 'longtask', buffered: true });
}

interface Seen {
  commits: number;
  longest: number;
}

async function lookAt(page: Page): Promise<Seen> {
  return page.evaluate(() => ({ ...(globalThis as unknown as { seen: Seen }).seen }));
}

/** Loads a page several times, and says what it cost. */
async function measurePage(browser: ConsoleBrowser, one: (typeof LARGE_PAGES)[number]): Promise<void> {
  const [loading, watching, commits] = [[] as number[], [] as number[], [] as number[]];
  let size = { elements: 0, rows: 0 };
  const { page, close } = await browser.open();
  page.setDefaultNavigationTimeout(NAVIGATION_MS);
  await page.addInitScript(watchPage);
  for (let run = 0; run < RUNS; run++) {
    await openLarge(page, browser.url, one);
    const loaded = await lookAt(page);
    loading.push(loaded.longest);
    await page.evaluate(() => Object.assign((globalThis as unknown as { seen: object }).seen, { longest: 0 }));
    await sleep(WATCH_MS);
    const after = await lookAt(page);
    watching.push(after.longest);
    commits.push(((after.commits - loaded.commits) * 1000) / WATCH_MS);
  }
  size = await drawn(page);
  await close();
  const cells = [size.elements, size.rows, Math.round(median(loading)), Math.round(median(watching))];
  say(
    `${one[0].padEnd(28)}${cells.map((cell) => String(cell).padStart(10)).join('')}${median(commits).toFixed(1).padStart(10)}`,
  );
}

/** CPU seconds of a process so far. */
function cpuOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ;
}

/** Percent of one core that a process takes for some time. */
async function shareOf(pid: number): Promise<number> {
  const [before, began] = [cpuOf(pid), performance.now()];
  await sleep(SPAN_MS);
  return (100 * (cpuOf(pid) - before)) / ((performance.now() - began) / 1000);
}

/** Ten tabs that read what a page follows; alternately none and ten, so that other work does not decide. */
async function measureReaders(host: LargeHost, topics: string): Promise<void> {
  const [none, ten] = [[] as number[], [] as number[]];
  for (let run = 0; run < Math.max(3, RUNS - 2); run++) {
    none.push(await shareOf(host.pid));
    const stop = new AbortController();
    for (let reader = 0; reader < READERS; reader++) {
      void read(host, topics, stop.signal);
    }
    await sleep(2000);
    ten.push(await shareOf(host.pid));
    stop.abort();
    await sleep(1000);
  }
  const more = ten.map((value, index) => value - none[index]!);
  const cells = [median(none), median(ten), median(more)].map((value) => `${value.toFixed(1)} %`.padStart(12));
  say(`${topics.padEnd(40)}${cells.join('')}`);
}

async function read(host: LargeHost, topics: string, signal: AbortSignal): Promise<void> {
  const url = `http://127.0.0.1:${host.state.apiPort}/api/v1/stream?topics=${topics}`;
  try {
    const answer = await fetch(url, { headers: { authorization: host.authorization }, signal });
    for await (const _ of answer.body!) {
      // Only that it is read matters.
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}

const host = await LargeHost.start();
const browser = new ConsoleBrowser(() => host);
try {
  say('ten readers, % of a core of the controller             none         ten        more');
  for (const topics of ['policies,nodes,destinations,events', 'policy:p-1,events', 'nodes,events']) {
    await measureReaders(host, topics);
  }
  await browser.launch();
  say(`\n${'page'.padEnd(28)}  elements      rows  load, ms watch, ms commits/s   (longest task, median of ${RUNS})`);
  for (const one of LARGE_PAGES) {
    await measurePage(browser, one);
  }
} finally {
  await browser.close();
  await host.close();
}
