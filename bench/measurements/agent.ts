/**
 * What an agent costs a node with many captured guests where nothing happens, how soon it has its
 * copies in force after a reboot, and how soon a new device is captured on a busy node. Of the
 * controller beside it: what it costs.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { until } from '@mirrorplane/base';
import { createLab, defaultTopology, type Lab, type Topology } from '@mirrorplane/lab';
import { type Row, row } from '../row.ts';

const NODE = 'node-1';
/** Guests whose packets are copied to the second node. */
const GUESTS = 68;
/** A start is measured with more. */
const GUESTS_AT_START = 100;
/** Milliseconds from the last change until a node counts as idle, and of a reading. */
const SETTLE_MS = 15_000;
const READING_MS = 60_000;
/** Processes that want a CPU all the time, while devices appear. */
const BUSY_PROCESSES = 6;
const APPEARANCES = 150;
/** The device that appears, and its identity. */
export const APPEARING = 'appears';
export const APPEARING_ALIAS = 'mirrorplane:kind=vm;id=appearing/0';
/** Both hooks have one. */
export const PINS_OF_A_CAPTURE = 2;

/** Clock ticks a second in /proc: the same on every Linux. */
const USER_HZ = 100;
const MIB = 1024;

interface Measured {
  labName: string;
  /** The `mirrorplane` command that starts the daemons. Undefined: the one of this checkout. */
  command: string | undefined;
}

export async function measureAgent(
  measured: Measured,
  signal: AbortSignal,
  rounds: number,
  onStep: (step: string) => void,
): Promise<Row[]> {
  const idle = await withGuests(measured, signal, GUESTS, async (lab) => [
    ...(await measureIdle(lab, signal, onStep)),
    ...(await measureAppearance(lab, signal, onStep)),
  ]);
  const start = await withGuests(measured, signal, GUESTS_AT_START, (lab) => measureStart(lab, rounds, onStep));
  return [...idle, ...start];
}

/** A node with guests that are all captured, and one with the destination. */
async function withGuests<T>(
  { labName: name, command }: Measured,
  signal: AbortSignal,
  guests: number,
  work: (lab: Lab) => Promise<T>,
): Promise<T> {
  let lab: Lab | undefined;
  try {
    lab = await createLab({ name, signal, topology: topologyOf(guests), ...(command !== undefined && { command }) });
    const destination = lab.topology.vms.find((vm) => vm.node !== NODE)!.id;
    const sources = lab.topology.vms.filter((vm) => vm.node === NODE).map(({ id }) => id);
    await call(lab, 'POST', 'policies', { name: 'all', sources, destination });
    await until('all guests to be captured', () => capturesOf(lab!) === 2 * guests, { limitMs: 60_000, signal });
    return await work(lab);
  } finally {
    await lab?.down();
  }
}

function topologyOf(guests: number): Topology {
  const standard = defaultTopology({ nodes: 2, switch: false, namedVms: false, vmsPerNode: guests });
  const destination = standard.vms.find(({ node }) => node !== NODE);
  return { ...standard, vms: standard.vms.filter((vm) => vm.node === NODE || vm === destination) };
}

async function call(lab: Lab, method: string, path: string, body?: unknown): Promise<void> {
  const { status, body: answer } = await lab.api(method, `/api/v1/${path}`, body);
  if (status >= 300) {
    throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
  }
}

const linksOf = (lab: Lab) => join(lab.state.bpffs.find((folder) => folder.endsWith(`-${NODE}`))!, 'links');
const capturesOf = (lab: Lab) => readdirSync(linksOf(lab)).filter((name) => name.includes('capture')).length;
const pidOf = (lab: Lab, name: string) => lab.state.processes.find((process) => process.name === name)!.pid;

async function measureIdle(lab: Lab, signal: AbortSignal, onStep: (step: string) => void): Promise<Row[]> {
  const daemons = { agent: pidOf(lab, `agent-${NODE}`), controller: pidOf(lab, 'controller') };
  onStep(`${GUESTS} captured guests at rest: ${(SETTLE_MS + READING_MS) / 1000} s`);
  await sleep(SETTLE_MS, undefined, { signal });
  const before = Object.values(daemons).map(cpuSeconds);
  const began = performance.now();
  await sleep(READING_MS, undefined, { signal });
  const seconds = (performance.now() - began) / 1000;
  return Object.entries(daemons).flatMap(([name, pid], i) => {
    const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
    const mebibytes = (field: string) => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(memory)![1]) / MIB;
    return [
      row(`agent/idle-${GUESTS}-guests/${name}/cpu`, '% of a CPU', [(100 * (cpuSeconds(pid) - before[i]!)) / seconds]),
      row(`agent/idle-${GUESTS}-guests/${name}/rss`, 'MiB', [mebibytes('Rss')]),
      // Memory that nobody else has: pages of Node.js itself are one for all daemons of a host.
      row(`agent/idle-${GUESTS}-guests/${name}/private`, 'MiB', [mebibytes('Private_Dirty')]),
      row(`agent/idle-${GUESTS}-guests/${name}/open-files`, 'files', [readdirSync(`/proc/${pid}/fd`).length]),
    ];
  });
}

