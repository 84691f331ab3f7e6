/**
 * Makes node programs from policies and inventory, stores the state that must outlive the
 * controller, and sends the programs.
 */
import { randomInt } from 'node:crypto';
import { setImmediate as nextTick } from 'node:timers/promises';
import { Coalesced, inTurns } from '@mirrorplane/base';
import type { NodeProgram, Policy } from '@mirrorplane/contract';
import { programDigest } from '@mirrorplane/contract/program-digest';
import type { Logger } from '@mirrorplane/daemon';
import { numbered, type Plan, type PlannedProgram, Planner, partsOf } from '@mirrorplane/planner';
import type { Merged } from '../inventory/inventory.ts';
import { GRACE_MS, type LiveNodes } from '../reports/live-nodes.ts';
import type { Decision, Decisions } from '../store/decisions.ts';
import { policiesOf } from '../store/policies.ts';
import { SESSIONS_KEY } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';
import { TokenBucket } from '../token-bucket.ts';
import { ProgramsInForce, type Told } from './in-force.ts';
import { OriginNodes } from './origin-nodes.ts';
import type { PlanningInventory } from './planning-inventory.ts';
import { quiet } from './quiet.ts';

/** The result of the last planning. */
export interface Planned {
  inventory: Merged;
  policies: Plan['policies'];
  programs: ReadonlyMap<string, NodeProgram>;
}

/**
 * Milliseconds between two searches for old interface records, if nothing else causes a planning.
 */
const FORMER_MS = 60 * 60 * 1000;

/** A program that a node is told, also with its revision in it. */
interface Numbered extends Told {
  numbered: NodeProgram;
}

interface Parts {
  view: View;
  live: LiveNodes;
  decisions: Decisions;
  inventory: PlanningInventory;
  log: Logger;
}

/**
 * The longest pause before a planning, milliseconds. Planning and the requests that cause it take
 * turns. The pause is as long as the last planning took. So during a burst of changes, planning
 * uses half of the time, and requests get the other half.
 */
const MAX_PAUSE_MS = 250;
/** Edits of people that do not wait for the end of a pause. With more of them, one plan serves several. */
const HURRIED = { reserve: 4, perSecond: 2 };

