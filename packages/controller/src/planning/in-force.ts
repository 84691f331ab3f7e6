/**
 * Remembers the programs that nodes were sent until they confirm them, so that both ends of a path
 * change in order.
 */
import { type InForce, type PlannedProgram, type Staged, stage } from '@mirrorplane/planner';
import type { LiveNodes } from '../reports/live-nodes.ts';

/** Milliseconds that a step waits for a node. Then other nodes continue without it. */
export const STEP_LIMIT_MS = 5000;
/** The most remembered programs of a node that confirms none. */
const MAX_TOLD = 64;

/**
 * A program that is sent. Its content is compared by `program`: the same object is the same
 * content.
 */
export interface Told {
  program: PlannedProgram;
  revision: number;
}

const NONE: readonly Told[] = [];

export class ProgramsInForce {
  readonly #clock: () => number;
  /** By node, oldest first. */
  readonly #told = new Map<string, readonly Told[]>();
  /** What is known of each node, and what that was made of. */
  readonly #known = new Map<string, { of: readonly unknown[]; known: InForce }>();
  /** When each step began to wait. */
  #waiting: ReadonlyMap<string, number> = new Map();

  /** @param clock milliseconds, monotonic */
  constructor(clock: () => number = () => performance.now()) {
    this.#clock = clock;
  }

  /** The programs that nodes may get now. This changes no state; `told` does. */
  stage(planned: ReadonlyMap<string, PlannedProgram>, live: LiveNodes): Staged {
    const now = this.#clock();
    const expired = [...this.#waiting].filter(([, since]) => now - since >= STEP_LIMIT_MS).map(([step]) => step);
    const known = new Map([...planned.keys()].map((node): [string, InForce] => [node, this.#of(node, live)]));
    return stage(planned, known, new Set(expired));
  }

  #of(node: string, live: LiveNodes): InForce {
    const all = this.#told.get(node) ?? NONE;
    const { connected = false, appliedRevision = -1 } = live.get(node) ?? {};
    const before = this.#known.get(node);
    if (before?.of[0] === all && before.of[1] === connected && before.of[2] === appliedRevision) {
      return before.known;
    }
    const confirmed = all.find(({ revision }) => revision === appliedRevision)?.program;
    const possible = all.flatMap(({ revision, program }) => (revision >= appliedRevision ? [program] : []));
    const last = all.at(-1)?.program;
    const known = { possible, connected, ...(confirmed && { confirmed }), ...(last && { last }) };
    this.#known.set(node, { of: [all, connected, appliedRevision], known });
    return known;
  }

  /** Records the programs that are sent now, and the waiting steps. */
  told(programs: ReadonlyMap<string, Told>, waiting: readonly string[], live: LiveNodes): void {
    for (const [node, told] of programs) {
      const before = this.#told.get(node) ?? NONE;
      // Of nearly all nodes: nothing new is sent.
      if (before.length === 1 && before[0] === told) {
        continue;
      }
      const applied = live.get(node)?.appliedRevision ?? -1;
      const others = before.filter(({ revision }) => revision >= applied && revision !== told.revision);
      this.#told.set(node, [...others, told].slice(-MAX_TOLD));
    }
    for (const node of [...this.#told.keys()].filter((name) => !programs.has(name))) {
      this.#told.delete(node);
      this.#known.delete(node);
    }
    const now = this.#clock();
    this.#waiting = new Map(waiting.map((step) => [step, this.#waiting.get(step) ?? now]));
  }

  /** True while a step waits for a node. */
  get isWaiting(): boolean {
    return this.#waiting.size > 0;
  }

  /** Milliseconds until the next step has waited too long. Undefined if no step waits. */
  get due(): number | undefined {
    const now = this.#clock();
    const left = [...this.#waiting.values()].map((since) => since + STEP_LIMIT_MS - now).filter((ms) => ms > 0);
    return left.length === 0 ? undefined : Math.min(...left);
  }
}
