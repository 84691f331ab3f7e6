/** Lines for `ip -batch` that make the devices of VMs and the veth pairs between namespaces. */
import { labMac, MAC_GROUP } from './mac.ts';
import { identityAlias, type LabVm, type Topology } from './topology.ts';

/** One end of a veth pair: namespace, device name, MAC. */
export type LinkEnd = [ns: string, device: string, mac: string];

/**
 * The line of `ip -batch` that creates a veth pair directly in its two namespaces. MTU in bytes,
 * the same on both ends.
 */
export function linkLine(a: LinkEnd, b: LinkEnd, mtu = 1500): string {
  const end = ([ns, device, mac]: LinkEnd) => `name ${device} netns ${ns} address ${mac} mtu ${mtu}`;
  return `link add ${end(a)} type veth peer ${end(b)}`;
}

/** The port of the fabric's `overlay` bridge that leads to a VM. */
export function overlayPort(vm: LabVm): string {
  return `o-${vm.node}`;
}

/** The MAC of the device of a VM on its node. */
export function tapMac(vm: LabVm): string {
  return labMac(MAC_GROUP.tap, vm.index);
}

/** `ip` lines for the guest side of a VM's NIC, in the VM's namespace. */
export function guestLines(topology: Topology, vm: LabVm, device: string = vm.guestDevice): string[] {
  const lines = [`link set ${device} up`];
  if (vm.address === null) {
    return lines;
  }
  // Up comes first: the kernel refuses neighbours on a device that is down.
  lines.push(`address add ${vm.address}/${topology.vmPrefixLength} dev ${device}`);
  if (!topology.permanentNeighbours) {
    return lines;
  }
  for (const other of topology.vms) {
    if (other.address !== null && other.name !== vm.name) {
      lines.push(`neigh replace ${other.address} lladdr ${other.mac} dev ${device} nud permanent`);
    }
  }
  return lines;
}

/**
 * `ip` lines for the device of a VM on its node. For a QEMU machine they also create it. The device
 * gets its identity before it is up.
 */
export function nodeVmLines(vm: LabVm): string[] {
  const made = [`tuntap add dev ${vm.device} mode tap`, `link set ${vm.device} address ${tapMac(vm)}`];
  return [
    ...(vm.machine === 'qemu' ? made : []),
    `link set ${vm.device} alias "${identityAlias(vm)}"`,
    vm.bridge === null ? `link set ${vm.device} up` : `link set ${vm.device} master ${vm.bridge} up`,
  ];
}

/**
 * `bridge` lines that tell a node's bridge where a VM is: at its own port, or behind the trunk. A
 * QEMU machine announces itself, and bridges learn its place as they do outside of a lab.
 */
export function nodeVmFdbLines(vm: LabVm, node: string): string[] {
  if (vm.bridge === null || vm.machine === 'qemu') {
    return [];
  }
  return [`fdb replace ${vm.mac} dev ${vm.node === node ? vm.device : 'trunk0'} master static`];
}
