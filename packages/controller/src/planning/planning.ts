/** Makes node programs of what is wanted and what is there, persists what must outlive the controller, hands them out. */
import { createHash } from 'node:crypto';
import { setImmediate as nextTick } from 'node:timers/promises';
import { Coalesced } from '@mirrorplane/base';
import type { NodeProgram } from '@mirrorplane/contract';
import type { Logger } from '@mirrorplane/daemon';
import { type Plan, type PlannedProgram, plan } from '@mirrorplane/planner';
import { type Merged, recordsOf } from '../inventory/inventory.ts';
import { observedInterfaces } from '../inventory/observed-interfaces.ts';
import { GRACE_MS, type LiveNodes } from '../reports/live-nodes.ts';
import type { Decision, Decisions } from '../store/decisions.ts';
import { policiesOf } from '../store/policies.ts';
import { SESSIONS_KEY } from '../store/records.ts';
import type { Operation } from '../store/store.ts';
import type { View } from '../store/view.ts';
import { keyOf } from '../store/view.ts';
import { ProgramsInForce } from './in-force.ts';
import { OriginNodes } from './origin-nodes.ts';

/** What the last planning came to. */
export interface Planned {
  inventory: Merged;
  policies: Plan['policies'];
  programs: ReadonlyMap<string, NodeProgram>;
}

/** Milliseconds between two looks for records of interfaces that end without anything else happening. */
const FORMER_MS = 60 * 60 * 1000;

interface Parts {
  view: View;
  live: LiveNodes;
  decisions: Decisions;
  log: Logger;
}

/**
 * Planning and the requests that cause it take turns, one after the other. So it waits as long as it took last, and no longer
 * than this, in milliseconds: in a burst of changes it takes half of the time, and not all of it.
 */
const MAX_PAUSE_MS = 250;

export class Planning {
  readonly #parts: Parts;
  readonly #listeners = new Set<(planned: Planned) => void>();
  #planned: Planned | undefined;
  readonly #runs = new Coalesced(
    async () => {
      await nextTick();
      await this.#run();
    },
    { pauseMs: (tookMs) => Math.min(tookMs, MAX_PAUSE_MS) },
  );
  /** When the planning under way began, on the monotonic clock. */
  #began: number | undefined;
  #closed = false;
  #graceTimer: NodeJS.Timeout | undefined;
  readonly #formerTimer: NodeJS.Timeout;
  readonly #former = new OriginNodes();
  readonly #inForce = new ProgramsInForce();
  #dueTimer: NodeJS.Timeout | undefined;
  /** When the next claim is one too many, milliseconds since 1970. */
  #contestDue: number | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#formerTimer = setInterval(() => this.request(), FORMER_MS).unref();
  }

  /** The last plan; undefined until the first one is made. */
  get planned(): Planned | undefined {
    return this.#planned;
  }

  /** Calls `listener` after every planning. */
  onPlanned(listener: (planned: Planned) => void): void {
    this.#listeners.add(listener);
  }

  /** Something changed: plans soon, once for all changes until then. */
  request(): void {
    void this.#runs.request();
  }

  /** Plans now, if something changed since the last time, and resolves when it is handed out. */
  async settled(): Promise<void> {
    await this.#runs.settled();
  }

  /** Milliseconds that the planning under way has taken until now; 0 where none is. */
  runningFor(): number {
    return this.#began === undefined ? 0 : performance.now() - this.#began;
  }

  /** A node has confirmed a program: steps that wait for that may go on. */
  confirmed(): void {
    if (this.#inForce.isWaiting) {
      this.request();
    }
  }

  /** An agent was lost: when its grace is over, its devices may count less. */
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
    try {
      const started = performance.now();
      this.#began = started;
      const planned = await this.#parts.decisions.decide(() => this.#plan());
      this.#planned = planned;
      this.#planAgainWhenDue();
      this.#parts.log.debug({ ms: Math.round(performance.now() - started) }, 'planned');
      for (const listener of this.#listeners) {
        listener(planned);
      }
    } catch (error) {
      this.#parts.log.error({ err: error }, 'planning failed');
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

  /**
   * One decision: interfaces seen for the first time, what agents said, sessions and programs are written together and
   * before any agent hears of them, so that after a crash nothing is planned from less than what is in force.
   */
  #plan(): Decision<Planned> {
    const { view, live } = this.#parts;
    const policies = policiesOf(view);
    const named = new Set(policies.flatMap(({ sources, destination }) => [...sources, destination]));
    const { inventory, ops: noted } = observedInterfaces(recordsOf(view), live, { named, now: live.now() });
    live.grant(inventory.granted);
    const { value: sessions } = view.sessions;
    const result = plan(policies, inventory, sessions, this.#former.look(inventory.interfaces));
    const unsaved = live.unsaved();
    const ops: Operation[] = [...noted];
    for (const [name, value] of unsaved) {
      if (view.get('nodes', name)) {
        ops.push({ type: 'put', key: keyOf('nodeStates', name), value });
      }
    }
    if (JSON.stringify(result.sessions) !== JSON.stringify(sessions)) {
      ops.push({ type: 'put', key: SESSIONS_KEY, value: result.sessions });
    }
    const programs = new Map<string, NodeProgram>();
    const staged = this.#inForce.stage(result.programs, live);
    for (const [node, program] of staged.programs) {
      programs.set(node, this.#number(node, program, ops));
    }
    return {
      ops,
      decisive: noted.length > 0,
      result: () => {
        live.saved(unsaved);
        this.#contestDue = inventory.due;
        this.#inForce.told(programs, staged.waiting, live);
        return { inventory, policies: result.policies, programs };
      },
    };
  }

  /** Gives the program a new revision where it differs from the one before. */
  #number(node: string, program: PlannedProgram, ops: Operation[]): NodeProgram {
    const { view, live } = this.#parts;
    const digest = createHash('sha256').update(JSON.stringify(program)).digest('hex');
    const before = view.get('programs', node)?.value;
    // A kernel can be ahead of a controller whose data folder was restored from a copy.
    const applied = live.get(node)?.appliedRevision ?? 0;
    if (before?.digest === digest && before.revision >= applied) {
      return { ...program, revision: before.revision };
    }
    const revision = Math.max(before?.revision ?? 0, applied) + 1;
    ops.push({ type: 'put', key: keyOf('programs', node), value: { digest, revision } });
    return { ...program, revision };
  }
}
