/** What agents have counted, as far as it is believed. */
import { atOnce } from '@mirrorplane/base';
import { copyAddresses, type HeardCounters } from '@mirrorplane/contract';
import type { CounterJudge, RefusedCounts } from './counted.ts';
import { CounterPace } from './counter-pace.ts';
import { CounterTotals, type SavedTotals } from './counter-totals.ts';
import type { KeptNodes } from './kept-nodes.ts';

/** Milliseconds that refused counters stay a problem of their node. */
const REFUSED_COUNTERS_MS = 60_000;

/** Milliseconds that a report may be late. */
const SPARE_MS = 2000;

/** The counters of nodes, as far as they are believed. A part of `LiveNodes`. */
export class NodeCounters {
  readonly #nodes: KeptNodes;
  /** How often nodes report. */
  readonly pace: CounterPace;

  constructor(nodes: KeptNodes) {
    this.#nodes = nodes;
    this.pace = new CounterPace(nodes.steady);
  }

  /**
   * Takes a report of the agent, or the part of one that a message is.
   * @param judge says which counters are believed
   * @param isPlanned whether there is a plan, without which the judge knows less
   * @returns what was refused
   */
  take(name: string, message: HeardCounters, judge: CounterJudge, isPlanned: boolean): RefusedCounts {
    const node = this.#nodes.ensure(name);
    const { reading, report, budgets, traffic } = message;
    const refused = node.counters.take(report, judge, reading === undefined);
    node.reading = reading;
    node.budgets = budgets ?? [];
    const now = this.#nodes.now();
    const readAt = node.readings.readAt(reading, now);
    const steadyAt = node.steadyTimes.at(reading, this.#nodes.steady());
    if (traffic) {
      node.traffic.take(traffic, steadyAt, node.devices);
    }
    if (!node.readings.isPart(reading)) {
      node.countersAt = new Date(readAt).toISOString();
      const readingsOf = (other: string) => this.#nodes.get(other)?.readings;
      node.readings.take(name, node.counters.ends(), { readAt, now }, readingsOf);
      node.grown.add(readAt, node.counters.takeGrown(), this.pace.everyMs + SPARE_MS);
    }
    // A report in several messages is complete when the reading arrives.
    const isPart = reading === undefined || !isPlanned;
    node.unseen &&= isPart;
    node.isFirst &&= isPart;
    node.completeAt = reading || node.completeAt === undefined ? now : node.completeAt;
    return refused;
  }

  /**
   * Some counters of a node were refused, or (`message` undefined) none of a report were. What was refused stays a problem for a
   * while. Returns whether there was none before.
   */
  refused(name: string, message: string | undefined): boolean {
    const node = this.#nodes.get(name);
    const before = node?.refusedCounters;
    if (node && message !== undefined) {
      node.refusedCounters = { message, at: this.#nodes.now() };
      return before === undefined;
    }
    if (node && before && this.#nodes.now() - before.at > REFUSED_COUNTERS_MS) {
      node.refusedCounters = undefined;
    }
    return false;
  }

  /**
   * Looks for forged copies in a report of a node.
   * @param newest revision of the newest program of a node
   */
  judgeForged(name: string, { reading, report }: HeardCounters, newest: (node: string) => number | undefined): void {
    // A report in several messages is judged once.
    if (reading === undefined) {
      return;
    }
    const isCurrent = (address: string) => {
      const sender = [...this.#nodes.all.values()].find(({ underlay }) => copyAddresses(underlay).includes(address));
      return sender?.connected === true && sender.appliedRevision === newest(sender.name);
    };
    this.#nodes.get(name)?.forged.take(report, isCurrent, this.#nodes.now());
  }

  /** Takes over counters as they were saved. @param at time of the last ones, ISO 8601 */
  restore(name: string, totals: SavedTotals, at: string | undefined): void {
    const node = this.#nodes.ensure(name);
    node.counters = CounterTotals.restore(totals);
    node.countersAt = at;
  }

  /** A period of `LATELY_MS` is over. @param keep whether a policy is still there, by its uid */
  tick(keep: (policy: string) => boolean): void {
    atOnce(this.tickInSteps(keep));
  }

  /** The same, one node at each step. */
  *tickInSteps(keep: (policy: string) => boolean): Generator<undefined> {
    for (const { counters, readings, countersAt } of this.#nodes.all.values()) {
      counters.prune(keep);
      counters.tick(readings.arrivedBefore, countersAt);
      readings.prune(keep);
      yield;
    }
  }

  /** The totals of a node, to be saved; undefined where they are as they were when it was asked last. */
  toSave(name: string): SavedTotals | undefined {
    const counters = this.#nodes.get(name)?.counters;
    return counters?.changed ? counters.save() : undefined;
  }
}
