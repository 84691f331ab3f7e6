/** Everything that a lab can contain, as data. */
import { labMac, MAC_GROUP } from './mac.ts';

/** A resource pool of the lab and the communication domain that it belongs to. */
export interface LabPool {
  name: string;
  domain: string;
}

/** A host that runs the agent. */
export interface LabNode {
  name: string;
  pool: string;
  /** 1 to 99. Addresses and MACs are derived from it. */
  index: number;
  /** Address on the management network, with no prefix length. */
  managementAddress: string;
  /** Address of `underlay0`, with no prefix length. */
  underlayAddress: string;
}

/** A NIC of a VM or of an NFV device, with a device on a node. */
export interface LabVm {
  name: string;
  kind: 'vm' | 'nfv';
  /** The node that it runs on now. `migrate` changes it. */
  node: string;
  /** 1 to 65535, unique. MAC and address are derived from it, and never change. */
  index: number;
  /** The interface id that the alias carries, for example `web-1/0`. */
  id: string;
  /** MAC of the guest side. */
  mac: string;
  /** Address in the flat VM network without prefix length. Null for a NIC without an address. */
  address: string | null;
  /**
   * The host (namespace) that the guest side is in; usually the VM itself. A QEMU machine has no
   * namespace.
   */
  host: string;
  /** Name of the guest side. Default `eth0`. */
  guestDevice: string;
  /**
   * What the guest is: a network namespace with a veth pair to the node, or a real QEMU machine
   * with a tap. Default `namespace`.
   */
  machine: 'namespace' | 'qemu';
  /** Name of the device on the node, for example `tap-web-1`. */
  device: string;
  /** The bridge on the node that the device is a port of, or null for none. */
  bridge: string | null;
}

/** A physical NIC of a node: a veth pair into the switch. */
export interface LabEdge {
  node: string;
  /** Name on the node, for example `edge0`. */
  device: string;
  mac: string;
  /** Name of the other side, in the switch. */
  switchPort: string;
  /** VLAN IDs that the switch's trunk port lets pass tagged. */
  allowedVlans: number[];
  /** VLAN ID of the untagged business traffic. Null for a trunk without it. */
  nativeVlan: number | null;
  /** The edge-connected interface to declare to the controller, or null for a spare NIC. */
  declare: { id: string; name: string } | null;
  /** A host behind the node whose traffic to the physical network passes this NIC, or null. */
  gateway: LabGateway | null;
}

/** A host on the node's side of an edge NIC: the other end of physical business traffic. */
export interface LabGateway {
  name: string;
  mac: string;
  address: string;
  /** Name of the device on the node, a port of the bridge `brp`. */
  device: string;
}

/** A host that is plugged into the physical switch as an access port. */
export interface LabSwitchHost {
  name: string;
  vlan: number;
  mac: string;
  address: string | null;
}

/** The physical switch: Open vSwitch with the userspace datapath. */
export interface LabSwitch {
  hosts: LabSwitchHost[];
  /**
   * VLANs without address learning, as on a switch with VLANs for copies: every frame reaches every
   * port of the VLAN.
   */
  floodVlans: number[];
  /**
   * Edge NICs do not reach each other through the switch, so a copy that leaves by one never
   * returns by another. Default true.
   */
  protectEdges: boolean;
}

/** The whole lab as data. Names are without the lab's prefix. */
export interface Topology {
  pools: LabPool[];
  nodes: LabNode[];
  vms: LabVm[];
  edges: LabEdge[];
  switch: LabSwitch | null;
  /** Prefix length of the VM network: 24, or 16 where there are more VMs than a /24 holds. */
  vmPrefixLength: number;
  /** MTU of `underlay0` and of all of the underlay, bytes. */
  underlayMtu: number;
  /** IPv6 stays on in the namespaces. */
  ipv6: boolean;
  /** Permanent neighbour entries: every VM knows every other, so there is no ARP. */
  permanentNeighbours: boolean;
}

/** The address of the controller's host on the management network. */
export const CONTROLLER_ADDRESS = '10.99.0.1';
/** The name of the flat network that the VMs are in. */
export const VM_NETWORK = 'blue';

/** A VM of the flat network. Its MAC and address are derived from the index (1 to 65535). */
export function makeVm(name: string, kind: 'vm' | 'nfv', node: string, index: number): LabVm {
  return {
    name,
    kind,
    node,
    index,
    id: `${name}/0`,
    mac: labMac(MAC_GROUP.guest, index),
    // 250 hosts in each /24, so that .0 and .255 are not used.
    address: `10.0.${Math.floor((index - 1) / 250)}.${((index - 1) % 250) + 1}`,
    host: name,
    guestDevice: 'eth0',
    machine: 'namespace',
    device: `tap-${name}`,
    bridge: 'br0',
  };
}

/**
 * The identity alias of the device of a VM or NFV device, as the agent's `alias` provider reads it.
 * @param guest whether the guest runs behind the device, as an orchestrator says
 */
export function identityAlias(vm: LabVm, guest?: 'absent'): string {
  const identity = `mirrorplane:kind=${vm.kind};id=${vm.id};name=${vm.name} ${vm.guestDevice};network=${VM_NETWORK}`;
  const alias = `${identity};mac=${vm.mac}`;
  return guest === undefined ? alias : `${alias};guest=${guest}`;
}