export class Planning {
  readonly #parts: Parts;
  readonly #listeners = new Set<(planned: Planned) => void | Promise<void>>();
  #planned: Planned | undefined;
  readonly #runs = new Coalesced(
    async () => {
      await nextTick();
      await quiet(
        () => this.#isBurst(),
        () => !this.#isHurried && !this.#closed,
        MAX_PAUSE_MS,
      );
      await this.#run();
    },
    { pauseMs: (tookMs) => Math.min(tookMs, MAX_PAUSE_MS) },
  );
  readonly #hurried = new TokenBucket(HURRIED);
  /** An edit waits for the next planning. */
  #isHurried = false;
  /** Whether so many agents are about to say something that one planning should serve them. */
  #isBurst: () => boolean = () => false;
  /** Start of the current planning, on the monotonic clock. */
  #began: number | undefined;
  #closed = false;
  #graceTimer: NodeJS.Timeout | undefined;
  readonly #formerTimer: NodeJS.Timeout;
  readonly #former = new OriginNodes();
  readonly #inForce = new ProgramsInForce();
  readonly #planner = new Planner();
  /** By node. */
  #told: ReadonlyMap<string, Numbered> = new Map();
  #dueTimer: NodeJS.Timeout | undefined;
  /** Time when the next claim becomes a contest, milliseconds since 1970. */
  #contestDue: number | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#formerTimer = setInterval(() => this.request(), FORMER_MS).unref();
  }

  /** The last plan. Undefined until the first plan is made. */
  get planned(): Planned | undefined {
    return this.#planned;
  }

  /** Calls `listener` after every planning. The next planning begins when its promise is kept. */
  onPlanned(listener: (planned: Planned) => void | Promise<void>): void {
    this.#listeners.add(listener);
  }

  /** Requests a planning after a change. One planning serves all changes until it begins. */
  request(): void {
    void this.#runs.request();
  }

  /** The same, for an edit: a person waits for it, so it goes before the pause between two plannings. */
  requestSoon(): void {
    if (this.#hurried.take()) {
      this.#isHurried = true;
      void this.#runs.hurry();
    } else {
      this.request();
    }
  }

  /** A planning waits while this holds: for `MAX_PAUSE_MS` at most, and not where an edit waits for it. */
  waitDuring(isBurst: () => boolean): void {
    this.#isBurst = isBurst;
  }

  /** Plans now, if something has changed. Resolves when the programs are sent. */
  async settled(): Promise<void> {
    await this.#runs.settled();
  }

  /** Milliseconds since the current planning began. 0 without one. */
  runningFor(): number {
    return this.#began === undefined ? 0 : performance.now() - this.#began;
  }

  /** A node has confirmed a program: waiting steps may continue. */
  confirmed(): void {
    if (this.#inForce.isWaiting) {
      this.request();
    }
  }

  /**
   * An agent has disconnected. Plans again after its grace period, because its devices may then
   * count less.
   */
  requestAfterGrace(): void {
    clearTimeout(this.#graceTimer);
    this.#graceTimer = setTimeout(() => this.request(), GRACE_MS + 1);
    this.#graceTimer.unref();
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#formerTimer);
    clearTimeout(this.#graceTimer);
    clearTimeout(this.#dueTimer);
    await this.#runs.close();
  }

  async #run(): Promise<void> {
    this.#isHurried = false;
    try {
      const started = performance.now();
      this.#began = started;
      await this.#prepare();
      const planned = await this.#parts.decisions.decide(() => this.#plan());
      this.#planned = planned;
      this.#planAgainWhenDue();
      this.#parts.log.debug({ ms: Math.round(performance.now() - started) }, 'planned');
      await Promise.all([...this.#listeners].map((listener) => listener(planned)));
    } catch (error) {
      this.#parts.log.error({ err: error }, 'planning failed');
      this.#parts.inventory.reset();
      if (!this.#closed) {
        setTimeout(() => this.request(), 1000).unref();
      }
    } finally {
      this.#began = undefined;
    }
  }

  #planAgainWhenDue(): void {
    clearTimeout(this.#dueTimer);
    const contest = this.#contestDue === undefined ? undefined : this.#contestDue - this.#parts.live.now();
    const waits = [this.#former.due, this.#inForce.due, contest].filter((wait) => wait !== undefined);
    const due = Math.max(0, Math.min(...waits));
    if (waits.length > 0) {
      this.#dueTimer = setTimeout(() => this.request(), due + 1).unref();
    }
  }

  /** Plans in turns with everything else. The decision then has to plan what has changed meanwhile. */
  async #prepare(): Promise<void> {
    await inTurns(this.#planner.prepare(...this.#planOf(this.#parts.inventory.now().inventory)));
  }

  /** What the planner is asked for. */
  #planOf(inventory: Merged): Parameters<Planner['plan']> {
    const { view, live } = this.#parts;
    const chance = { draw: randomInt, now: live.now(), cutOffs: view.cutOffs };
    const origins = this.#former.look(inventory.interfaces);
    return [policiesOf(view), inventory, { sessions: view.sessions.value, origins, chance }];
  }

  /**
   * One decision. New interfaces, agents' reports, sessions and programs are written together,
   * before any program is sent. So after a crash, planning knows everything that is in force.
   */
  #plan(): Decision<Planned> {
    const { view, live } = this.#parts;
    const { inventory, ops: noted } = this.#parts.inventory.now();
    const [policies, , options] = this.#planOf(inventory);
    const result = this.#planner.plan(policies, inventory, options);
    const ops: Operation[] = [...noted];
    const staged = this.#inForce.stage(result.programs, live);
    const told = new Map([...staged.programs].map(([node, program]) => [node, this.#number(node, program, ops)]));
    this.#noteCopying(told, policies);
    const unsaved = live.unsaved();
    for (const [name, value] of unsaved) {
      if (view.get('nodes', name)) {
        ops.push({ type: 'put', key: keyOf('nodeStates', name), value });
      }
    }
    if (result.sessions !== view.sessions.value) {
      ops.push({ type: 'put', key: SESSIONS_KEY, value: result.sessions });
    }
    return {
      ops,
      decisive: noted.length > 0,
      result: () => {
        live.saved(unsaved);
        this.#contestDue = inventory.due;
        this.#inForce.told(told, staged.waiting, live);
        this.#told = told;
        const programs = new Map([...told].map(([node, { numbered: program }]) => [node, program]));
        return { inventory, policies: result.policies, programs };
      },
    };
  }

  /** Notes before a program is sent what its node may copy for then. */
  #noteCopying(told: ReadonlyMap<string, Numbered>, policies: readonly Policy[]): void {
    let names: ReadonlyMap<string, string> | undefined;
    for (const [node, one] of told) {
      if (this.#told.get(node) !== one) {
        names ??= new Map(policies.map(({ uid, name }) => [uid, name]));
        const uids = partsOf(one.program).flatMap(({ policy, captures }) => (captures.length > 0 ? [policy] : []));
        this.#parts.live.toldToCopy(
          node,
          one.revision,
          uids.map((uid) => ({ uid, name: names?.get(uid) ?? uid })),
        );
      }
    }
  }

  /**
   * Gives the program a new revision if it differs from the previous one. The same stays the same
   * object.
   */
  #number(node: string, program: PlannedProgram, ops: Operation[]): Numbered {
    const revision = this.#revision(node, program, ops);
    const before = this.#told.get(node);
    const isSame = before?.program === program && before.revision === revision;
    return isSame ? before : { program, revision, numbered: numbered(program, revision) };
  }

  #revision(node: string, program: PlannedProgram, ops: Operation[]): number {
    const { view, live } = this.#parts;
    const digest = programDigest(program);
    const before = view.get('programs', node)?.value;
    // A kernel can have a higher revision than a controller whose data folder was restored from a
    // backup.
    const applied = live.get(node)?.appliedRevision ?? 0;
    if (before?.digest === digest && before.revision >= applied) {
      return before.revision;
    }
    const revision = Math.max(before?.revision ?? 0, applied) + 1;
    ops.push({ type: 'put', key: keyOf('programs', node), value: { digest, revision } });
    return revision;
  }
}
