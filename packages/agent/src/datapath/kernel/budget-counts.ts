/** Buckets of budgets, and what each CPU has of them. Only the data plane writes them otherwise. */
import type { MapName } from './install.ts';
import { decodeRefused, LAYOUT, LOCKED_BUCKET_SIZE, sumPerCpu, u32Key } from './layout.ts';
import { type BpfMap, possibleCpus } from './libbpf.ts';

export class BudgetCounts {
  readonly #maps: Pick<Record<MapName, BpfMap>, 'budget_buckets' | 'budget_shares'>;
  readonly #shares = LAYOUT.budget_share.size * possibleCpus();
  /** By key: the bytes of the bucket and its shares at the last call of `haveChanged`. */
  readonly #seen = new Map<number, Buffer>();
  readonly #found = Buffer.alloc(LOCKED_BUCKET_SIZE + this.#shares);

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

  /** Whether anything has passed or was refused since the last call. True the first time. */
  haveChanged(key: number): boolean {
    const name = u32Key(key);
    this.#maps.budget_buckets.lookup(name, this.#found.subarray(0, LOCKED_BUCKET_SIZE));
    this.#maps.budget_shares.lookup(name, this.#found.subarray(LOCKED_BUCKET_SIZE));
    const seen = this.#seen.get(key);
    if (seen?.equals(this.#found)) {
      return false;
    }
    this.#seen.set(key, Buffer.from(this.#found));
    return true;
  }

  /** The bucket is full at its first use, and no CPU has anything of it. */
  reset(key: number): void {
    this.#maps.budget_shares.update(u32Key(key), Buffer.alloc(this.#shares));
    this.#maps.budget_buckets.update(u32Key(key), Buffer.alloc(LOCKED_BUCKET_SIZE));
  }
}
