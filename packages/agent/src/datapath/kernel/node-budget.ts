/**
 * The node's budget: the lower of the operator's limit and of the limit for CPUs. The limit for
 * CPUs outlives the agent.
 */
import type { DatapathState, NodeBudget } from '../datapath.ts';
import type { BudgetCounts } from './budget-counts.ts';
import { decodeBudgetRate, encodeBudget, u32Key } from './layout.ts';
import type { TableWriter } from './table-writer.ts';

const NODE_BUDGET = 0;
const KEY = u32Key(NODE_BUDGET);

export class NodeBudgetWriter {
  readonly #rates: TableWriter;
  readonly #counts: BudgetCounts;
  /** Bytes a second; 0: no limit. */
  #allowed = 0;
  #left: number;

  constructor(rates: TableWriter, counts: BudgetCounts) {
    this.#rates = rates;
    this.#counts = counts;
    const found = rates.get(KEY);
    this.#left = found ? decodeBudgetRate(found) : 0;
  }

  /**
   * Sets the limit of a new state. The stored limit for CPUs is dropped if the state does not
   * protect CPUs.
   */
  remember({ maxRate, protectCpu }: DatapathState): void {
    // The stored limit is the operator's, written by an earlier run, and not a limit for CPUs.
    if (!protectCpu || this.#left === maxRate) {
      this.#left = 0;
    }
    this.#allowed = maxRate ?? 0;
  }

  /** The row that is in force: key in hex, and value. */
  row(): [key: string, value: Buffer] {
    const limits = [this.#allowed, this.#left].filter((rate) => rate > 0);
    return [KEY.toString('hex'), encodeBudget(limits.length > 0 ? Math.min(...limits) : 0)];
  }

  set(rate: number): void {
    this.#left = rate;
    this.#rates.write(new Map([this.row()]));
  }

  read(): NodeBudget {
    return { rate: this.#left, ...this.#counts.read(NODE_BUDGET) };
  }
}
