/** One schedule: everything that happens follows from its seed. */
import { act, admit, declareEdge, EDGES, endMoves, POOLS } from './actions.ts';
import { Answers } from './checks/answers.ts';
import { checkCopies } from './checks/copies.ts';
import { Truth } from './checks/counters.ts';
import { checkDisabled } from './checks/disabled.ts';
import { History } from './checks/history.ts';
import { ProgramWatch } from './checks/programs.ts';
import { unsettled } from './checks/settled.ts';
import { Violation } from './checks/violation.ts';
import { Random } from './core/random.ts';
import { activate } from './core/simulation.ts';
import type { Stage } from './stage.ts';
import type { RunningController } from './world/controller-process.ts';
import { Guests } from './world/guests.ts';
import { send } from './world/operator.ts';
import { World } from './world/world.ts';

/** What became of a schedule. */
export interface Outcome {
  seed: number;
  /** Steps of all processes. */
  steps: number;
  /** Virtual milliseconds. */
  elapsed: number;
  /** Undefined: all was as it must be. */
  violation: string | undefined;
  /** The newest lines of the trace. */
  trace: readonly string[];
}

/** Virtual milliseconds between two looks at what guests send. */
const TRAFFIC_MS = 200;
/**
 * The longest usual delay of a frame where nothing breaks. Some frames take a hundred times as long. A
 * node that is told something, and confirms it, then takes less than the controller waits for a step.
 */
const CALM_DELAY_MS = 20;
/** Virtual milliseconds after the last fault within which everything is as it should be. */
const SETTLE_MS = 120_000;

/** Runs the schedule of a seed. @param traceLines lines of the trace that are kept; 0: none */
export async function runSchedule(seed: number, traceLines = 0): Promise<Outcome> {
  const world = new World({ seed, traceLines });
  activate(world);
  const schedule = new Schedule(world, seed);
  let violation: string | undefined;
  try {
    await schedule.run();
  } catch (error) {
    violation = error instanceof Violation ? error.message : String((error as Error).stack ?? error);
  } finally {
    activate(undefined);
  }
  return { seed, steps: world.scheduler.steps, elapsed: world.scheduler.now, violation, trace: world.trace.lines };
}

class Schedule {
  readonly #world: World;
  readonly #random: Random;
  readonly #stage: Stage;
  readonly #history = new History();
  readonly #programs: ProgramWatch;
  readonly #truth = new Truth();
  readonly #answers: Answers;
  /** Nothing breaks, so no copy is lost either. */
  readonly #isCalm: boolean;
  /** Everything follows at once, and there is more of it. */
  readonly #isBusy: boolean;
  #unchecked = false;
  #begun = false;

  constructor(world: World, seed: number) {
    this.#world = world;
    this.#random = new Random(seed, 2);
    this.#isCalm = this.#random.chance(0.25);
    this.#isBusy = this.#random.chance(0.3);
    this.#stage = { world, guests: new Guests(world, this.#random), random: this.#random };
    this.#programs = new ProgramWatch(world);
    this.#answers = new Answers(world);
    world.network.wiretap = this.#programs;
    for (const host of world.hosts) {
      host.kernel.changed = () => {
        this.#unchecked = true;
        this.#programs.inForce(host);
      };
      host.on('devices', () => {
        this.#unchecked = true;
      });
    }
  }

  async run(): Promise<void> {
    await this.#history.follow(this.#world);
    await this.#answers.follow();
    this.#traffic();
    await this.#begin();
    this.#begun = true;
    if (this.#isCalm) {
      this.#world.network.delay = Math.min(this.#world.network.delay, CALM_DELAY_MS);
    }
    const count = 10 + this.#random.below(this.#isBusy ? 70 : 30);
    for (let at = 0; at < count; at++) {
      await act(this.#stage, this.#isCalm);
      await this.#pass(this.#wait());
    }
    await this.#settle();
  }

  /** A cluster whose nodes have joined. */
  async #begin(): Promise<void> {
    const { guests, random } = this.#stage;
    const world = this.#world;
    const view = () => world.controller?.services.view;
    world.startController();
    await this.#until('a controller', () => world.controller !== undefined);
    send(world, { method: 'put', path: 'domains/{name}', params: { name: 'dc' }, body: {} });
    await this.#until('a domain', () => view()?.get('domains', 'dc'));
    for (const name of POOLS) {
      send(world, { method: 'put', path: 'pools/{name}', params: { name }, body: { domain: 'dc' } });
    }
    await this.#until('pools', () => POOLS.every((name) => view()?.get('pools', name)));
    for (const { name } of world.hosts) {
      admit(this.#stage, name);
    }
    await this.#until('nodes', () => world.hosts.every(({ name }) => view()?.get('nodes', name)));
    for (const id of EDGES) {
      declareEdge(this.#stage, id);
    }
    for (const guest of guests.all) {
      guests.boot(guest, random.pick(world.hosts)!);
    }
    await this.#pass(random.between(0, 1000));
  }

  async #until(what: string, check: () => unknown): Promise<void> {
    for (let at = 0; !check(); at++) {
      if (at === 1000) {
        throw new Violation(`there are no ${what} at the beginning`);
      }
      await this.#pass(20);
    }
  }

  #wait(): number {
    const random = this.#random;
    if (this.#isBusy) {
      return random.between(0, 120);
    }
    const most = random.pick([30, 30, 30, 30, 30, 800, 800, 800, 6000, 6000, random.chance(0.15) ? 40_000 : 300])!;
    return random.between(0, most);
  }

