/** Operations on a lab, for tests, the demo and the command. */
import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { hostNames, namespaceOf } from './build.ts';
import { type Capture, type CaptureOptions, startCapture } from './capture.ts';
import * as daemons from './daemons.ts';
import { downLab } from './down.ts';
import { LabHandle } from './lab-handle.ts';
import { type MigrateOptions, type MigrationTimes, moveVm } from './migrate.ts';
import { inNetns, type RunOptions, type RunResult, run, start } from './netns.ts';
import { runInGuest } from './qemu/console.ts';
import { moveLive } from './qemu/live.ts';
import { machineSockets } from './qemu/machine.ts';
import { Qmp } from './qemu/qmp.ts';
import { DEFAULT_RUN_ROOT, LabError, labRunDir, updateState } from './state.ts';
import { ovsAppctl, ovsVsctl } from './switch.ts';
import type { LabNode, LabVm } from './topology.ts';

/** An existing lab. Several objects, also in several processes, may refer to the same lab. */
export class Lab extends LabHandle {
  #captures = 0;

  /** Names of all hosts: `fabric`, `ctl`, `switch`, nodes, VMs, gateways, hosts at the switch. */
  hosts(): string[] {
    return hostNames(this.topology);
  }

  /** A node and its namespace. */
  node(name: string): LabNode & { ns: string } {
    const node = this.topology.nodes.find((n) => n.name === name);
    if (node === undefined) {
      throw new LabError(`lab ${this.name} has no node ${name}`);
    }
    return { ...node, ns: namespaceOf(this.name, name) };
  }

  /** A VM or NFV device, where it is now. */
  vm(name: string): LabVm {
    const vm = this.topology.vms.find((v) => v.name === name);
    if (vm === undefined) {
      throw new LabError(`lab ${this.name} has no VM ${name}`);
    }
    return vm;
  }

  /**
   * The address of a VM, a gateway, a host at the switch, or (on the management network) a node.
   */
  address(host: string): string {
    const address =
      this.#endpoint(host)?.address ?? this.topology.nodes.find((n) => n.name === host)?.managementAddress;
    if (!address) {
      throw new LabError(`${host} has no address in lab ${this.name}`);
    }
    return address;
  }

  /** The MAC of the NIC of a VM, a gateway or a host at the switch. */
  mac(host: string): string {
    const mac = this.#endpoint(host)?.mac;
    if (!mac) {
      throw new LabError(`${host} has no NIC in lab ${this.name}`);
    }
    return mac;
  }

  #endpoint(host: string): { mac: string; address: string | null } | undefined {
    const { vms, edges, switch: sw } = this.topology;
    const gateways = edges.flatMap((edge) => (edge.gateway === null ? [] : [edge.gateway]));
    return [...vms, ...gateways, ...(sw?.hosts ?? [])].find((endpoint) => endpoint.name === host);
  }

  /**
   * Runs a command in a host's namespace to its end. In a QEMU machine it runs through the console:
   * only busybox and `probe`, and without input. Throws `CommandError` on a status other than 0,
   * unless `check: false`.
   */
  exec(host: string, argv: string[], options: RunOptions = {}): Promise<RunResult> {
    if (this.isMachine(host)) {
      // The socket is looked up each time, because the guest may move while the command runs.
      return runInGuest(() => machineSockets(this, host, this.vm(host).node).console, argv, options);
    }
    return run(inNetns(this.ns(host), argv), options);
  }

  /** True for a VM that is a QEMU machine. */
  isMachine(host: string): boolean {
    return this.topology.vms.some((vm) => vm.name === host && vm.machine === 'qemu');
  }

  /**
   * Starts a command in a host's namespace. The caller should end it. `down` ends all that still
   * run.
   */
  spawn(host: string, argv: string[], options: SpawnOptions = {}): ChildProcess {
    return start(inNetns(this.ns(host), argv), options);
  }

  /** Starts tcpdump on a device of a host. Returns once it sees every packet from then on. */
  capture(host: string, device: string, options: CaptureOptions = {}): Promise<Capture> {
    const folder = join(this.runDir, 'captures');
    mkdirSync(folder, { recursive: true });
    const file = join(folder, `${host}-${device}-${process.pid}-${++this.#captures}.pcap`);
    return startCapture(this.ns(host), device, file, options);
  }

  /**
   * Moves a VM to another node with `moveVm`, or a QEMU machine with `moveLive`. Returns null if it
   * is already there.
   */
  async migrate(vm: string, node: string, options: MigrateOptions = {}): Promise<MigrationTimes | null> {
    const before = this.vm(vm);
    this.node(node);
    if (before.node === node) {
      return null;
    }
    if (before.machine === 'qemu') {
      return moveLive(this, before, node, options);
    }
    const after = { ...before, node };
    const { topology } = updateState(this.runDir, (state) => {
      state.topology.vms = state.topology.vms.map((v) => (v.name === vm ? after : v));
    });
    return moveVm(this.name, topology, before, after, options);
  }

  /** Stops a QEMU machine where it is, or lets it go on. */
  async setRunning(vm: string, running: boolean): Promise<void> {
    const qmp = await Qmp.connect(machineSockets(this, vm, this.vm(vm).node).qmp);
    try {
      await qmp.execute(running ? 'cont' : 'stop');
    } finally {
      qmp.close();
    }
  }

  /**
   * Runs `ovs-vsctl` on the physical switch, for example to change a port's allowed VLANs. Returns
   * its output.
   */
  vsctl(...args: string[]): Promise<string> {
    return ovsVsctl(this.runDir, args);
  }

  /** Runs `ovs-appctl` on the physical switch. Returns its output. */
  appctl(...args: string[]): Promise<string> {
    return ovsAppctl(this.runDir, args);
  }

  /** Starts the controller and waits until it is ready. Does nothing if it runs. */
  startController(signal?: AbortSignal): Promise<void> {
    return daemons.startController(this, signal);
  }

  /** Ends the controller and waits for it. Default SIGTERM. */
  stopController(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return daemons.stopDaemon(this, 'controller', signal);
  }

  /**
   * Declares the communication domains, pools, nodes and edges of the topology to the controller.
   */
  declare(): Promise<void> {
    return daemons.declareInventory(this);
  }

  /**
   * Starts a node's agent, and waits until the controller sees it connected with every VM. Without
   * a controller, it waits until the agent has applied its stored program. Does nothing if the
   * agent runs.
   */
  startAgent(node: string, signal?: AbortSignal): Promise<void> {
    return daemons.startAgent(this, node, signal);
  }

  /**
   * Ends a node's agent, and waits until it has ended and a running controller has noticed. Default
   * SIGTERM. The data plane keeps working.
   */
  stopAgent(node: string, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    return daemons.stopAgent(this, node, signal);
  }

  /**
   * Runs `agent --uninstall` on a node: removes everything that the agent made. The agent must be
   * stopped.
   */
  uninstallAgent(node: string): Promise<RunResult> {
    return daemons.uninstallAgent(this, node);
  }

  /** Starts the forwarder from 127.0.0.1 of the root namespace to the API. Returns its port. */
  startForwarder(): Promise<number> {
    return daemons.startForwarder(this);
  }

  /** Removes the lab: processes, namespaces, bpffs folders, files. It can be repeated. */
  async down(): Promise<void> {
    await downLab(this.name, dirname(this.runDir));
  }
}

/** The existing lab of this name. Throws `LabError` if there is none. */
export function openLab(name: string, runRoot: string = DEFAULT_RUN_ROOT): Lab {
  const lab = new Lab(name, labRunDir(name, runRoot));
  void lab.state;
  return lab;
}
