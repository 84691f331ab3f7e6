/** Buckets of budgets, and what each CPU has of them. Only the data plane writes them otherwise. */
import type { MapName } from './install.ts';
import { decodeRefused, LAYOUT, LOCKED_BUCKET_SIZE, sumPerCpu, u32Key } from './layout.ts';
import { type BpfMap, possibleCpus } from './libbpf.ts';

export class BudgetCounts {
  readonly #maps: Pick<Record<MapName, BpfMap>, 'budget_buckets' | 'budget_shares'>;
  readonly #shares = LAYOUT.budget_share.size * possibleCpus();

  constructor(maps: Pick<Record<MapName, BpfMap>, 'budget_buckets' | 'budget_shares'>) {
    this.#maps = maps;
  }

  /** Bytes that passed on all CPUs, and packets that were refused, since `reset`. */
  read(key: number): { passed: number; refused: number } {
    const bucket = Buffer.alloc(LOCKED_BUCKET_SIZE);
    const shares = Buffer.alloc(this.#shares);
    this.#maps.budget_buckets.lookup(u32Key(key), bucket);
    this.#maps.budget_shares.lookup(u32Key(key), shares);
    const passed = sumPerCpu(shares, LAYOUT.budget_share.size)[LAYOUT.budget_share.fields.passed / 8]!;
    return { passed, refused: decodeRefused(bucket) };
  }

  /** The bucket is full at its first use, and no CPU has anything of it. */
  reset(key: number): void {
    this.#maps.budget_shares.update(u32Key(key), Buffer.alloc(this.#shares));
    this.#maps.budget_buckets.update(u32Key(key), Buffer.alloc(LOCKED_BUCKET_SIZE));
  }
}
