/** Carries out the rounds of a seed on a lab under traffic, and has the oracle judge each. */
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import type { Lab } from '@mirrorplane/lab';
import { actionOf, type Hands } from './actions/index.ts';
import { type Books, compareBooks } from './books.ts';
import { Captures } from './captures.ts';
import { STEADY } from './flows.ts';
import { judge, Round, type Violation } from './oracle.ts';
import type { Round as PlannedRound, Step } from './plan.ts';
import { type Ports, portsOf } from './ports.ts';
import { policyStatuses, unsettled } from './settle.ts';
import { Timeline } from './timeline.ts';
import { Traffic } from './traffic.ts';
import { StatusWatch } from './watch.ts';
import { firstWorld, type World } from './world.ts';

/** Frames a second on each flow. */
const RATE = 12;
/**
 * Frames of each flow that are sent when all has settled, so that nothing but exactness is allowed
 * for them.
 */
const PROBE = 12;
const PROBE_MS = (1000 * PROBE) / RATE;
/** Milliseconds until everything must be as it is meant to be, on a loaded machine. */
const SETTLE_MS = 30_000;
/**
 * Milliseconds after which an interference must be repaired, seen or not: a second is promised, the
 * rest is for load.
 */
const HEAL_MS = 5000;
/** Milliseconds between two looks that must agree that all has settled. */
const AGREE_MS = 200;
const COUNTERS_MS = 20_000;

/** A step as it went. */
export interface DoneStep extends Step {
  round: number;
  from: number;
  to: number;
  /** Milliseconds until everything was as meant to be, where that was waited for. */
  settledMs?: number;
  error?: string;
}

/** Numbers of a run. */
export interface Summary {
  rounds: number;
  steps: number;
  frames: number;
  copies: number;
  erspan: number;
  truncated: number;
  sightings: number;
}

export class ChaosRun {
  readonly steps: DoneStep[] = [];
  readonly violations: Violation[] = [];
  readonly summary: Summary = { rounds: 0, steps: 0, frames: 0, copies: 0, erspan: 0, truncated: 0, sightings: 0 };
  readonly world: World = firstWorld();
  readonly #lab: Lab;
  readonly #number: number;
  readonly #traffic: Traffic;
  readonly #captures: Captures;
  readonly #ports: Ports;
  readonly timeline: Timeline;
  readonly #watch: StatusWatch;
  /** By node: what ends the time in which the fabric lets no ERSPAN through to it. */
  readonly #cuts = new Map<string, (now: number) => void>();
  #healing: { what: string; condition: () => Promise<boolean>; until: number }[] = [];
  /** The numbers at the last rest and at the one before. */
  books: Books[];

