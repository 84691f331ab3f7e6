/**
 * Budgets of the devices by which copies leave the node. Their rates outlive the agent; `apply`
 * leaves them alone.
 */
import type { DatapathState, DeviceBudget } from '../datapath.ts';
import type { BudgetCounts } from './budget-counts.ts';
import { DEVICE_BURST, decodeBudgetRate, encodeBudget, LAYOUT, u32Key } from './layout.ts';
import { deviceBudgetKey, leaves, uplinkOf } from './rows.ts';
import type { Slots } from './slots.ts';
import type { TableWriter } from './table-writer.ts';

export class DeviceBudgets {
  readonly #rates: TableWriter;
  readonly #counts: BudgetCounts;
  readonly #slots: Slots;
  #ifindexes: ReadonlySet<number> = new Set();
  /** There are other devices than at the last call of `haveMoved`. */
  #areOthers = true;

  constructor(rates: TableWriter, counts: BudgetCounts, slots: Slots) {
    this.#rates = rates;
    this.#counts = counts;
    this.#slots = slots;
  }

  /** Sets the devices of a new state. */
  remember(state: DatapathState): void {
    const ifindexes = new Set(state.protect ? state.deliveries.filter(leaves).map(uplinkOf) : []);
    this.#areOthers ||= ifindexes.symmetricDifference(this.#ifindexes).size > 0;
    this.#ifindexes = ifindexes;
  }

  /** Ids that must keep their slots. */
  named(): ReadonlySet<string> {
    return new Set([...this.#ifindexes].map(String));
  }

  /** Resets a slot, without a limit, before its new owner uses it. */
  reset(slot: number): void {
    this.#write(slot, 0);
    this.refill(deviceBudgetKey(slot));
  }

  /** Resets a bucket. It is full at its first use. */
  refill(key: number): void {
    this.#counts.reset(key);
  }

  set(rates: ReadonlyMap<number, number>): void {
    for (const [ifindex, rate] of rates) {
      const slot = this.#slots.find('device', String(ifindex));
      if (slot !== undefined) {
        this.#write(slot, rate);
      }
    }
  }

  /** Whether a budget was used since the last call, or the devices are others. True the first time. */
  haveMoved(): boolean {
    let moved = this.#areOthers;
    this.#areOthers = false;
    for (const ifindex of this.#ifindexes) {
      const slot = this.#slots.find('device', String(ifindex));
      // Each is asked, so that one that was used is not news again the next time.
      moved = (slot !== undefined && this.#counts.haveChanged(deviceBudgetKey(slot))) || moved;
    }
    return moved;
  }

  read(): DeviceBudget[] {
    return [...this.#ifindexes].flatMap((ifindex) => {
      const slot = this.#slots.find('device', String(ifindex));
      if (slot === undefined) {
        return [];
      }
      const key = deviceBudgetKey(slot);
      const rate = decodeBudgetRate(this.#rates.get(u32Key(key)) ?? Buffer.alloc(LAYOUT.budget.size));
      return [{ ifindex, rate, ...this.#counts.read(key) }];
    });
  }

  #write(slot: number, rate: number): void {
    this.#rates.write(new Map([[u32Key(deviceBudgetKey(slot)).toString('hex'), encodeBudget(rate, DEVICE_BURST)]]));
  }
}
