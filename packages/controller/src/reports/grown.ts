/** How much the counters of a node have grown, second by second: what rates are made of. Pure but for what it remembers. */
import {
  type CaptureReport,
  type Count,
  type DeliveryReport,
  DROP_REASONS,
  type DropReason,
  parseDeliveryId,
  type TerminationReport,
} from '@mirrorplane/contract';
import { innerOf } from '@mirrorplane/planner';

/** Amounts by what they are of: as `copied`, `copied:bytes`, `dropped overBudget`, `sent node-2`, `arrived node-1`. */
export type Amounts = Map<string, number>;
/** Amounts by the uid of a policy. */
export type Grown = Map<string, Amounts>;

/** Names of what was dropped, by reason. */
const DROPPED = Object.fromEntries(DROP_REASONS.map((reason) => [reason, `dropped ${reason}`])) as Record<
  DropReason,
  string
>;

/** Milliseconds of one slot. */
export const SLOT_MS = 1000;
/** Slots that are kept: a report comes some seconds after what it tells (`COUNTER_INTERVAL_MS`), or a little later. */
const KEPT = 16;

/** Adds the growth of one report, from what it said before. Most captures of a large cluster are idle: that costs nothing. */
export function addCaptureGrowth(into: Grown, { policy, counts }: CaptureReport, before?: CaptureReport): void {
  const then = before?.counts;
  if (then && counts.matched.packets === then.matched.packets) {
    return;
  }
  const amounts = amountsOf(into, policy);
  addCount(amounts, 'matched', counts.matched, then?.matched);
  addCount(amounts, 'copied', counts.copied, then?.copied);
  for (const reason in counts.dropped) {
    const name = reason as keyof typeof counts.dropped;
    addCount(amounts, DROPPED[name], counts.dropped[name], then?.dropped[name]);
  }
}

/** What left for another node is `sent NODE`; what was handed to the destination is `delivered`. Bytes are of the copies. */
export function addDeliveryGrowth(into: Grown, report: DeliveryReport, before?: DeliveryReport): void {
  const parts = parseDeliveryId(report.delivery);
  if (parts) {
    const names = parts.kind === 'erspan' ? [`sent ${parts.node}`, 'sent'] : ['delivered'];
    const then = before && innerOf(parts.kind, before.sent);
    for (const name of names) {
      addCount(amountsOf(into, report.policy), name, innerOf(parts.kind, report.sent), then);
    }
  }
}

/** What came from another node: `arrived NODE`, which is `delivered` too. */
export function addTerminationGrowth(into: Grown, report: TerminationReport, before?: TerminationReport): void {
  const names = [`arrived ${report.node}`, 'delivered'];
  for (const name of names) {
    addCount(amountsOf(into, report.policy), name, report.delivered, before?.delivered);
  }
}

function amountsOf(grown: Grown, policy: string): Amounts {
  const found = grown.get(policy) ?? new Map<string, number>();
  grown.set(policy, found);
  return found;
}

function addCount(amounts: Amounts, name: string, now: Count | undefined, before: Count | undefined): void {
  const packets = (now?.packets ?? 0) - (before?.packets ?? 0);
  if (packets > 0) {
    const inBytes = `${name}:bytes`;
    const bytes = (now?.bytes ?? 0) - (before?.bytes ?? 0);
    amounts.set(name, (amounts.get(name) ?? 0) + packets);
    amounts.set(inBytes, (amounts.get(inBytes) ?? 0) + bytes);
  }
}

/** What has grown within one second. */
export interface Slot {
  /** Seconds since 1970 at its begin. */
  second: number;
  /** Milliseconds of it that reports tell of. */
  covered: number;
  grown: Grown;
}

/** What has grown from one report to the next. */
interface Told {
  /** Milliseconds since 1970. */
  from: number;
  until: number;
  grown: Grown;
}

/**
 * The last seconds of one node. Its reports are kept, and a second is made of them when it is asked for.
 * Reports that come faster than once a second are joined, so there are two for each second at most.
 */
export class GrownSlots {
  /** The newest last. */
  #told: readonly Told[] = [];
  #readAt: number | undefined;

  /**
   * A whole report has come: what has grown since the one before is spread over the time between them.
   * @param readAt when it was read, milliseconds since 1970
   * @param grown is its own from now on
   * @param longestMs between two reports. Beyond it, nobody knows when what was counted meanwhile has come
   */
  add(readAt: number, grown: Grown, longestMs: number): void {
    const from = this.#readAt;
    this.#readAt = readAt;
    if (from === undefined || readAt <= from || readAt - from > longestMs) {
      return;
    }
    const last = this.#told.at(-1);
    if (last?.until === from && readAt - last.from < SLOT_MS) {
      addShare(last.grown, grown, 1);
      last.until = readAt;
      return;
    }
    const oldest = readAt - KEPT * SLOT_MS;
    this.#told = [...this.#told.filter(({ until }) => until > oldest), { from, until: readAt, grown }];
  }

  /** Reports that are kept: two for each second at most. */
  get size(): number {
    return this.#told.length;
  }

  /** A second; undefined: nothing is known of it. */
  at(second: number): Slot | undefined {
    const [begin, end] = [second * SLOT_MS, (second + 1) * SLOT_MS];
    const all = this.#told.filter(({ from, until }) => from < end && until > begin);
    if (all.length === 0) {
      return undefined;
    }
    const slot: Slot = { second, covered: 0, grown: new Map() };
    for (const { from, until, grown } of all) {
      const covered = Math.min(until, end) - Math.max(from, begin);
      slot.covered += covered;
      addShare(slot.grown, grown, covered / (until - from));
    }
    return slot;
  }
}

function addShare(into: Grown, grown: Grown, share: number): void {
  for (const [policy, amounts] of grown) {
    const sums = amountsOf(into, policy);
    for (const [name, amount] of amounts) {
      sums.set(name, (sums.get(name) ?? 0) + share * amount);
    }
  }
}
