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
  /** Milliseconds that all steps together may take at most. */
  wholeMs: number;
  /** Folder for a profile of the controller's CPU; undefined: none. */
  profile?: string | undefined;
  say: (line: string) => void;
}

/** The rows so far, and what has failed. */
export interface Measured {
  rows: ScaleRow[];
  failures: string[];
}

export async function measure(options: MeasureOptions): Promise<Measured> {
  const rows: ScaleRow[] = [];
  const failures: string[] = [];
  const ends = performance.now() + options.wholeMs;
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
    await steps({ options, controller, fleet, ends }, { rows, failures });
  } catch (error) {
    failures.push((error as Error).message);
  } finally {
    await fleet?.close();
    await controller.close();
    rmSync(folder, { recursive: true, force: true });
  }
  return { rows, failures };
}

/** What the steps share. */
interface Run extends MeasureOptions {
  controller: ControllerProcess;
  fleet: Fleet;
  /** Adds a row. */
  add: (name: string, unit: string, ...values: number[]) => void;
  /** Milliseconds that the next step may take. */
  left: () => number;
  /** A step has not come to its end. The next ones are measured nevertheless. */
  failed: (why: string) => void;
}

async function steps(
  {
    options,
    controller,
    fleet,
    ends,
  }: { options: MeasureOptions; controller: ControllerProcess; fleet: Fleet; ends: number },
  { rows, failures }: Measured,
) {
  const { size, limitMs, say } = options;
  const add = (name: string, unit: string, ...values: number[]) => {
    const row = scaleRow(size.nodes, name, unit, values);
    rows.push(row);
    say(`${name}: ${[row.p50, row.p99].join(', p99 ')} ${unit}`);
  };
  const left = () => Math.max(1, Math.min(limitMs, ends - performance.now()));
  const failed = (why: string) => {
    failures.push(why);
    say(why);
  };
  const run: Run = { ...options, controller, fleet, add, left, failed };
  await connect(run);
  await putLoad(run, await rest(run));
  await restart(run);
}

async function connect(run: Run): Promise<void> {
  const { size, fleet, left, say } = run;
  const began = performance.now();
  await fleet.joined(left());
  say(`${size.nodes} nodes have joined after ${Math.round((performance.now() - began) / 1000)} s, and connect`);
  fleet.connect();
  await allBack(run, 'connect/all nodes capture');
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
  const scraped = performance.now();
  const metrics = await controller.metrics();
  add('read/metrics', 'ms', performance.now() - scraped);
  add('read/size of metrics', 'MB', metrics.bytes / 1e6);
  for (const what of ['p50', 'p99', 'max']) {
    const delay = metrics.values.get(`nodejs_eventloop_lag_${what}_seconds`) ?? Number.NaN;
    add(`load/wait for a turn, ${what}`, 'ms', delay * 1000);
  }
  const bytes = spent.sent - atRest * spent.seconds;
  add('load/bytes to agents per change', 'kB', bytes / (edits.length + moves) / 1000);
  const after = fleetUsage(fleet);
  const perAgent = nodes * spent.seconds;
  add('load/CPU of the controller per agent', 'ms/s', (spent.cpu * 1000) / perAgent);
  add('load/CPU of each simulated agent', 'ms/s', ((after.cpu - before.cpu) * 1000) / perAgent);
  const { memory, mostMemory } = controller.usage();
  add('memory of the controller', 'MiB', memory / MIB);
  add('memory of the controller at most', 'MiB', mostMemory / MIB);
  add('heap of the controller', 'MiB', (metrics.values.get('nodejs_heap_used_bytes') ?? Number.NaN) / MIB);
  add('memory of each simulated agent', 'MiB', after.memory / nodes / MIB);
}

async function restart(run: Run): Promise<void> {
  const { size, controller, left, say, add } = run;
  say('restart of the controller');
  await controller.stop();
  add('start from a full store', 's', (await controller.start(left())) / 1000);
  await allBack(run, 'restart/all agents are back');
  // All connections are new ones.
  add('restart/bytes to each agent', 'kB', controller.traffic().sent / size.nodes / 1000);
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

/**
 * Waits until every node is connected, and captures all sources that it has. Adds how long that took;
 * where it takes too long, how many there are then.
 */
async function allBack({ size: { nodes }, controller, fleet, left, add, failed }: Run, name: string): Promise<void> {
  const began = performance.now();
  const counts = { connected: 0, capturing: 0 };
  const ends = began + left();
  const check = async () => {
    counts.connected = await controller.connected();
    counts.capturing = counts.connected === nodes ? await fleet.capturing() : 0;
    return counts.capturing === nodes;
  };
  try {
    await until(name, check, { limitMs: ends - began, pauseMs: 50 });
    add(name, 's', (performance.now() - began) / 1000);
  } catch (error) {
    const seconds = Math.round((performance.now() - began) / 1000);
    counts.capturing = await fleet.capturing();
    const { connected, capturing } = counts;
    failed(
      `${(error as Error).message}: after ${seconds} s, ${connected} of ${nodes} are connected, ${capturing} capture`,
    );
  }
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
