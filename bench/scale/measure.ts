/** Measures one size of a cluster: a controller, simulated nodes, and load. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { ControllerProcess, usageOf } from './controller-process.ts';
import { fillStore } from './fill.ts';
import { Fleet, pools } from './fleet.ts';
import { Load } from './load.ts';
import { nodesOf, poolName, type Size } from './names.ts';
import { type ScaleRow, scaleRow } from './percentiles.ts';

const MIB = 1 << 20;

export interface MeasureOptions {
  size: Size;
  /** Seconds of load, and of rest before it. */
  seconds: { rest: number; load: number };
  /** The share of interfaces that move in a minute, under load. Default 0.01. */
  moving?: number;
  /** Milliseconds that one step may take at most: joining, settling, starting, coming back. */
  limitMs: number;
  /** Folder for a profile of the controller's CPU; undefined: none. */
  profile?: string | undefined;
  say: (line: string) => void;
}

/** The rows so far, also where a step has failed: then `failure` says which. */
export interface Measured {
  rows: ScaleRow[];
  failure?: string;
}

export async function measure(options: MeasureOptions): Promise<Measured> {
  const rows: ScaleRow[] = [];
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-scale-'));
  const data = join(folder, 'controller');
  mkdirSync(data, { mode: 0o700 });
  const controller = new ControllerProcess(data, options.profile);
  let fleet: Fleet | undefined;
  try {
    await fillStore(data, options.size);
    await controller.start(options.limitMs);
    fleet = Fleet.start(options.size, {
      controller: `127.0.0.1:${controller.agentPort}`,
      tokens: await joinTokens(controller, options.size),
      folder: join(folder, 'nodes'),
    });
    await steps(options, controller, fleet, rows);
    return { rows };
  } catch (error) {
    return { rows, failure: (error as Error).message };
  } finally {
    await fleet?.close();
    await controller.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What the steps share. */
interface Run extends MeasureOptions {
  controller: ControllerProcess;
  fleet: Fleet;
  /** Adds a row. */
  add: (name: string, unit: string, ...values: number[]) => void;
}

async function steps(options: MeasureOptions, controller: ControllerProcess, fleet: Fleet, rows: ScaleRow[]) {
  const { nodes } = options.size;
  const add = (name: string, unit: string, ...values: number[]) => {
    rows.push(scaleRow(nodes, name, unit, values));
  };
  const run: Run = { ...options, controller, fleet, add };
  await connect(run);
  await putLoad(run, await rest(run));
  await restart(run);
}

async function connect({ size: { nodes }, controller, fleet, limitMs, say, add }: Run): Promise<void> {
  await fleet.joined(limitMs);
  say(`${nodes} nodes have joined, and connect`);
  const began = performance.now();
  fleet.connect();
  await allBack(controller, fleet, nodes, limitMs);
  add('connect/all nodes capture', 's', (performance.now() - began) / 1000);
}

/** @returns bytes a second to all agents */
async function rest({ size: { nodes }, seconds, controller, say, add }: Run): Promise<number> {
  say(`rest for ${seconds.rest} s`);
  const spent = await used(controller, () => sleep(seconds.rest * 1000));
  const perAgent = nodes * spent.seconds;
  add('rest/CPU of the controller per agent', 'ms/s', (spent.cpu * 1000) / perAgent);
  add('rest/bytes from each agent', 'B/s', spent.received / perAgent);
  add('rest/bytes to each agent', 'B/s', spent.sent / perAgent);
  return spent.sent / spent.seconds;
}

/** @param atRest bytes a second to all agents without load */
async function putLoad(run: Run, atRest: number): Promise<void> {
  const { size, seconds, moving = 0.01, controller, fleet, say, add } = run;
  const { nodes } = size;
  say(`load for ${seconds.load} s`);
  const load = new Load(controller, fleet, size, moving);
  const before = fleetUsage(fleet);
  const spent = await used(controller, () => load.run(seconds.load * 1000));
  const { edits, shown, lists, searches, moves } = load.times;
  add('edit/last agent acknowledged', 'ms', ...edits);
  add('move/captured on the new node', 'ms', ...fleet.moves);
  add('move/shown by the controller', 'ms', ...shown);
  add('read/list', 'ms', ...lists);
  add('read/search', 'ms', ...searches);
  const bytes = spent.sent - atRest * spent.seconds;
  add('load/bytes to agents per change', 'kB', bytes / (edits.length + moves) / 1000);
  const after = fleetUsage(fleet);
  const perAgent = nodes * spent.seconds;
  add('load/CPU of the controller per agent', 'ms/s', (spent.cpu * 1000) / perAgent);
  add('load/CPU of each simulated agent', 'ms/s', ((after.cpu - before.cpu) * 1000) / perAgent);
  const { memory, mostMemory } = controller.usage();
  add('memory of the controller', 'MiB', memory / MIB);
  add('memory of the controller at most', 'MiB', mostMemory / MIB);
  add('memory of each simulated agent', 'MiB', after.memory / nodes / MIB);
}

async function restart({ size: { nodes }, controller, fleet, limitMs, say, add }: Run): Promise<void> {
  say('restart of the controller');
  await controller.stop();
  add('start from a full store', 's', (await controller.start(limitMs)) / 1000);
  const started = performance.now();
  await allBack(controller, fleet, nodes, limitMs);
  add('restart/all agents are back', 's', (performance.now() - started) / 1000);
  // All connections are new ones.
  add('restart/bytes to each agent', 'kB', controller.traffic().sent / nodes / 1000);
}

/** CPU time in seconds and memory in bytes of all processes with simulated nodes. */
function fleetUsage({ pids }: Fleet): { cpu: number; memory: number } {
  const all = pids.map(usageOf);
  const sum = (values: number[]) => values.reduce((a, b) => a + b, 0);
  return { cpu: sum(all.map(({ cpu }) => cpu)), memory: sum(all.map(({ memory }) => memory)) };
}

/** What a time has cost the controller. */
async function used(controller: ControllerProcess, action: () => Promise<unknown>) {
  const [usage, traffic, began] = [controller.usage(), controller.traffic(), performance.now()];
  await action();
  const [usageAfter, trafficAfter] = [controller.usage(), controller.traffic()];
  return {
    seconds: (performance.now() - began) / 1000,
    cpu: usageAfter.cpu - usage.cpu,
    sent: trafficAfter.sent - traffic.sent,
    received: trafficAfter.received - traffic.received,
  };
}

/** Waits until every node is connected, and captures all sources that it has. */
async function allBack(controller: ControllerProcess, fleet: Fleet, nodes: number, limitMs: number): Promise<void> {
  await reached(`${nodes} nodes to be connected`, nodes, limitMs, () => controller.connected());
  await reached(`${nodes} nodes to capture`, nodes, limitMs, () => fleet.capturing());
}

/** Waits until a count is reached. @throws Error that says how far it came */
async function reached(what: string, wanted: number, limitMs: number, count: () => Promise<number>): Promise<void> {
  let last = 0;
  const check = async () => {
    last = await count();
    return last === wanted;
  };
  await until(what, check, { limitMs, pauseMs: 50 }).catch((error: Error) => {
    throw new Error(`${error.message}, but ${last}`);
  });
}

/** A join token for each pool, by its number. */
async function joinTokens(controller: ControllerProcess, size: Size): Promise<Record<number, string>> {
  const tokens: Record<number, string> = {};
  for (const pool of pools(size)) {
    const { first, last } = nodesOf(pool, size);
    const spec = { pool: poolName(pool), uses: last - first + 1 };
    tokens[pool] = (await controller.api<{ token: string }>('POST', '/api/v1/join-tokens', spec)).token;
  }
  return tokens;
}
