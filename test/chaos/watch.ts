/**
 * Reads API and metrics all the time, also during changes, and checks what must be true at every
 * moment.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PolicyStatus } from '@mirrorplane/contract';
import type { Lab } from '@mirrorplane/lab';
import { policyStatuses } from './settle.ts';
import type { World } from './world.ts';

/**
 * Milliseconds between two looks, and how many of them are without the metrics before one that is
 * with them.
 */
const LOOK_MS = 250;
const METRICS_EVERY = 4;
/** States that say that something is done: all copies are made, or none any more. */
const CONFIRMED = { active: true, disabled: false } as const;

/** What a look may be told of. */
interface Parts {
  lab: Lab;
  world: () => World;
  violation: (message: string) => void;
  /** A policy was said to be as wanted at both moments, and in between. */
  confirmed: (name: string, from: number, to: number) => void;
}

/** A number of packets at one end of a path. */
type Stage = 'sent' | 'received' | 'delivered';

/** More has come out of a path than went in. */
export function surplus(where: string, counts: Partial<Record<Stage, number | undefined>>): string | undefined {
  const { sent, received, delivered } = counts;
  const isMore = (a: number | undefined, b: number | undefined) => a !== undefined && b !== undefined && a > b;
  return isMore(received, sent) || isMore(delivered, received) || isMore(delivered, sent)
    ? `${where}: ${sent} sent, ${received} received, ${delivered} delivered`
    : undefined;
}

/** The paths of a status that are in surplus. */
export function surplusOf({ name, paths }: PolicyStatus): string[] {
  return paths.flatMap(({ from, to, sent, received, delivered }) => {
    const counts = { sent: sent?.packets, received: received?.packets, delivered: delivered?.packets };
    return surplus(`${name} ${from} to ${to}`, counts) ?? [];
  });
}

/** The same, of the text of the metrics; policies that are left out are not judged. */
export function surplusInMetrics(text: string, judged: ReadonlySet<string>): string[] {
  const paths = new Map<string, Partial<Record<Stage, number>>>();
  for (const line of text.split('\n')) {
    const [, stage, labels, value] =
      /^mirrorplane_path_(sent|received|delivered)_packets_total\{(.*)\} (\S+)$/.exec(line) ?? [];
    if (labels === undefined) {
      continue;
    }
    const [policy, from, to] = ['policy', 'from', 'to'].map(
      (name) => new RegExp(`${name}="([^"]*)"`).exec(labels)?.[1],
    );
    if (!judged.has(policy!)) {
      continue;
    }
    const where = `metrics: ${policy} ${from} to ${to}`;
    paths.set(where, { ...paths.get(where), [stage as Stage]: Number(value) });
  }
  return [...paths].flatMap(([where, counts]) => surplus(where, counts) ?? []);
}

/** Counters of policies and paths in the text of the metrics, by series. */
export function countersIn(text: string): Map<string, number> {
  const counters = new Map<string, number>();
  for (const line of text.split('\n')) {
    const [, series, value] = /^(mirrorplane_(?:path|policy)_\w+_total\{.*\}) (\S+)$/.exec(line) ?? [];
    if (series !== undefined) {
      counters.set(series, Number(value));
    }
  }
  return counters;
}

/** Counters that decreased. A program that draws rates takes this for a new start from 0. */
export function fallen(before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>): string[] {
  return [...after].flatMap(([series, value]) => {
    const was = before.get(series) ?? 0;
    return value < was ? [`${series} fell from ${was} to ${value}`] : [];
  });
}

export class StatusWatch {
  readonly #parts: Parts;
  #stopped = false;
  #running: Promise<void> | undefined;
  /**
   * Grows with every step that begins or ends: a look that a step fell into says nothing of
   * policies.
   */
  #step = 0;
  #changing = false;
  /**
   * When the controller was heard again after it was not, or an agent came back; milliseconds since
   * 1970.
   */
  #since: number | undefined;
  #looks = 0;
  /** The counters at the last look at the metrics. */
  #counters: ReadonlyMap<string, number> = new Map();
  /** Policies that were as wanted at the last look, and when the answer came. */
  #seen = new Map<string, number>();

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  /** An agent has come back: until its node has reported, what it has sent is old. */
  agentBack(): void {
    if (this.#since !== undefined) {
      this.#since = Date.now();
    }
  }

  /** A step begins, after which policies may be others. */
  begin(): void {
    this.#step++;
    this.#changing = true;
  }

  /** It is done: what the API says from now on is about the policies as they are now. */
  end(): void {
    this.#step++;
    this.#changing = false;
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await sleep(LOOK_MS);
      await this.#look();
    }
  }

  async #look(): Promise<void> {
    const { lab } = this.#parts;
    const [step, asked] = [this.#step, Date.now()];
    let statuses: PolicyStatus[];
    try {
      statuses = await policyStatuses(lab);
      this.#since ??= Date.now();
      if (this.#looks++ % METRICS_EVERY === 0) {
        await this.#checkMetrics(statuses);
      }
    } catch {
      // It is down, or going down. That it comes back is waited for elsewhere.
      this.#since = undefined;
      this.#seen.clear();
      // The controller continues from its saved totals.
      this.#counters = new Map();
      return;
    }
    this.#report(this.#fresh(statuses).flatMap(surplusOf));
    if (step === this.#step && !this.#changing) {
      this.#note(statuses, asked, Date.now());
    } else {
      this.#seen.clear();
    }
  }

  async #checkMetrics(before: readonly PolicyStatus[]): Promise<void> {
    const { lab } = this.#parts;
    const text = String((await lab.api('GET', '/metrics')).body);
    const counters = countersIn(text);
    for (const problem of fallen(this.#counters, counters)) {
      this.#parts.violation(`metrics: ${problem}`);
    }
    this.#counters = counters;
    // Before and after, for a node may go in between.
    const after = new Set(this.#fresh(await policyStatuses(lab)).map(({ name }) => name));
    const judged = this.#fresh(before).filter(({ name }) => after.has(name));
    this.#report(surplusInMetrics(text, new Set(judged.map(({ name }) => name))));
  }

  /**
   * Policies whose nodes are all connected, and have reported since the start of the controller.
   */
  #fresh(statuses: readonly PolicyStatus[]): PolicyStatus[] {
    const isNew = (at: string | null) => at !== null && Date.parse(at) > this.#since!;
    return statuses.filter(({ stale, countersAt }) => !stale && isNew(countersAt));
  }

  #report(problems: readonly string[]): void {
    for (const problem of problems) {
      this.#parts.violation(`more came out than went in: ${problem}`);
    }
  }

  #note(statuses: readonly PolicyStatus[], asked: number, answered: number): void {
    const { policies } = this.#parts.world();
    const seen = new Map<string, number>();
    for (const { name, state } of statuses) {
      if (CONFIRMED[state as keyof typeof CONFIRMED] !== policies[name]?.enabled) {
        continue;
      }
      seen.set(name, answered);
      const before = this.#seen.get(name);
      if (before !== undefined) {
        this.#parts.confirmed(name, before, asked);
      }
    }
    this.#seen = seen;
  }
}
