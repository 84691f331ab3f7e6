/** Runs schedules in processes of their own, as many as there are CPUs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './schedule.ts';
import type { WorkerOrder, WorkerTotals } from './worker.ts';

export interface SeedsOptions {
  first: number;
  /** The most schedules. Default no limit */
  runs?: number;
  /** The most seconds. Default no limit */
  seconds?: number;
  /** True: only schedules with several controllers. False: only those with one. Default: all */
  several?: boolean | undefined;
  /** Lines of the trace that are kept. Default 0 */
  traceLines?: number;
  /** Name of a mutation to plant. Default none */
  mutation?: string;
  /** Ends with the first schedule that fails. Default false */
  untilFailed?: boolean;
  /** Processes. Default one for each CPU */
  workers?: number;
}

/** What became of all schedules; `outcomes` has those that failed, and those with a trace. */
export interface Report extends WorkerTotals {
  outcomes: Outcome[];
}

const at = (file: string) => fileURLToPath(new URL(file, import.meta.url));
const FOREVER = 2 ** 31;

/** Runs the schedules of seeds, beginning with `first`. @throws Error if a worker breaks */
export async function runSeeds(options: SeedsOptions): Promise<Report> {
  const { first, runs = FOREVER, seconds = FOREVER, traceLines = 0, several } = options;
  const workers = Math.min(options.workers ?? availableParallelism(), runs);
  const report: Report = { done: 0, failed: 0, steps: 0, seconds: 0, outcomes: [] };
  const children = new Set<ChildProcess>();
  const ended = new AbortController();
  const one = async (index: number) => {
    const share = Math.floor(runs / workers) + (index < runs % workers ? 1 : 0);
    const order: WorkerOrder = { first: first + index, stride: workers, runs: share, seconds, traceLines, several };
    const child = spawn(process.execPath, ['--import', at('hooks.ts'), at('worker.ts'), JSON.stringify(order)], {
      env: { ...process.env, SIMULATION_MUTATION: options.mutation },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.add(child);
    const exit = new Promise((resolve) => child.once('close', resolve));
    for await (const line of createInterface({ input: child.stdout })) {
      const said = JSON.parse(line) as Outcome | WorkerTotals;
      if ('seed' in said) {
        report.outcomes.push(said);
        report.failed += said.violation === undefined ? 0 : 1;
        if (said.violation !== undefined && options.untilFailed) {
          ended.abort();
          for (const other of children) {
            other.kill('SIGKILL');
          }
        }
      } else {
        report.done += said.done;
        report.steps += said.steps;
        report.seconds += said.seconds;
      }
    }
    if ((await exit) !== 0 && !ended.signal.aborted) {
      throw new Error(`a worker of the simulation has ended with ${String(await exit)}`);
    }
  };
  await Promise.all(Array.from({ length: workers }, (_, index) => one(index)));
  report.outcomes.sort((a, b) => a.seed - b.seed);
  return report;
}

/** A schedule that failed, for a person: its last steps, and how to see them again. */
export async function explain(seed: number, lines = 60): Promise<string> {
  const { outcomes } = await runSeeds({ first: seed, runs: 1, traceLines: lines });
  const [outcome] = outcomes;
  const replay = `again: make simulate SEED=${seed} RUNS=1`;
  return [...(outcome?.trace ?? []), `seed ${seed}: ${outcome?.violation ?? 'nothing is wrong'}`, replay].join('\n');
}
