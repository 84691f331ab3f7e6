/**
 * One test on its way: what nodes have answered, and whether more is to be expected. A node is
 * believed only what it was asked about.
 */
import type { ProbeCounts, TestReportMessage } from '@mirrorplane/contract';
import { type TestPlan, taskOf } from './test-plan.ts';

/** Milliseconds. */
export const WAITS = {
  /** For the node of the destination to expect the probes. Then they are made in any case. */
  ready: 2000,
  /** For nodes to say that they have made their probes. */
  made: 4000,
  /** For what is still on its way, after the last answer. */
  settled: 1500,
} as const;

/** What one node has said. */
interface Answer {
  counts: Map<string, ProbeCounts>;
  problems: Map<string, string>;
}

/** Answers of nodes to one test. */
export class RunningTest {
  readonly plan: TestPlan;
  /** Whether probes are made already. */
  making = false;
  readonly #answers = new Map<string, Answer>();
  readonly #isConnected: (node: string) => boolean;
  readonly #now: () => number;
  #phaseAt: number;
  #changedAt: number;

  /** @param now milliseconds of any clock that does not jump */
  constructor(plan: TestPlan, isConnected: (node: string) => boolean, now: () => number) {
    this.plan = plan;
    this.#isConnected = isConnected;
    this.#now = now;
    this.#phaseAt = now();
    this.#changedAt = now();
  }

  /** All nodes that take part. */
  get nodes(): ReadonlySet<string> {
    return new Set([this.plan.to, ...this.plan.sources.map(({ node }) => node)]);
  }

  /** What a node has said. Empty: nothing. */
  answerOf(node: string): Answer {
    return this.#answers.get(node) ?? { counts: new Map(), problems: new Map() };
  }

  /** Takes a report. Probes that the node neither makes nor expects are ignored. */
  report(node: string, { probes }: TestReportMessage): void {
    const task = taskOf(this.plan, node, true);
    const own = new Set([...(task?.makes.map(({ probe }) => probe) ?? []), ...(task?.expects ?? [])]);
    const ours = probes.filter(({ probe }) => own.has(probe));
    this.#answers.set(node, {
      counts: new Map(ours.map(({ probe, counts }) => [probe, counts])),
      problems: new Map(ours.flatMap(({ probe, problem }) => (problem === undefined ? [] : [[probe, problem]]))),
    });
    this.#changedAt = this.#now();
  }

  /** Probes are to be made now: the node of the destination expects them, or does not answer. */
  get isReady(): boolean {
    const expects = taskOf(this.plan, this.plan.to, false)?.expects ?? [];
    const { counts } = this.answerOf(this.plan.to);
    const expected = expects.every((probe) => counts.has(probe));
    return expected || !this.#isConnected(this.plan.to) || this.#now() - this.#phaseAt >= WAITS.ready;
  }

  /** Begins to make probes. */
  make(): void {
    this.making = true;
    this.#phaseAt = this.#now();
    this.#changedAt = this.#now();
  }

  /** Nothing more is to be expected. */
  get isDone(): boolean {
    const { sources } = this.plan;
    const waiting = sources.filter(({ node }) => this.#isConnected(node) && !this.#hasMade(node));
    if (waiting.length > 0) {
      return this.#now() - this.#phaseAt >= WAITS.made;
    }
    return this.#allThere() || this.#now() - this.#changedAt >= WAITS.settled;
  }

  #hasMade(node: string): boolean {
    const { counts, problems } = this.answerOf(node);
    const probes = this.plan.sources.find((source) => source.node === node)?.probes ?? [];
    return probes.every(({ probe }) => problems.has(probe) || (counts.get(probe)?.made.packets ?? 0) > 0);
  }

  /** All that was sent has been delivered or refused. */
  #allThere(): boolean {
    const { sources, to } = this.plan;
    const target = this.answerOf(to).counts;
    return sources.every(({ node, probes }) => {
      const { counts } = this.answerOf(node);
      return (
        node === to ||
        probes.every(({ probe }) => {
          const end = target.get(probe);
          const ended = (end?.delivered.packets ?? 0) + sumOf(end?.refused ?? {});
          return ended >= (counts.get(probe)?.sent.packets ?? 0);
        })
      );
    });
  }
}

function sumOf(counts: ProbeCounts['refused']): number {
  return Object.values(counts).reduce((sum, { packets }) => sum + packets, 0);
}
