import { identityAlias, type LabVm, type Topology } from './topology.ts';

/** One end of a veth pair: namespace, device name, MAC. */
export type LinkEnd = [ns: string, device: string, mac: string];

/** The line of `ip -batch` that makes a veth pair straight in its two namespaces. MTU in bytes, the same on both ends. */
export function linkLine(a: LinkEnd, b: LinkEnd, mtu = 1500): string {
  const end = ([ns, device, mac]: LinkEnd) => `name ${device} netns ${ns} address ${mac} mtu ${mtu}`;
  return `link add ${end(a)} type veth peer ${end(b)}`;
}

/** The port of the fabric's `overlay` bridge behind which a VM is. */
export function overlayPort(vm: LabVm): string {
  return `o-${vm.node}`;
}

/** `ip` lines for the guest side of a VM's NIC, in the VM's namespace. */
export function guestLines(topology: Topology, vm: LabVm, device: string = vm.guestDevice): string[] {
  const lines = [`link set ${device} up`];
  if (vm.address === null) return lines;
  // Up first: the kernel refuses neighbours on a device that is down.
  lines.push(`address add ${vm.address}/${topology.vmPrefixLength} dev ${device}`);
  if (!topology.permanentNeighbours) return lines;
  for (const other of topology.vms) {
    if (other.address !== null && other.name !== vm.name) {
      lines.push(`neigh replace ${other.address} lladdr ${other.mac} dev ${device} nud permanent`);
    }
  }
  return lines;
}

/** `ip` lines for the device of a VM on its node: identity first, so that it never shows up without. */
export function nodeVmLines(vm: LabVm): string[] {
  return [
    `link set ${vm.device} alias "${identityAlias(vm)}"`,
    vm.bridge === null ? `link set ${vm.device} up` : `link set ${vm.device} master ${vm.bridge} up`,
  ];
}

/** `bridge` lines that tell a node's bridge where a VM is: at its own port, or behind the trunk. */
export function nodeVmFdbLines(vm: LabVm, node: string): string[] {
  if (vm.bridge === null) return [];
  return [`fdb replace ${vm.mac} dev ${vm.node === node ? vm.device : 'trunk0'} master static`];
}