  /** Faults end, and everything that was away comes back. */
  async #settle(): Promise<void> {
    const { guests, random } = this.#stage;
    const world = this.#world;
    world.note('schedule', 'faults end');
    world.network.heal();
    world.network.delay = 3;
    endMoves(this.#stage);
    for (const host of world.hosts) {
      world.powerUp(host);
      world.startAgent(host);
    }
    for (const guest of guests.all) {
      guests.boot(guest, random.pick(world.hosts)!);
    }
    world.startController();
    const end = world.scheduler.now + SETTLE_MS;
    for (let at = 0; ; at++) {
      if (at % 60 === 20) {
        this.#admitAbsent();
      }
      const problem = await this.#problem();
      if (problem === undefined) {
        break;
      }
      if (world.scheduler.now >= end) {
        throw new Violation(`${SETTLE_MS / 1000} s after the last fault: ${problem}`);
      }
      await this.#pass(250);
    }
    if (world.controller) {
      this.#truth.check(world, world.controller);
    }
  }

  /** Nodes that are deleted or revoked are let in again. */
  #admitAbsent(): void {
    const { view } = this.#world.controller?.services ?? {};
    for (const { name, membership } of this.#world.hosts) {
      const record = view?.get('nodes', name)?.value;
      const generation = view?.get('certificates', name)?.value.generation;
      if (
        view &&
        (!record || record.revoked || record.uid !== membership?.uid || generation !== membership.generation)
      ) {
        admit(this.#stage, name);
      }
    }
  }

  /** What is unsettled, asked as a step of the controller. */
  async #problem(): Promise<string | undefined> {
    let problem: string | undefined = 'there is no controller';
    const { scheduler, controllerProcess } = this.#world;
    if (controllerProcess) {
      await scheduler.as(controllerProcess, () => {
        problem = unsettled(this.#stage);
      });
    }
    return problem;
  }

  /** Lets virtual time pass, and checks after every step. */
  async #pass(ms: number): Promise<void> {
    const { scheduler } = this.#world;
    const limit = scheduler.now + ms;
    while (await scheduler.step(limit)) {
      this.#check();
    }
    this.#check();
  }

  #check(): void {
    const { failures } = this.#world;
    const violation = this.#history.violation ?? this.#programs.violation ?? this.#answers.violation;
    if (failures.length > 0) {
      throw new Violation(failures[0]);
    }
    if (violation) {
      throw violation;
    }
    if (this.#unchecked) {
      this.#unchecked = false;
      checkCopies({ world: this.#world, history: this.#history, isComplete: this.#isCalm && this.#begun });
    }
  }

  /** What a controller answers, as one of its steps. One that is not sure that it leads answers nothing. */
  #checkAnswers(running: RunningController): void {
    if (running.services.leadership?.isSure ?? true) {
      this.#truth.check(this.#world, running);
      checkDisabled(this.#world, running);
    }
  }

  #traffic(): void {
    const { guests } = this.#stage;
    let looks = 0;
    const look = () => {
      guests.traffic(
        () => 1 + this.#random.below(9),
        ({ name }, id, packets) => this.#truth.pass(name, id, packets),
      );
      if (++looks % 8 === 0) {
        for (const { process, running } of this.#world.answering) {
          this.#world.scheduler.after(0, process, () => this.#checkAnswers(running));
        }
      }
      this.#world.scheduler.after(TRAFFIC_MS, undefined, look);
    };
    look();
  }
}
