/** One run: clients work, faults come and go, and at the end all that was seen is judged. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { until } from '@mirrorplane/base';
import { type Random, seeded } from '../chaos/random.ts';
import { judgeAgents, type PolicyFields, textOf } from './agents/judge.ts';
import type { Value } from './checker/operation.ts';
import { runClient, runLister, runReader, runTokenMaker } from './clients.ts';
import { EventReader } from './events.ts';
import type { Fault } from './faults.ts';
import { type AuditLine, type Evidence, judge } from './judge.ts';
import { now, Recorder } from './recorder.ts';
import { interfacesByNode, RESOURCES } from './resources.ts';
import { MIRRORPLANE } from './world/command.ts';
import type { ControllerHost } from './world/controller.ts';
import { execute } from './world/etcd.ts';
import type { World } from './world/world.ts';

const CLIENTS = 6;
/** Milliseconds after the end of a fault until changes are acknowledged again. */
const WELL_MS = 60_000;
/** Milliseconds after the end of a fault in which a change may be acknowledged that was asked for long before. */
const UNDER_WAY_MS = 50;
/** Milliseconds of quiet work between two faults. */
const QUIET_MS = 500;
/** Milliseconds until agents have the last program. An agent that could not connect waits for 10 s. */
const AGENTS_MS = 40_000;

/** What one fault has cost. */
export interface FaultRow {
  fault: string;
  /** Milliseconds that it lasted. */
  lasted: number;
  /** Changes that were acknowledged while it lasted and until all was well. */
  acknowledged: number;
  /** Changes of that time whose outcome is not known. */
  unknown: number;
  /** The longest time without an acknowledged change, milliseconds. */
  longestGap: number;
  /** Milliseconds from the end of the fault until a change was acknowledged. */
  well: number;
}

export interface Report {
  rows: FaultRow[];
  problems: string[];
  acknowledged: number;
  unknown: number;
  reads: number;
  lists: number;
  events: number;
  /** Programs that agents have accepted. */
  programs: number;
}

/** Makes what policies need, and starts the agents. */
async function prepare({ controllers, agents }: World): Promise<void> {
  const [controller] = controllers as [ControllerHost];
  await controller.must('PUT', '/api/v1/domains/blue', {});
  await controller.must('PUT', '/api/v1/pools/east', { domain: 'blue' });
  const tokens: Record<string, string> = {};
  for (const [node, interfaces] of Object.entries(interfacesByNode())) {
    await controller.must('PUT', `/api/v1/nodes/${node}`, { pool: 'east' });
    tokens[node] = (await controller.must('POST', `/api/v1/nodes/${node}/token`)).token;
    for (const id of interfaces) {
      await controller.must('PUT', `/api/v1/interfaces/${id}`, { kind: 'vm', pool: 'east' });
    }
  }
  await agents?.start(tokens);
}

export interface RunOptions {
  seed: number;
  /** Faults in their order. May be endless: `isOver` ends the run. */
  faults: Iterable<Fault>;
  isOver?(): boolean;
  /** Called with each row as it is known. */
  onRow?(row: FaultRow): void;
}

/** @param world where no client has worked before */
export async function runFaults(world: World, { seed, faults, isOver, onRow }: RunOptions): Promise<Report> {
  const random = seeded(seed);
  await prepare(world);
  const recorder = new Recorder();
  let stopped = false;
  const isStopped = () => stopped;
  const any = (own: Random) => () => own.pick(world.controllers);
  const parts = (name: string) => {
    const own = seeded(random.int(2 ** 32));
    return { name, random: own, recorder, resources: RESOURCES, controller: any(own), isStopped };
  };
  // Each has its own controller, so that some are not kept waiting by one that does not answer.
  const { controllers } = world;
  const clients = Array.from({ length: CLIENTS }, (_, index) =>
    runClient({ ...parts(`c${index + 1}`), controller: () => controllers[index % controllers.length]! }),
  );
  const readers = controllers.map((controller, index) =>
    runReader({ ...parts(`r${index + 1}`), controller: () => controller }),
  );
  const others = [runLister(parts('lister')), runTokenMaker(parts('tokens')), ...readers];
  const events = new EventReader(any(seeded(random.int(2 ** 32))));
  const reading = events.run();
  const rows: FaultRow[] = [];
  try {
    for (const fault of faults) {
      if (isOver?.()) {
        break;
      }
      await sleep(QUIET_MS);
      const row = await oneFault(world, recorder, fault, random);
      rows.push(row);
      onRow?.(row);
    }
  } catch (error) {
    events.stop();
    throw error;
  } finally {
    stopped = true;
    await Promise.all([...clients, ...others]);
  }
  const evidence = await collect(world, recorder, events).finally(() => events.stop());
  const agentsAtEnd = await agentsHaveAll(world);
  await reading;
  const problems = [
    ...recorder.problems,
    ...events.gaps.map((gap) => `events are missing: ${gap}`),
    ...judge(evidence),
    ...judgeAgents(world.agents?.reports ?? [], evidence.commits ?? []),
    ...agentsAtEnd,
  ];
  const verified = await verifyAudit(world.controllers[0]!);
  return {
    rows,
    problems: [...problems, ...verified],
    ...recorder.counts,
    lists: recorder.lists.length,
    events: events.events.length,
    programs: world.agents?.reports.filter(({ kind }) => kind === 'program').length ?? 0,
  };
}

