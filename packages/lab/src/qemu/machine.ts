/** A VM of the lab that is a real QEMU machine: its start and its sockets. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, waitReady } from '../daemons.ts';
import type { LabHandle } from '../lab-handle.ts';
import { inNetns } from '../netns.ts';
import type { ProcessRecord } from '../processes.ts';
import type { LabVm, Topology } from '../topology.ts';
import { guestAnswers } from './console.ts';
import { settingsFile } from './guest-files.ts';
import type { GuestImage } from './guest-image.ts';
import { initramfs } from './initramfs.ts';

/** Enough for the kernel to unpack itself. 64 is not enough. */
const MEMORY_MIB = 96;
/** Enough for a loaded machine. An idle one boots in four seconds without KVM. */
const BOOT_MS = 120_000;
const MTU = 1500;

/** The unix sockets of a VM's QEMU on a node. */
export interface MachineSockets {
  /** The guest's serial console. */
  console: string;
  qmp: string;
  /** Socket for the state of a guest that migrates to this QEMU. */
  incoming: string;
}

const folder = (lab: LabHandle) => join(lab.runDir, 'qemu');

/** The sockets of a VM's QEMU on a node, whether it runs there or not. */
export function machineSockets(lab: LabHandle, vm: string, node: string): MachineSockets {
  const at = (kind: string) => join(folder(lab), `${vm}-${node}.${kind}`);
  return { console: at('console'), qmp: at('qmp'), incoming: at('incoming') };
}

/** The name of a VM's QEMU on a node among the lab's processes. */
export const machineName = (vm: string, node: string) => `qemu-${vm}-${node}`;

/** The first file system of one guest: the common image, followed by the settings of the guest. */
const guestInitramfs = (lab: LabHandle, vm: string) => join(folder(lab), `${vm}.initramfs`);
const kernelOf = (lab: LabHandle) => join(folder(lab), 'vmlinuz');

/** Copies everything that the lab's QEMU machines boot from into the lab's folder. */
export function prepareMachines(lab: LabHandle, topology: Topology, image: GuestImage): void {
  mkdirSync(folder(lab), { recursive: true });
  writeFileSync(kernelOf(lab), readFileSync(image.kernel));
  const common = readFileSync(image.initramfs);
  for (const vm of topology.vms) {
    if (vm.machine !== 'qemu') {
      continue;
    }
    const own = initramfs(settingsFile(settings(topology, vm)));
    writeFileSync(guestInitramfs(lab, vm.name), Buffer.concat([common, own]));
  }
}

function settings(topology: Topology, vm: LabVm): Record<string, string> {
  const others = topology.vms.filter((other) => other.address !== null && other.name !== vm.name);
  return {
    mtu: String(MTU),
    address: vm.address === null ? '' : `${vm.address}/${topology.vmPrefixLength}`,
    neighbours: topology.permanentNeighbours ? others.map((o) => `${o.address}=${o.mac}`).join(' ') : '',
  };
}

/**
 * Starts a VM's QEMU on a node where its tap exists. It boots, or with `incoming` it waits for a
 * guest that migrates to it. The lab's `down` ends it.
 */
export function startMachine(lab: LabHandle, vm: LabVm, node: string, incoming = false): ProcessRecord {
  const sockets = machineSockets(lab, vm.name, node);
  for (const socket of Object.values(sockets)) {
    rmSync(socket, { force: true });
  }
  const ipv6 = lab.topology.ipv6 ? '' : ' ipv6.disable=1';
  const argv = ['qemu-system-x86_64', '-name', vm.name, '-machine', 'pc', '-accel', 'tcg', '-m', `${MEMORY_MIB}M`];
  argv.push('-nodefaults', '-no-user-config', '-display', 'none', '-no-reboot');
  argv.push('-kernel', kernelOf(lab), '-initrd', guestInitramfs(lab, vm.name));
  argv.push('-append', `console=ttyS0 quiet panic=-1${ipv6}`);
  argv.push('-netdev', `tap,id=net0,ifname=${vm.device},script=no,downscript=no,vhost=off`);
  argv.push('-device', `virtio-net-pci,netdev=net0,mac=${vm.mac},romfile=`);
  argv.push('-chardev', `socket,id=console,path=${sockets.console},server=on,wait=off`, '-serial', 'chardev:console');
  argv.push('-qmp', `unix:${sockets.qmp},server=on,wait=off`);
  if (incoming) {
    argv.push('-incoming', 'defer');
  }
  return launch(lab, machineName(vm.name, node), inNetns(lab.ns(node), argv));
}

/**
 * Waits until a started guest answers. If QEMU ends or takes too long, it throws with the end of
 * QEMU's output.
 */
export async function guestUp(lab: LabHandle, vm: LabVm, record: ProcessRecord, signal?: AbortSignal): Promise<void> {
  const { console } = machineSockets(lab, vm.name, vm.node);
  await waitReady(record, `guest ${vm.name}`, () => guestAnswers(console), signal, BOOT_MS);
}
