/**
 * Runs schedules in this process, which has loaded the hooks. It writes one JSON line for each that
 * failed, and one at the end.
 */
import { hasSeveral } from './core/several.ts';
import { install } from './edges/globals.ts';
import { runSchedule } from './schedule.ts';

/** What a worker does. */
export interface WorkerOrder {
  /** The first seed, and the distance to the next. */
  first: number;
  stride: number;
  /** The most schedules, and the most seconds. */
  runs: number;
  seconds: number;
  /** True: only schedules with several controllers. False: only those with one. Default: all. */
  several?: boolean | undefined;
  /** Lines of the trace that are kept. */
  traceLines: number;
}

/** The last line of a worker. */
export interface WorkerTotals {
  done: number;
  failed: number;
  steps: number;
  /** Of CPU time. */
  seconds: number;
}

const order = JSON.parse(process.argv[2]!) as WorkerOrder;
install();
const ends = Date.now() + order.seconds * 1000;
const totals: WorkerTotals = { done: 0, failed: 0, steps: 0, seconds: 0 };
for (let seed = order.first; totals.done < order.runs && Date.now() < ends; seed += order.stride) {
  if (order.several !== undefined && hasSeveral(seed) !== order.several) {
    continue;
  }
  const outcome = await runSchedule(seed, order.traceLines);
  totals.done++;
  totals.steps += outcome.steps;
  if (outcome.violation !== undefined || order.traceLines > 0) {
    totals.failed += outcome.violation === undefined ? 0 : 1;
    console.log(JSON.stringify(outcome));
  }
}
const { user, system } = process.cpuUsage();
console.log(JSON.stringify({ ...totals, seconds: (user + system) / 1e6 }));