/** CPU time that a process has used so far, all its threads together. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) / USER_HZ;
}

/** From a device that has its identity to its captures, beside processes that use all CPUs. */
async function measureAppearance(lab: Lab, signal: AbortSignal, onStep: (step: string) => void): Promise<Row[]> {
  onStep(`${APPEARANCES} devices appear beside ${BUSY_PROCESSES} busy processes`);
  const bridge = lab.topology.vms.find(({ node }) => node === NODE)!.bridge!;
  const script = join(import.meta.dirname, '../appearing-device.ts');
  const run = (times: number) =>
    lab.exec(NODE, ['nice', '-n', '-20', process.execPath, script, linksOf(lab), bridge, String(times)], {
      timeoutMs: 600_000,
    });
  await makeSource(lab, signal);
  const busy = Array.from({ length: BUSY_PROCESSES }, () => spawn('sh', ['-c', 'while :; do :; done']));
  try {
    const { stdout } = await run(APPEARANCES);
    const sorted = (JSON.parse(stdout) as number[]).sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.ceil(share * sorted.length) - 1]!;
    return [
      row('agent/appears/p50', 'ms', [at(0.5)]),
      row('agent/appears/p99', 'ms', [at(0.99)]),
      row('agent/appears/highest', 'ms', [at(1)]),
    ];
  } finally {
    for (const one of busy) {
      one.kill('SIGKILL');
    }
  }
}

/** The policy has the interface as a source, which is known once it was seen. */
async function makeSource(lab: Lab, signal: AbortSignal): Promise<void> {
  await lab.exec(NODE, ['ip', 'link', 'add', APPEARING, 'type', 'veth', 'peer', 'name', `${APPEARING}-g`]);
  await lab.exec(NODE, ['ip', 'link', 'set', APPEARING, 'alias', APPEARING_ALIAS, 'up']);
  const destination = lab.topology.vms.find((vm) => vm.node !== NODE)!.id;
  const policy = { name: 'appearing', sources: ['appearing/0'], destination };
  await until('a policy', async () => (await lab.api('POST', '/api/v1/policies', policy)).status < 300, { signal });
  await until('captured', () => capturesOf(lab) === 2 * GUESTS + 2, { signal });
  await lab.exec(NODE, ['ip', 'link', 'del', APPEARING]);
  await until('removed', () => capturesOf(lab) === 2 * GUESTS, { signal });
}

/** From the start of the process, with nothing of ours in the kernel, to the last capture. */
async function measureStart(lab: Lab, rounds: number, onStep: (step: string) => void): Promise<Row[]> {
  const took: number[] = [];
  const used: number[] = [];
  for (let round = 1; round <= rounds; round++) {
    onStep(`start with ${GUESTS_AT_START} guests: round ${round} of ${rounds}`);
    await lab.stopAgent(NODE, 'SIGKILL');
    for (const folder of readdirSync(join(linksOf(lab), '..'))) {
      rmSync(join(linksOf(lab), '..', folder), { recursive: true, force: true });
    }
    await lab.exec(NODE, ['ip', 'link', 'del', 'mirror0']);
    const began = performance.now();
    const started = lab.startAgent(NODE);
    await until('all captures', () => countOf(lab) === 2 * GUESTS_AT_START, { pauseMs: 1, limitMs: 60_000 });
    took.push(performance.now() - began);
    used.push(1000 * cpuSeconds(pidOf(lab, `agent-${NODE}`)));
    await started;
  }
  return [
    row(`agent/start-${GUESTS_AT_START}-guests/time`, 'ms', took),
    row(`agent/start-${GUESTS_AT_START}-guests/cpu`, 'ms', used),
  ];
}

function countOf(lab: Lab): number {
  try {
    return capturesOf(lab);
  } catch {
    return 0; // the folder is not there yet
  }
}
