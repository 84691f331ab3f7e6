/**
 * `make scale-parts`: what the parts of the controller cost in a large cluster, each alone. Nodes are
 * only messages, so that one process measures 1,000 of them. usage: main.ts [NODES…], default 100
 * 1000; RUNS= is how often each thing is done, SNAPSHOT= a file for a snapshot of the
 * heap, PROFILE= one for a profile of the CPU, of what PROFILED= names: connect, load, reads, streams or moves
 * (default). LOAD= is how many seconds of load there are, and ONLY=connect or ONLY=load ends after that. REST_PROFILE= is one while all sources count and nothing else happens, for REST= seconds.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { GCProfiler } from 'node:v8';
import type { NodeRecord } from '@mirrorplane/controller/testing';
import { keyOf, openSqliteStore } from '@mirrorplane/controller/testing';
import { fillStore } from '../scale/fill.ts';
import { nodeName, policyName, poolName, poolOf, type Size, sourceId } from '../scale/names.ts';
import { underLoad } from './load.ts';
import { World } from './world.ts';

const INTERFACES = 100;
const RUNS = Number(process.env.RUNS ?? 10);

const MIB = 1 << 20;

function row(what: string, values: readonly number[], unit = 'ms'): void {
  const sorted = values.toSorted((a, b) => a - b);
  const text = [sorted[sorted.length >> 1]!, sorted.at(-1)!].map((value) =>
    value.toFixed(value < 100 ? 1 : 0).padStart(9),
  );
  console.log(`${what.padEnd(52)} ${text.join(' ')} ${unit}`);
}

/** CPU time of this thread so far, milliseconds: that of others does not matter. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

/** @returns milliseconds of each run */
async function times(runs: number, work: (run: number) => unknown): Promise<number[]> {
  const all: number[] = [];
  for (let run = 0; run < runs; run++) {
    const began = cpuMs();
    await work(run);
    all.push(cpuMs() - began);
  }
  return all;
}

/** @returns milliseconds of the longest turn of each run: as long, nothing else is answered */
async function turns(runs: number, work: (run: number) => unknown): Promise<number[]> {
  const all: number[] = [];
  for (let run = 0; run < runs; run++) {
    let [last, longest, isOver] = [cpuMs(), 0, false];
    const look = () => {
      const now = cpuMs();
      longest = Math.max(longest, now - last);
      last = now;
      if (!isOver) {
        setImmediate(look);
      }
    };
    setImmediate(look);
    await work(run);
    isOver = true;
    look();
    all.push(longest);
  }
  return all;
}

async function fill(folder: string, size: Size): Promise<void> {
  await fillStore(folder, size);
  const store = openSqliteStore(join(folder, 'store.db'));
  for (let node = 1; node <= size.nodes; node++) {
    const value: NodeRecord = { name: nodeName(node), pool: poolName(poolOf(node)), uid: `uid-${node}` };
    await store.txn({ compare: [], ops: [{ type: 'put', key: keyOf('nodes', value.name), value }] });
  }
  await store.close();
}

function memory(what: string): void {
  global.gc?.();
  global.gc?.();
  const { heapUsed, rss, external } = process.memoryUsage();
  const most = process.resourceUsage().maxRSS / 1024;
  console.log(
    `${what.padEnd(52)} heap ${(heapUsed / MIB).toFixed(0)} MiB, external ${(external / MIB).toFixed(0)} MiB, resident ${(rss / MIB).toFixed(0)} MiB, at most ${most.toFixed(0)} MiB`,
  );
}

