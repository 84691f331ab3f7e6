/** Starts and ends controller, agents and forwarder of a lab, and waits until they are ready. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { until } from '@mirrorplane/base';
import { callApi } from './api.ts';
import { asRootFor, asUser, environmentOf, folderOf, giveTo } from './daemon-users.ts';
import { apiSocket, controllerData, type LabHandle } from './lab-handle.ts';
import { commandEnv, inNetns, type RunResult, run } from './netns.ts';
import { isAlive, type ProcessRecord, startDaemon, stopProcesses } from './processes.ts';
import { updateState } from './state.ts';
import { CONTROLLER_ADDRESS } from './topology.ts';

/** The command of this checkout, which starts every part. */
export const MIRRORPLANE = resolve(import.meta.dirname, '../../../bin/mirrorplane');
/** Enough for a loaded machine, and for one that is emulated. An idle one needs a second. */
const READY_MS = 120_000;
const AGENT_LISTEN = `${CONTROLLER_ADDRESS}:7071`;

/** The bpffs folder of a node's agent. */
export const agentBpffs = (lab: string, node: string) => `/sys/fs/bpf/mirrorplane-${lab}-${node}`;
/** The name of a node's agent among the lab's processes. */
export const agentName = (node: string) => `agent-${node}`;

const agentData = (lab: LabHandle, node: string) => join(lab.runDir, 'agents', node);
const joinToken = (lab: LabHandle, node: string) => `${agentData(lab, node)}.token`;
const joinedMarker = (lab: LabHandle, node: string) => `${agentData(lab, node)}.joined`;

/** The record of a daemon of the lab, if it runs. */
export function runningDaemon(lab: LabHandle, name: string): ProcessRecord | undefined {
  return lab.state.processes.find((p) => p.name === name && isAlive(p));
}

/** Starts a daemon of the lab, with its own log. `down` ends it. */
export function launch(
  lab: LabHandle,
  name: string,
  argv: string[],
  variables: Record<string, string> = {},
): ProcessRecord {
  const folder = join(lab.runDir, 'logs');
  mkdirSync(folder, { recursive: true });
  const record = startDaemon(name, argv, join(folder, `${name}.log`), commandEnv(variables));
  updateState(lab.runDir, (state) => {
    state.processes = [...state.processes.filter((p) => p.name !== name), record];
  });
  return record;
}

/** The end of a daemon's log, for a message about a failed start. */
function logTail(record: ProcessRecord): string {
  return readFileSync(record.log, 'utf8').trimEnd().split('\n').slice(-15).join('\n');
}

/**
 * Waits for `condition`, and throws with the end of the log when the daemon ends or takes too long.
 */
export async function waitReady(
  record: ProcessRecord,
  what: string,
  condition: () => Promise<boolean>,
  signal?: AbortSignal,
  limitMs = READY_MS,
): Promise<void> {
  let ended = false;
  try {
    await until(
      what,
      async () => {
        ended = !isAlive(record);
        return ended || (await condition().catch(() => false));
      },
      { limitMs, signal },
    );
  } catch (error) {
    signal?.throwIfAborted();
    throw new Error(`${(error as Error).message}; end of ${record.log}:\n${logTail(record)}`);
  }
  if (ended) {
    throw new Error(`${record.name} has ended; end of ${record.log}:\n${logTail(record)}`);
  }
}

/** Starts the controller in its namespace and waits until it says that it is ready. */
export async function startController(lab: LabHandle, signal?: AbortSignal): Promise<void> {
  if (runningDaemon(lab, 'controller')) {
    return;
  }
  const socket = apiSocket(lab.runDir);
  const argv = [lab.state.command, 'controller', '--data', controllerData(lab.runDir), '--listen', '127.0.0.1:7070'];
  argv.push('--listen', `unix:${socket}`, '--agent-listen', AGENT_LISTEN, ...(lab.state.controllerArguments ?? []));
  folderOf('controller', controllerData(lab.runDir));
  folderOf('controller', dirname(socket));
  const run = inNetns(lab.ns('ctl'), asUser('controller', argv));
  const record = launch(lab, 'controller', run, environmentOf('controller'));
  const ready = async () => (await callApi(socket, null, 'GET', '/readyz')).status === 200;
  await waitReady(record, 'controller ready', ready, signal);
}

/** Ends a daemon, if it runs, and waits for its end. */
export async function stopDaemon(lab: LabHandle, name: string, signal: NodeJS.Signals): Promise<void> {
  const record = runningDaemon(lab, name);
  if (record === undefined) {
    return;
  }
  await stopProcesses([record], signal, 10_000);
  updateState(lab.runDir, (state) => {
    state.processes = state.processes.filter((p) => p.name !== name);
  });
}

async function put(lab: LabHandle, path: string, body: unknown): Promise<void> {
  const { status, body: answer } = await lab.api('PUT', `/api/v1/${path}`, body);
  if (status >= 300) {
    throw new Error(`PUT /api/v1/${path}: ${status} ${JSON.stringify(answer)}`);
  }
}

/**
 * Declares the communication domains, pools, nodes and edges of the topology to the controller. A
 * second call changes nothing.
 */
