/** Makes a lab: network, switch, guests, controller and agents, in this order. */
import { readFileSync } from 'node:fs';
import { buildNetwork, hostNames, namespaceOf } from './build.ts';
import { checkTopology } from './check.ts';
import { ownExpedited } from './daemon-users.ts';
import { agentBpffs, MIRRORPLANE } from './daemons.ts';
import { defaultTopology, type TopologyOptions } from './default-topology.ts';
import { Lab } from './lab.ts';
import { run } from './netns.ts';
import { checkMachine } from './preflight.ts';
import type { ProcessRecord } from './processes.ts';
import { type GuestImage, guestImage } from './qemu/guest-image.ts';
import { guestUp, prepareMachines, startMachine } from './qemu/machine.ts';
import { createState, DEFAULT_RUN_ROOT, LabError, labRunDir, updateState } from './state.ts';
import { startSwitch } from './switch.ts';
import type { Topology } from './topology.ts';

/** Options of a lab. Those of `TopologyOptions` vary the standard topology. */
export interface LabOptions extends TopologyOptions {
  /** A letter, then letters and digits, at most 6 characters. Default `mp`. */
  name?: string;
  /** Without controller and agents. Default false. */
  bare?: boolean;
  /** A custom topology, or a function that changes the standard topology. */
  topology?: Topology | ((standard: Topology) => Topology);
  /**
   * The `mirrorplane` command that starts controller and agents. Default: the one of this checkout.
   */
  command?: string;
  /** Options of the agents by node. Identity providers are off unless they are given here. */
  agentArguments?: Record<string, string[]>;
  /** More options of the controller. Default none: its store is a file. */
  controllerArguments?: string[];
  /** Folder of all labs. Default `/run/mirrorplane-lab`. */
  runRoot?: string;
  /** Stops `createLab`: it removes everything that was made, and throws. */
  signal?: AbortSignal;
  /** Called with one line for each step. */
  onProgress?: (line: string) => void;
}

/** Makes a lab. After a failure or the signal, it removes everything and throws the reason. */
export async function createLab(options: LabOptions = {}): Promise<Lab> {
  const name = options.name ?? 'mp';
  const runDir = labRunDir(name, options.runRoot ?? DEFAULT_RUN_ROOT);
  const standard = defaultTopology(options);
  const topology = typeof options.topology === 'function' ? options.topology(standard) : (options.topology ?? standard);
  checkTopology(topology);
  const unknown = options.qemu?.filter((name) => !topology.vms.some((vm) => vm.name === name)) ?? [];
  if (unknown.length > 0) {
    throw new LabError(`there is no VM ${unknown.join(', ')} to be a QEMU machine`);
  }
  const machines = topology.vms.some((vm) => vm.machine === 'qemu');
  checkMachine(topology.switch !== null, machines);
  const namespaces = hostNames(topology).map((host) => namespaceOf(name, host));
  await refuseForeign(namespaces);
  const image = machines ? await guestImage({ onProgress: options.onProgress ?? (() => undefined) }) : null;
  createState({
    version: 1,
    name,
    runDir,
    createdAt: new Date().toISOString(),
    phase: 'building',
    topology,
    namespaces,
    bpffs: topology.nodes.map((node) => agentBpffs(name, node.name)),
    processes: [],
    apiPort: null,
    command: options.command ?? MIRRORPLANE,
    agentArguments: options.agentArguments ?? {},
    controllerArguments: options.controllerArguments ?? [],
  });
  const lab = new Lab(name, runDir);
  try {
    await build(lab, topology, image, options);
    return lab;
  } catch (error) {
    await lab.down().catch((second: unknown) => {
      throw new AggregateError([error, second], `${(error as Error).message}; then: ${(second as Error).message}`);
    });
    throw error;
  }
}

async function build(lab: Lab, topology: Topology, image: GuestImage | null, options: LabOptions): Promise<void> {
  const { signal, onProgress = () => undefined } = options;
  onProgress(`network: ${topology.nodes.length} nodes, ${topology.vms.length} VMs`);
  await mountBpffs();
  ownExpedited();
  await buildNetwork(lab.name, topology, signal);
  // The machines boot while the rest is made.
  const guests = image === null ? [] : startMachines(lab, topology, image, onProgress);
  if (topology.switch !== null) {
    signal?.throwIfAborted();
    onProgress('switch: Open vSwitch');
    const record = (process: ProcessRecord) => {
      updateState(lab.runDir, (state) => state.processes.push(process));
    };
    await startSwitch(lab.name, topology, lab.runDir, record, signal);
  }
  if (!options.bare) {
    signal?.throwIfAborted();
    onProgress('controller');
    await lab.startController(signal);
    signal?.throwIfAborted();
    await lab.declare();
    await lab.startForwarder();
    signal?.throwIfAborted();
    onProgress('agents');
    const started = await Promise.allSettled(topology.nodes.map((node) => lab.startAgent(node.name, signal)));
    for (const result of started) {
      if (result.status === 'rejected') {
        throw result.reason;
      }
    }
  }
  for (const { vm, record } of guests) {
    await guestUp(lab, vm, record, signal);
  }
  signal?.throwIfAborted();
  updateState(lab.runDir, (state) => {
    state.phase = 'ready';
  });
}

function startMachines(lab: Lab, topology: Topology, image: GuestImage, onProgress: (line: string) => void) {
  const vms = topology.vms.filter((vm) => vm.machine === 'qemu');
  onProgress(`QEMU: ${vms.map((vm) => vm.name).join(', ')}`);
  prepareMachines(lab, topology, image);
  return vms.map((vm) => ({ vm, record: startMachine(lab, vm, vm.node) }));
}

/** Throws if namespaces with these names exist already: `down` would remove them. */
async function refuseForeign(namespaces: string[]): Promise<void> {
  const { stdout } = await run(['ip', 'netns', 'list']);
  const existing = new Set(stdout.split('\n').map((line) => line.split(' ')[0]));
  const foreign = namespaces.filter((ns) => existing.has(ns));
  if (foreign.length > 0) {
    throw new LabError(`network namespaces of that name exist already: ${foreign.join(', ')}`);
  }
}

/**
 * Mounts bpffs if it is not mounted. It stays mounted afterwards, because other software may use it
 * by then.
 */
async function mountBpffs(): Promise<void> {
  const mounted = readFileSync('/proc/self/mounts', 'utf8').split('\n');
  if (mounted.some((line) => line.split(' ')[1] === '/sys/fs/bpf' && line.split(' ')[2] === 'bpf')) {
    return;
  }
  await run(['mount', '-t', 'bpf', 'bpf', '/sys/fs/bpf']);
}