  private constructor(parts: {
    lab: Lab;
    number: number;
    traffic: Traffic;
    captures: Captures;
    ports: Ports;
    books: Books;
  }) {
    this.#lab = parts.lab;
    this.#number = parts.number;
    this.#traffic = parts.traffic;
    this.#captures = parts.captures;
    this.#ports = parts.ports;
    this.books = [parts.books];
    this.timeline = new Timeline(this.world, Date.now());
    this.#watch = new StatusWatch({
      lab: this.#lab,
      world: () => this.world,
      violation: (message) => this.#violation(message),
      confirmed: (name, from, to) => this.timeline.confirm(name, from, to),
    });
    this.#watch.start();
  }

  /** Begins on a new lab. `number` distinguishes the frames of this run. */
  static async start(lab: Lab, number: number): Promise<ChaosRun> {
    const ports = await portsOf(lab);
    const captures = await Captures.start(lab, ports);
    try {
      const traffic = Traffic.start(lab, number);
      const books = { at: Date.now(), statuses: await policyStatuses(lab) };
      return new ChaosRun({ lab, number, traffic, captures, ports, books });
    } catch (error) {
      await captures.stop();
      throw error;
    }
  }

  /** Carries out a round. Returns false where something was found that must not be. */
  async round({ steps }: PlannedRound): Promise<boolean> {
    await this.#traffic.go(RATE);
    const start = Date.now();
    for (const step of steps) {
      await sleep(Math.max(0, start + step.at - Date.now()));
      if (!(await this.#step(step))) {
        break;
      }
    }
    if (this.violations.length === 0) {
      await this.#settle();
    }
    if (this.violations.length === 0) {
      await sleep(PROBE_MS);
    }
    await this.#traffic.pause();
    await this.#captures.rest();
    await this.#judge();
    this.summary.rounds++;
    return this.violations.length === 0;
  }

  async #step(step: Step): Promise<boolean> {
    const action = actionOf(step.action);
    const before = structuredClone(this.world);
    action.change(this.world, step.params);
    this.world.undo = [];
    const done: DoneStep = { ...step, round: this.summary.rounds, from: Date.now(), to: 0 };
    this.steps.push(done);
    this.summary.steps++;
    this.timeline.change(this.world, done.from);
    this.#watch.begin();
    try {
      await action.run(this.#hands(before), step.params);
    } catch (error) {
      done.error = (error as Error).message;
      this.#violation(`the step ${step.action} ${JSON.stringify(step.params)} failed: ${done.error}`);
    }
    done.to = Date.now();
    this.#watch.end();
    if (step.action === 'start-agent') {
      this.#watch.agentBack();
    }
    if (this.violations.length === 0 && step.settle && this.world.down.length === 0) {
      await this.#settle();
      done.settledMs = Date.now() - done.to;
    }
    return this.violations.length === 0;
  }

  #hands(before: World): Hands {
    return {
      lab: this.#lab,
      before,
      after: this.world,
      run: this.#number,
      cut: (node, isCut) => {
        if (isCut) {
          this.#cuts.set(node, this.timeline.cut(node, Date.now()));
        } else {
          this.#cuts.get(node)?.(Date.now());
        }
      },
      doubt: (doubt) => this.timeline.doubt(doubt, Date.now()),
      excused: async (excuse, work) => {
        const end = this.timeline.excuse(excuse, Date.now());
        try {
          await work();
        } finally {
          end(Date.now());
        }
      },
      healed: (what, condition) => this.#healing.push({ what, condition, until: Date.now() + HEAL_MS }),
      violation: (message) => this.#violation(message),
    };
  }

  #violation(message: string): void {
    this.violations.push({ message, at: Date.now() });
  }

  /** Waits until everything is as meant to be, seen twice; from then on only that is allowed. */
  async #settle(): Promise<void> {
    let why: string | undefined;
    try {
      let agreed = 0;
      await until(
        'everything to settle',
        async () => {
          why = await this.#unsettled();
          agreed = why === undefined ? agreed + 1 : 0;
          if (agreed === 1) {
            await sleep(AGREE_MS);
          }
          return agreed === 2;
        },
        { limitMs: SETTLE_MS },
      );
    } catch (error) {
      this.#violation(`${(error as Error).message}: ${why ?? 'it came and went'}`);
      return;
    }
    this.#healing = [];
    this.timeline.settle(Date.now());
  }

  async #unsettled(): Promise<string | undefined> {
    for (const { what, condition, until } of this.#healing) {
      if (Date.now() < until && !(await condition())) {
        return `${what} is not there`;
      }
    }
    return unsettled(this.#lab, this.world);
  }

  async #judge(): Promise<void> {
    const round = new Round(await this.#captures.take(), this.#number, this.timeline, this.#ports);
    this.violations.push(...judge(round, this.timeline, this.#ports));
    this.summary.frames += round.frames.size;
    this.summary.copies += round.copies;
    this.summary.erspan += round.erspan;
    this.summary.truncated += round.truncated;
    for (const sightings of round.frames.values()) {
      this.summary.sightings += sightings.length;
    }
    if (this.violations.length > 0) {
      return;
    }
    if (round.frames.size < STEADY.length * PROBE) {
      this.#violation(`only ${round.frames.size} frames were sent`);
    }
    const books = await this.#newBooks();
    if (books === undefined) {
      return;
    }
    const problems = compareBooks(this.books.at(-1)!, books, this.world, round, this.timeline);
    for (const problem of problems) {
      this.#violation(`books: ${problem}`);
    }
    this.books = [this.books.at(-1)!, books];
    this.timeline.forget(books.at);
    if (this.violations.length === 0) {
      await this.#captures.forget();
    }
  }

  /** Numbers that were all read after the network came to rest. */
  async #newBooks(): Promise<Books | undefined> {
    const at = Date.now();
    let statuses = await policyStatuses(this.#lab);
    try {
      await until(
        'counters',
        async () => {
          statuses = await policyStatuses(this.#lab);
          return statuses.every(
            ({ countersAt, state }) => state === 'disabled' || state === 'waiting' || isAfter(countersAt, at),
          );
        },
        { limitMs: COUNTERS_MS },
      );
    } catch (error) {
      const old = statuses.filter(({ countersAt }) => !isAfter(countersAt, at));
      const list = old.map(({ name, state, countersAt }) => `${name} (${state}) of ${countersAt}`);
      this.#violation(`${(error as Error).message}: newer than ${new Date(at).toISOString()} for ${list}`);
      return undefined;
    }
    return { at: Date.now(), statuses };
  }

  /** Ends senders and captures; the lab stays. */
  async stop(): Promise<void> {
    const results = await Promise.allSettled([this.#traffic.stop(), this.#captures.stop(), this.#watch.stop()]);
    for (const result of results) {
      if (result.status === 'rejected') {
        throw result.reason;
      }
    }
  }
}

const isAfter = (time: string | null, at: number) => time !== null && Date.parse(time) > at;
