/**
 * Seconds of load as `make scale` puts it on a cluster: reports of all nodes, guests that migrate, an
 * edit, and people who read. They come one after the other and not by a clock, so that what each
 * second costs, and how long each turn takes, does not depend on who else uses the CPUs.
 */
import { setImmediate as turn } from 'node:timers/promises';
import { policyName, sourceId } from '../scale/names.ts';
import type { World } from './world.ts';

/** Seconds between two reports of a node. */
const REPORT_SECONDS = 5;
/** The share of interfaces that move in a second. */
const MOVING = 0.01 / 60;
/** Steps of a second. */
const STEPS = 20;

/** What people read: one after the other. */
const READS: readonly [what: string, path: string, query: Record<string, unknown>][] = [
  ['list of policies', '/api/v1/policies', {}],
  ['list of interfaces', '/api/v1/interfaces', {}],
  ['list of nodes', '/api/v1/nodes', {}],
  ['search of interfaces', '/api/v1/interfaces', { filter: 'vm-7-' }],
  ['search of policies', '/api/v1/policies', { filter: 'p-7' }],
];

/** Milliseconds of CPU time. */
export interface LoadCosts {
  /** All of each second. */
  seconds: number[];
  /** Each turn of the event loop. */
  turns: number[];
  /** From the request until its answer, by what is read. What else has its turn meanwhile is a part of it. */
  reads: Map<string, number[]>;
  /** From an edit until all nodes of its pool were told, and until all have confirmed. */
  told: number[];
  confirmed: number[];
}

/** @param seconds how many @param cpuMs CPU time of this thread so far, milliseconds */
export async function underLoad(world: World, seconds: number, cpuMs: () => number): Promise<LoadCosts> {
  const costs: LoadCosts = { seconds: [], turns: [], reads: new Map(), told: [], confirmed: [] };
  const { nodes } = world;
  const perSecond = nodes.length * 100 * MOVING;
  let [reports, moves, reads, last, isOver] = [0, 0, 0, cpuMs(), false];
  const look = () => {
    const now = cpuMs();
    costs.turns.push(now - last);
    last = now;
    if (!isOver) {
      setImmediate(look);
    }
  };
  setImmediate(look);
  /** Guests that are on two nodes. */
  const leaving: { id: string; from: number }[][] = [];
  const move = () => {
    const from = moves++ % nodes.length;
    const id = sourceId(from + 1, 1 + (Math.floor(moves / nodes.length) % 100));
    const to = (from + 1) % 50 === 0 ? from - 49 : from + 1;
    nodes[to]!.add(id);
    nodes[to]!.inventory();
    return { id, from };
  };
  const confirm = () => {
    for (const node of nodes) {
      if (node.isBehind) {
        node.status();
      }
    }
  };
  const read = async () => {
    const [what, path, query] = READS[reads++ % READS.length]!;
    const began = cpuMs();
    await world.get(path, { limit: 100, view: 'summary', ...query });
    costs.reads.set(what, [...(costs.reads.get(what) ?? []), cpuMs() - began]);
  };
  const edit = async (second: number) => {
    const began = cpuMs();
    await world.edit(policyName(1 + ((second * 50) % nodes.length)), { percent: 99 - (second % 90) });
    await world.services.planning.settled();
    costs.told.push(cpuMs() - began);
    while (nodes.some(({ isBehind }) => isBehind)) {
      confirm();
      await world.heard();
    }
    costs.confirmed.push(cpuMs() - began);
  };
  let due = 0;
  for (let second = 0; second < seconds; second++) {
    const began = cpuMs();
    const waiting: Promise<void>[] = [];
    for (let step = 0; step < STEPS; step++) {
      for (let count = nodes.length / REPORT_SECONDS / STEPS; count > 0; count--) {
        nodes[reports++ % nodes.length]!.counters();
        await turn();
      }
      const appeared: { id: string; from: number }[] = [];
      for (due += perSecond / STEPS; due >= 1; due--) {
        appeared.push(move());
        await turn();
      }
      leaving.push(appeared);
      for (const { id, from } of leaving.length > 4 ? leaving.shift()! : []) {
        nodes[from]!.remove(id);
        nodes[from]!.inventory();
        await turn();
      }
      confirm();
      if (step % 5 === 0) {
        waiting.push(read());
      }
      if (step === 7) {
        waiting.push(edit(second));
      }
      await world.heard();
    }
    await Promise.all(waiting);
    costs.seconds.push(cpuMs() - began);
  }
  isOver = true;
  return costs;
}
