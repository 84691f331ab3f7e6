/** What clients notice when a leader ends, and the table of it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { LabController, LabControllers } from './controllers.ts';

/** How a leader ends. */
export type End = 'SIGKILL' | 'SIGTERM' | 'SIGSTOP';
/** All, or those that the variable ENDS names. */
export const ENDS = (process.env.ENDS ?? 'SIGKILL,SIGTERM,SIGSTOP').split(',') as End[];
const NAMES: Record<End, string> = { SIGKILL: 'kill -9', SIGTERM: 'in order', SIGSTOP: 'hangs' };

const FAST = { limitMs: 60_000, pauseMs: 20 };
/** Milliseconds before each try in turn of the console to connect again. */
const RETRY_MS = [200, 500, 1000, 2000, 5000];
/** What a tab of the console follows. */
const STREAM = '/api/v1/stream?topics=nodes,policies';
/** The first lines of the logs of a slow end that are shown. */
const LOG_LINES = 30;

/** Milliseconds from the end of a leader. */
export interface Times {
  end: End;
  /** Until a change by each of the others succeeded. */
  api: number[];
  /** Until each agent was connected to the new leader. */
  agents: number[];
  /** Until a tab of the console that had its stream by another one has a stream again. */
  browser: number;
}

/** Names of the nodes whose agents are connected, as a controller answers. */
export async function connectedNodes(by: LabController): Promise<string[]> {
  const { body } = await by.call('GET', '/api/v1/nodes?limit=100');
  const { items = [] } = (body ?? {}) as { items?: { name: string; connected: boolean }[] };
  return items.filter(({ connected }) => connected).map(({ name }) => name);
}

/** A tab of the console: it has one stream, and connects again as the console does. */
class Tab {
  readonly #by: LabController;
  #hellos = 0;
  #closed = false;
  #current: { close(): void } | undefined;

  constructor(by: LabController) {
    this.#by = by;
    void this.#follow();
  }

  /** How often a stream has begun. */
  get hellos(): number {
    return this.#hellos;
  }

  close(): void {
    this.#closed = true;
    this.#current?.close();
  }

  async #follow(): Promise<void> {
    for (let failures = 0; !this.#closed; failures++) {
      const stream = this.#by.follow(STREAM, (event) => {
        if (event === 'hello') {
          this.#hellos++;
          failures = -1;
        }
      });
      this.#current = stream;
      await stream.ended;
      await sleep(RETRY_MS[Math.min(Math.max(0, failures), RETRY_MS.length - 1)]);
    }
  }
}

export interface Ending {
  controllers: LabControllers;
  end: End;
  /** Names of this round, and of nothing else. */
  round: number;
  /** Names of nodes that have agents. */
  nodes: readonly string[];
  /** Gets the names of domains whose change was acknowledged. */
  acknowledged: string[];
}

/** Ends the leader, and measures how soon everybody has found another one. It does not run then, or hangs. */
export async function endLeader({ controllers, end, round, nodes, acknowledged }: Ending) {
  const ended = await controllers.leader();
  const others = controllers.all.filter((one) => one !== ended);
  const tab = new Tab(others[1]!);
  try {
    await until('the tab has its stream', () => tab.hellos === 1, FAST);
    const logs = controllers.all.map((one) => ({ one, bytes: one.logSize() }));
    const began = performance.now();
    const since = () => performance.now() - began;
    ended.signal(end);
    const api = others.map(async (one, index) => {
      const name = `round-${round}-${index}`;
      const isMade = async () => [200, 201].includes((await one.call('PUT', `/api/v1/domains/${name}`, {})).status);
      await until('a change succeeds', isMade, FAST);
      acknowledged.push(name);
      return since();
    });
    const browser = until('the tab has a stream again', () => tab.hellos > 1, FAST).then(since);
    const seen = new Map<string, number>();
    // Agents that the former leader had are no answer: it answers nothing.
    await Promise.any(api);
    const areConnected = async () => {
      for (const name of (await connectedNodes(others[0]!)).filter((node) => !seen.has(node))) {
        seen.set(name, since());
      }
      return nodes.every((name) => seen.has(name));
    };
    await until('all agents at the new leader', areConnected, FAST);
    const times: Times = { end, api: await Promise.all(api), agents: [...seen.values()], browser: await browser };
    const said = logs.map(({ one, bytes }) => one.logSince(bytes).split('\n').slice(0, LOG_LINES).join('\n'));
    return { ended, times, logs: said.join('\n') };
  } finally {
    tab.close();
  }
}

/** Lets a controller that was ended run again, and waits until it serves. */
export async function runAgain(one: LabController, end: End): Promise<void> {
  if (end === 'SIGSTOP') {
    // It sees that another one leads, and ends itself.
    one.signal('SIGCONT');
  }
  await one.ended();
  one.start();
  await until('it serves', async () => (await one.call('GET', '/readyz')).status === 200, FAST);
}

/** `0.72`: seconds at a share of all. */
function at(times: readonly number[], share: number): string {
  const sorted = [...times].sort((a, b) => a - b);
  return (sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * share) - 1)]! / 1000).toFixed(2);
}

/** A table in Markdown: seconds until clients have found another leader, by how the former one has ended. */
export function table(all: readonly Times[]): string {
  const rows = [
    ...ENDS.map((end) => [NAMES[end], all.filter((one) => one.end === end)] as const),
    ['all', all] as const,
  ];
  const cells = (times: readonly number[]) => [0.5, 0.99, 1].map((share) => at(times, share)).join(' / ');
  return [
    '| the leader ends | times | a change by another one succeeds: p50 / p99 / longest, s | an agent is at the new leader | a browser has its stream |',
    '|---|---|---|---|---|',
    ...rows
      .filter(([, times]) => times.length > 0)
      .map(([name, times]) => {
        const api = cells(times.flatMap((one) => one.api));
        const agents = cells(times.flatMap((one) => one.agents));
        return `| ${name} | ${times.length} | ${api} | ${agents} | ${cells(times.map(({ browser }) => browser))} |`;
      }),
  ].join('\n');
}