export async function declareInventory(lab: LabHandle): Promise<void> {
  const { pools, nodes, edges } = lab.topology;
  for (const domain of new Set(pools.map((pool) => pool.domain))) {
    await put(lab, `domains/${domain}`, {});
  }
  for (const pool of pools) {
    await put(lab, `pools/${pool.name}`, { domain: pool.domain });
  }
  for (const node of nodes) {
    await put(lab, `nodes/${node.name}`, { pool: node.pool });
  }
  for (const edge of edges) {
    if (edge.declare === null) {
      continue;
    }
    const { node, device, allowedVlans } = edge;
    await put(lab, `interfaces/${encodeURIComponent(edge.declare.id)}`, {
      kind: 'edge',
      name: edge.declare.name,
      edge: { node, device, allowedVlans },
    });
  }
}

/** Turns off identity providers that would find guests of the machine itself. */
const NO_PROVIDERS = ['--libvirt', '--proxmox', '--incus', '--containers', '--open-vswitch'].flatMap((option) => [
  option,
  'off',
]);

function agentArguments(lab: LabHandle, node: string): string[] {
  return [
    lab.state.command,
    'agent',
    '--node',
    node,
    '--data',
    agentData(lab, node),
    '--bpffs',
    agentBpffs(lab.name, node),
    ...NO_PROVIDERS,
    ...(lab.state.agentArguments[node] ?? []),
  ];
}

/**
 * Starts a node's agent, the first time with a join token. Waits until the controller reports it as
 * connected. Without a controller, it waits until the agent has applied its stored program.
 */
export async function startAgent(lab: LabHandle, node: string, signal?: AbortSignal): Promise<void> {
  if (runningDaemon(lab, agentName(node))) {
    return;
  }
  folderOf('agent', agentData(lab, node));
  folderOf('agent', agentBpffs(lab.name, node));
  const argv = [...agentArguments(lab, node), '--controller', AGENT_LISTEN, '--mirror-device', 'underlay0'];
  if (!existsSync(joinedMarker(lab, node))) {
    const { status, body } = await lab.api('POST', `/api/v1/nodes/${node}/token`, {});
    if (status >= 300) {
      throw new Error(`join token of ${node}: ${status} ${JSON.stringify(body)}`);
    }
    writeFileSync(joinToken(lab, node), (body as { token: string }).token, { mode: 0o600 });
    giveTo('agent', joinToken(lab, node));
    argv.push('--token-file', joinToken(lab, node));
  }
  const saidBefore = timesStarted(lab, node);
  const run = inNetns(lab.ns(node), asUser('agent', argv));
  const record = launch(lab, agentName(node), run, environmentOf('agent'));
  const ready = async () =>
    runningDaemon(lab, 'controller') ? await agentConnected(lab, node) : timesStarted(lab, node) > saidBefore;
  await waitReady(record, `agent of ${node} ready`, ready, signal);
  writeFileSync(joinedMarker(lab, node), '');
  rmSync(joinToken(lab, node), { force: true });
}

/**
 * How many starts the log of a node's agent has. At each of them it has applied its stored program.
 */
function timesStarted(lab: LabHandle, node: string): number {
  const log = join(lab.runDir, 'logs', `${agentName(node)}.log`);
  return existsSync(log) ? readFileSync(log, 'utf8').split('agent started').length - 1 : 0;
}

interface NodeAnswer {
  connected?: boolean;
  devices?: { name: string }[];
}

/**
 * Whether the agent is connected and has reported every VM of the node, so that policies can use
 * them.
 */
async function agentConnected(lab: LabHandle, node: string): Promise<boolean> {
  const { status, body } = await lab.api('GET', `/api/v1/nodes/${node}`);
  const answer = body as NodeAnswer;
  if (status !== 200 || answer.connected !== true) {
    return false;
  }
  const known = new Set(answer.devices?.map((device) => device.name));
  return lab.topology.vms.every((vm) => vm.node !== node || known.has(vm.device));
}

/**
 * Ends a node's agent, and waits until a running controller has noticed. So a new start is seen as
 * a restart.
 */
export async function stopAgent(lab: LabHandle, node: string, signal: NodeJS.Signals): Promise<void> {
  await stopDaemon(lab, agentName(node), signal);
  if (!runningDaemon(lab, 'controller')) {
    return;
  }
  await until(
    `controller to notice the end of the agent of ${node}`,
    async () => {
      const answer = await lab.api('GET', `/api/v1/nodes/${node}`);
      return (answer.body as NodeAnswer).connected !== true;
    },
    { limitMs: READY_MS },
  );
}

/** Removes everything that the agent of a node made. The node must then join again. */
export async function uninstallAgent(lab: LabHandle, node: string): Promise<RunResult> {
  rmSync(joinedMarker(lab, node), { force: true });
  return await run(inNetns(lab.ns(node), asRootFor('agent', [...agentArguments(lab, node), '--uninstall'])));
}

/** Starts the forwarder in the root namespace and waits for its port. */
export async function startForwarder(lab: LabHandle): Promise<number> {
  const { apiPort } = lab.state;
  if (apiPort !== null && runningDaemon(lab, 'forwarder')) {
    return apiPort;
  }
  const file = join(lab.runDir, 'forwarder.port');
  const program = join(import.meta.dirname, 'forwarder.ts');
  const record = launch(lab, 'forwarder', [process.execPath, program, apiSocket(lab.runDir), file]);
  let port = 0;
  await waitReady(record, 'forwarder', async () => {
    port = Number(readFileSync(file, 'utf8'));
    return port > 0;
  });
  updateState(lab.runDir, (state) => {
    state.apiPort = port;
  });
  return port;
}