async function measure(nodes: number): Promise<void> {
  const size = { nodes, interfaces: INTERFACES };
  const folder = mkdtempSync(join(tmpdir(), 'mirrorplane-parts-'));
  try {
    await fill(folder, size);
    console.log(`\n${nodes} nodes, ${nodes * INTERFACES} interfaces, milliseconds of CPU time: median, most`);
    let world = new World(folder);
    await world.start();
    memory('before the agents');
    await profiled(() => connect(world, size), profileOf('connect'));
    if (process.env.ONLY === 'connect') {
      await world.stop();
      return;
    }
    for (let round = 0; round < 4; round++) {
      row('counters of a node', await timesOfNodes(world, (node) => node.counters()));
      await sleep(100);
    }
    memory('all agents connected');
    if (process.env.SNAPSHOT) {
      (await import('node:v8')).writeHeapSnapshot(process.env.SNAPSHOT);
    }
    await profiled(() => rest(world), process.env.REST_PROFILE);
    await profiled(() => load(world), profileOf('load'));
    if (process.env.ONLY === 'load') {
      await world.stop();
      return;
    }
    await profiled(() => reads(world), profileOf('reads'));
    await profiled(() => streams(world), profileOf('streams'));
    await profiled(() => changes(world), profileOf('moves'));
    memory('after changes');
    await world.stop();
    global.gc?.();
    world = new World(folder);
    await world.start();
    for (const [name, ms] of world.steps) {
      row(`start: ${name}`, [ms]);
    }
    row('start: all', [world.steps.reduce((sum, [, ms]) => sum + ms, 0)]);
    await world.stop();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function connect(world: World, size: Size): Promise<void> {
  const began = cpuMs();
  const longest = await turns(1, () => world.connect(size));
  row('all agents connect', [cpuMs() - began]);
  row('  longest turn', longest);
}

function profileOf(what: string): string | undefined {
  return what === (process.env.PROFILED ?? 'moves') ? process.env.PROFILE : undefined;
}

/** With `PROFILE=FILE`: writes a profile of the CPU. */
async function profiled(work: () => Promise<void>, file: string | undefined): Promise<void> {
  if (!file) {
    return work();
  }
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  await session.post('Profiler.start');
  await work();
  const { profile } = await session.post('Profiler.stop');
  writeFileSync(file, JSON.stringify(profile));
  session.disconnect();
}

async function timesOfNodes({ nodes }: World, work: (node: World['nodes'][number]) => void): Promise<number[]> {
  const all: number[] = [];
  for (const node of nodes) {
    // Reports of a new turn are taken at once.
    await turn();
    const began = cpuMs();
    work(node);
    all.push(cpuMs() - began);
  }
  return all;
}

/** Milliseconds between two reports of a node in a large cluster, and how long a rest is. */
const REPORT_MS = 5000;
const REST_MS = 1000 * Number(process.env.REST ?? 20);

/**
 * All sources count, and nothing else happens. The reports come evenly. They are written before,
 * because nodes do that.
 */
async function rest({ nodes }: World): Promise<void> {
  const all = () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  };
  const written: Buffer[] = [];
  for (let round = 0; round < REST_MS / REPORT_MS; round++) {
    written.push(...nodes.map((node) => Buffer.from(node.countersText())));
  }
  const bytes = written.reduce((sum, { length }) => sum + length, 0);
  const [before, own, began] = [all(), cpuMs(), performance.now()];
  const garbage = collected();
  let reports = 0;
  while (reports < written.length) {
    const due = Math.min(written.length, ((performance.now() - began) / REPORT_MS) * nodes.length);
    for (; reports < due; reports++) {
      nodes[reports % nodes.length]!.deliver(written[reports]!);
    }
    await sleep(5);
  }
  const seconds = (performance.now() - began) / 1000;
  row('rest: CPU time in a second', [(all() - before) / seconds]);
  row('rest: of that the main thread', [(cpuMs() - own) / seconds]);
  row('rest: reports in a second', [reports / seconds], '');
  row('rest: size of a report', [bytes / reports / 1000], 'kB');
  const { allocated, aged, ms } = garbage();
  row('rest: allocated in all, for each report', [allocated / reports / 1000], 'kB');
  row('rest: of that moved to the old space', [aged / reports / 1000], 'kB');
  row('rest: collections of garbage in a second', [ms / seconds]);
}

/** Counts what is allocated from now on. The result says it: bytes, and milliseconds of collections. */
function collected(): () => { allocated: number; aged: number; ms: number } {
  const profiler = new GCProfiler();
  profiler.start();
  const before = process.memoryUsage().heapUsed;
  return () => {
    const sum = { allocated: process.memoryUsage().heapUsed - before, aged: 0, ms: 0 };
    for (const { gcType, cost, beforeGC, afterGC } of profiler.stop()?.statistics ?? []) {
      sum.allocated += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
      sum.ms += cost / 1000;
      const old = (of: typeof beforeGC) =>
        of.heapSpaceStatistics.find(({ spaceName }) => spaceName === 'old_space')?.spaceUsedSize ?? 0;
      sum.aged += gcType === 'Scavenge' ? old(afterGC) - old(beforeGC) : 0;
    }
    return sum;
  };
}

/** Seconds of load, see `underLoad`. */
const LOAD_SECONDS = Number(process.env.LOAD ?? 20);

async function load(world: World): Promise<void> {
  const garbage = collected();
  const { seconds, turns: all, reads: times, told, confirmed } = await underLoad(world, LOAD_SECONDS, cpuMs);
  const { allocated, ms } = garbage();
  row('under load: a second', seconds);
  row('  of that collections of garbage', [ms / LOAD_SECONDS]);
  row('  allocated', [allocated / LOAD_SECONDS / 1e6], 'MB');
  for (const limit of [10, 20, 50, 100]) {
    row(`  turns above ${limit} ms in a second`, [all.filter((one) => one > limit).length / LOAD_SECONDS], '');
  }
  row('  longest turn', [Math.max(...all)]);
  row('  an edit until all nodes are told', told);
  row('  an edit until all nodes have confirmed', confirmed);
  for (const [what, values] of times) {
    row(`  ${what}`, values);
  }
}

async function reads(world: World): Promise<void> {
  const { services } = world;
  const [node] = world.nodes as [World['nodes'][number]];
  row('statuses of all policies', await times(RUNS, () => services.statuses.all()));
  const lists: [string, string, Record<string, unknown>][] = [
    ['list of interfaces', '/api/v1/interfaces', {}],
    ['list of interfaces by node', '/api/v1/interfaces', { sort: 'node' }],
    ['list of interfaces by traffic', '/api/v1/interfaces', { sort: '-traffic' }],
    ['search of interfaces', '/api/v1/interfaces', { filter: 'vm-7-' }],
    ['list of policies', '/api/v1/policies', {}],
    ['list of policies by name, descending', '/api/v1/policies', { sort: '-name' }],
    ['search of policies', '/api/v1/policies', { filter: 'p-7' }],
    ['list of nodes', '/api/v1/nodes', {}],
  ];
  for (const [what, path, query] of lists) {
    const read = () => {
      node.counters();
      return world.get(path, { limit: 100, view: 'summary', ...query });
    };
    row(`after a report: ${what}`, await times(RUNS, read));
    row('  longest turn', await turns(RUNS, read));
    await turn();
  }
  row(
    'after a report: statuses of all policies',
    await times(RUNS, () => {
      node.counters();
      return services.statuses.all();
    }),
  );
  for (const [what, path, query] of lists) {
    const all: number[] = [];
    for (let run = 0; run < 3; run++) {
      for (const each of world.nodes) {
        each.counters();
      }
      all.push(...(await turns(1, () => world.get(path, { limit: 100, view: 'summary', ...query }))));
    }
    row(`after all reports, longest turn: ${what}`, all);
  }
  for (const sources of [1000, 0]) {
    let bytes = 0;
    const scrape = async () => {
      bytes = await world.metrics(sources);
    };
    row(`metrics, with at most ${sources} sources`, await times(3, scrape));
    row('  longest turn', await turns(3, scrape));
    row('  megabytes', [bytes / 1e6], 'MB');
  }
}

/** What one reader of topics costs in a second in which a fifth of all nodes report. */
async function streams(world: World): Promise<void> {
  const topics = ['policies', 'nodes', 'destinations', 'interfaces', 'policy:p-1', 'interface:vm-1-1'];
  const before = await secondsWith(world, []);
  row('a second with reports, nobody reads', before.cpu);
  row('  longest turn', before.longest);
  for (const names of [...topics.map((topic) => [topic]), ['policies', 'nodes', 'destinations']]) {
    const { cpu, longest, bytes } = await secondsWith(world, names);
    row(`a second with reports, one reads ${names.join(',')}`, cpu);
    row('  longest turn', longest);
    row('  kilobytes', bytes, 'kB');
  }
}

/** The CPU time of some seconds, and what readers of these topics get in each. */
async function secondsWith(world: World, topics: readonly string[]) {
  const reader = topics.length > 0 ? world.read(topics) : undefined;
  let [next, told] = [0, 0];
  const bytes: number[] = [];
  const second = async () => {
    const ends = performance.now() + 1000;
    for (let report = 0; report < world.nodes.length / 5; report++) {
      world.nodes[next++ % world.nodes.length]!.counters();
      await sleep(1);
    }
    await sleep(Math.max(0, ends - performance.now()));
    bytes.push(((reader?.bytes ?? 0) - told) / 1000);
    told = reader?.bytes ?? 0;
  };
  await second();
  const cpu = await times(6, second);
  const longest = await turns(4, second);
  reader?.end();
  return { cpu, longest, bytes: bytes.slice(1, 7) };
}

async function changes(world: World): Promise<void> {
  const [from, to] = [world.nodes[0]!, world.nodes[1]!];
  const parts: Record<string, number[]> = {};
  const part = async (name: string, work: () => unknown) => {
    const began = cpuMs();
    await work();
    parts[name] = [...(parts[name] ?? []), cpuMs() - began];
  };
  for (let run = 0; run < RUNS; run++) {
    const id = sourceId(1, 1 + (run >> 1));
    const [a, b] = run % 2 === 0 ? [from, to] : [to, from];
    b.add(id);
    await part('a move: inventory of the target', () => {
      b.inventory();
      return world.heard();
    });
    await part('a move: planned', () => world.services.planning.settled());
    await part('a move: statuses of nodes that confirm', () => world.settled());
    await part('a move: current inventory', () => world.services.inventory.now());
    a.remove(id);
    await part('a move: inventory of the origin', () => {
      a.inventory();
      return world.heard();
    });
    await part('a move: planned again', () => world.services.planning.settled());
    await world.settled();
    await part('a move: current inventory again', () => world.services.inventory.now());
    const name = policyName(run + 1);
    await part('an edit: decided', () => world.edit(name, { percent: 50 - run }));
    await part('an edit: planned, and told to the nodes of its pool', () => world.services.planning.settled());
    await part('an edit: what these nodes confirm', () => world.settled());
    await part('a move: list of interfaces', () => world.get('/api/v1/interfaces', { limit: 100, view: 'summary' }));
    await part('a move: statuses of all policies', () => world.services.statuses.all());
  }
  for (const [name, values] of Object.entries(parts)) {
    row(name, values);
  }
}

for (const nodes of process.argv.slice(2).length > 0 ? process.argv.slice(2).map(Number) : [100, 1000]) {
  await measure(nodes);
}
