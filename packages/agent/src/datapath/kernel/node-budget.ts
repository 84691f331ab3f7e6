/** The node's budget: the lower one of what the operator allows and of what CPUs leave. The latter outlives the agent. */
import type { DatapathState, NodeBudget } from '../datapath.ts';
import { decodeBucket, decodeBudgetRate, encodeBudget, LOCKED_BUCKET_SIZE, u32Key } from './layout.ts';
import type { BpfMap } from './libbpf.ts';
import type { TableWriter } from './table-writer.ts';

const KEY = u32Key(0);

export class NodeBudgetWriter {
  readonly #rates: TableWriter;
  readonly #buckets: BpfMap;
  /** Bytes a second; 0: no limit. */
  #allowed = 0;
  #left: number;

  constructor(rates: TableWriter, buckets: BpfMap) {
    this.#rates = rates;
    this.#buckets = buckets;
    const found = rates.get(KEY);
    this.#left = found ? decodeBudgetRate(found) : 0;
  }

  /** Takes what a new state allows. What was found is let go where the state does not protect the CPU. */
  remember({ maxRate, protectCpu }: DatapathState): void {
    // The limit of the operator that an earlier run wrote is not one of the CPUs.
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
    const bucket = Buffer.alloc(LOCKED_BUCKET_SIZE);
    this.#buckets.lookup(KEY, bucket);
    return { rate: this.#left, ...decodeBucket(bucket) };
  }
}