async function oneFault(world: World, recorder: Recorder, fault: Fault, random: Random): Promise<FaultRow> {
  const before = { ...recorder.counts };
  const began = now();
  const undo = await fault.begin(world, random);
  const [least, most] = fault.lasts;
  try {
    await sleep(least + random.int(most - least));
  } finally {
    await undo();
  }
  const ended = now();
  // What was under way is acknowledged at once; what was asked for since shows that all is well.
  const acknowledged = () => recorder.acknowledgedAt.find((at) => at > ended + UNDER_WAY_MS);
  const what = `changes are acknowledged after "${fault.name}"`;
  const well = await until(what, acknowledged, { limitMs: WELL_MS, pauseMs: 20 });
  const times = [began, ...recorder.acknowledgedAt.filter((at) => at > began)];
  const gaps = times.slice(1).map((at, index) => at - times[index]!);
  return {
    fault: fault.name,
    lasted: Math.round(ended - began),
    acknowledged: recorder.counts.acknowledged - before.acknowledged,
    unknown: recorder.counts.unknown - before.unknown,
    longestGap: Math.round(Math.max(...gaps)),
    well: Math.round(well - ended),
  };
}

/** What the books say when all is quiet again. */
async function collect(world: World, recorder: Recorder, events: EventReader): Promise<Evidence> {
  await world.ready();
  const [controller] = world.controllers as [ControllerHost];
  // A decision after all others: what was not known is settled by it.
  await until(
    'a last change',
    async () => {
      const reply = await controller.call('PUT', '/api/v1/domains/last', {}).catch(() => undefined);
      return reply !== undefined && reply.status < 300;
    },
    { limitMs: 30_000 },
  );
  await world.observer?.caughtUp();
  const last = new Map<string, { revision: number; value: Value }>();
  for (const resource of RESOURCES) {
    const key = `${resource.folder}/${resource.name}`;
    const { status, body } = await controller.call('GET', `/api/v1/${key}`);
    if (status === 200) {
      last.set(key, { revision: body.revision, value: resource.valueIn(body) });
    }
  }
  const audit = await auditLines(controller);
  const { body } = await controller.call('GET', '/api/v1/events?limit=1');
  await until('all events are seen', () => (events.events.at(-1)?.id ?? 0) >= body.last, { limitMs: 20_000 });
  return {
    operations: recorder.operations,
    lists: recorder.lists,
    events: events.events,
    audit,
    commits: world.observer?.commits,
    valueIn: (key, record) => RESOURCES.find(({ folder, name }) => `${folder}/${name}` === key)?.valueIn(record),
    last,
    keys: RESOURCES.map(({ folder, name }) => `${folder}/${name}`),
  };
}

/** Waits until the programs of all agents have the policies as they are. @returns what is wrong */
async function agentsHaveAll({ controllers, agents }: World): Promise<string[]> {
  if (agents === undefined) {
    return [];
  }
  const { items } = await controllers[0]!.must('GET', '/api/v1/policies');
  const enabled = (items as PolicyFields[]).filter((one) => one.enabled);
  const wanted = Object.fromEntries(enabled.map((one) => [one.uid, textOf(one)] as const));
  const newest = (node: string) => agents.reports.findLast((one) => one.node === node && one.kind === 'program');
  const problems: string[] = [];
  for (const node of Object.keys(interfacesByNode())) {
    const hasAll = () => isDeepStrictEqual((newest(node) as { policies?: object })?.policies, wanted);
    await until(`${node} has all`, hasAll, { limitMs: AGENTS_MS }).catch(() =>
      problems.push(`${node}: has not what was committed last: ${JSON.stringify([newest(node), wanted])}`),
    );
  }
  return problems;
}

/** The words that call the command for a controller. */
function commandFor({ socket, tokenFile }: ControllerHost, ...argv: string[]): string[] {
  return ['--url', `unix:${socket}`, '--token-file', tokenFile, ...argv];
}

/** All entries, as `mirrorplane audit export` has them. */
async function auditLines(controller: ControllerHost): Promise<AuditLine[]> {
  const { stdout } = await execute(MIRRORPLANE, commandFor(controller, 'audit', 'export'), { maxBuffer: 2 ** 28 });
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line)).filter((line) => line.action !== undefined);
}

/** What `mirrorplane audit verify` finds. */
async function verifyAudit(controller: ControllerHost): Promise<string[]> {
  const problem = (error: { stdout?: string; stderr?: string }) => [`audit verify: ${error.stdout}${error.stderr}`];
  return execute(MIRRORPLANE, commandFor(controller, 'audit', 'verify')).then(() => [], problem);
}
