/** Remembers what nodes were told until they have confirmed it, so that the two ends of a path change in order. */
import type { NodeProgram } from '@mirrorplane/contract';
import { type InForce, type PlannedProgram, type Staged, stage } from '@mirrorplane/planner';
import type { LiveNodes } from '../reports/live-nodes.ts';

/** Milliseconds that a step waits for a node. Then the others go on without it. */
export const STEP_LIMIT_MS = 5000;
/** Programs that are remembered of a node which confirms none. */
const MAX_TOLD = 64;

export class ProgramsInForce {
  readonly #clock: () => number;
  /** By node, oldest first. */
  readonly #told = new Map<string, NodeProgram[]>();
  /** When each step began to wait. */
  #waiting: ReadonlyMap<string, number> = new Map();

  /** @param clock milliseconds, monotonic */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** What nodes may be told now. Changes nothing: `told` does. */
  stage(planned: ReadonlyMap<string, PlannedProgram>, live: LiveNodes): Staged {
    const now = this.#clock();
    const expired = [...this.#waiting].filter(([, since]) => now - since >= STEP_LIMIT_MS).map(([step]) => step);
    const known = new Map([...planned.keys()].map((node): [string, InForce] => [node, this.#of(node, live)]));
    return stage(planned, known, new Set(expired));
  }

  #of(node: string, live: LiveNodes): InForce {
    const all = this.#told.get(node) ?? [];
    const { connected = false, appliedRevision = -1 } = live.get(node) ?? {};
    const confirmed = all.find(({ revision }) => revision === appliedRevision);
    const possible = all.filter(({ revision }) => revision >= appliedRevision);
    const last = all.at(-1);
    return { possible, connected, ...(confirmed && { confirmed }), ...(last && { last }) };
  }

  /** These programs are handed out now, and these steps wait. */
  told(programs: ReadonlyMap<string, NodeProgram>, waiting: readonly string[], live: LiveNodes): void {
    for (const [node, program] of programs) {
      const applied = live.get(node)?.appliedRevision ?? -1;
      const before = (this.#told.get(node) ?? []).filter(({ revision }) => revision >= applied);
      const isNew = before.at(-1)?.revision !== program.revision;
      this.#told.set(node, (isNew ? [...before, program] : before).slice(-MAX_TOLD));
    }
    for (const node of [...this.#told.keys()].filter((name) => !programs.has(name))) {
      this.#told.delete(node);
    }
    const now = this.#clock();
    this.#waiting = new Map(waiting.map((step) => [step, this.#waiting.get(step) ?? now]));
  }

  /** True while some step waits for a node. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Milliseconds until the next step has waited for too long; undefined where none is going to. */
  get due(): number | undefined {
    const now = this.#clock();
    const left = [...this.#waiting.values()].map((since) => since + STEP_LIMIT_MS - now).filter((ms) => ms > 0);
    return left.length === 0 ? undefined : Math.min(...left);
  }
}
