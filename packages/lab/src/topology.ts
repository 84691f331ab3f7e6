import { labMac, MAC_GROUP } from './mac.ts';
import { defaultEdges, defaultSwitch } from './switch-topology.ts';

/** A resource pool of the lab and the communication domain that it belongs to. */
export interface LabPool {
  name: string;
  domain: string;
}

/** A host that runs the agent. */
export interface LabNode {
  name: string;
  pool: string;
  /** 1 to 99; addresses and MACs come from it. */
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
  /** The node it runs on now; `migrate` changes it. */
  node: string;
  /** 1 to 65535, unique; MAC and address come from it and stay for life. */
  index: number;
  /** The interface id that the alias carries, for example `web-1/0`. */
  id: string;
  /** MAC of the guest side. */
  mac: string;
  /** Address in the flat VM network with no prefix length, or null for a NIC with none. */
  address: string | null;
  /** The host (namespace) that the guest side is in; usually the VM itself. A QEMU machine has no namespace. */
  host: string;
  /** Name of the guest side. Default `eth0`. */
  guestDevice: string;
  /** What the guest is: a network namespace, with a veth pair to the node, or a real machine of QEMU, with a tap. Default `namespace`. */
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
  /** VLAN ID of the untagged (business) traffic, or null for a trunk without. */
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
  /** VLANs without address learning, as a switch configures VLANs that carry copies: every frame reaches every port of the VLAN. */
  floodVlans: number[];
  /** Edge NICs do not reach each other through the switch, so a copy that leaves by one never comes back by another. Default true. */
  protectEdges: boolean;
}

/** Everything there is in a lab, as data. Names are without the lab's prefix. */
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

/** What `defaultTopology` can vary. */
export interface TopologyOptions {
  /** How many of the four nodes, or up to 32 with the rest in `pool-a`. Default 4. */
  nodes?: number;
  /** The named VMs (web-1, db-1, …) of the nodes that exist. Default true. */
  namedVms?: boolean;
  /** VMs beside the named ones, on each node, named `vm-NODE-K`. 0 to 500, default 0. */
  vmsPerNode?: number;
  /**
   * NICs without address and bridge, on each node, whose guest sides share one host `many-NODE`; for measuring many captures.
   * 0 to 4096, default 0.
   */
  devicesPerNode?: number;
  /** Names of VMs that are QEMU machines and not namespaces. Default none. */
  qemu?: string[];
  /** Bytes, 576 to 9216, default 1600. */
  underlayMtu?: number;
  /** Allowed VLANs of the edge trunks. Default 100, 200, 300. */
  edgeVlans?: number[];
  /** The physical switch and all that hangs on it. Default true. */
  switch?: boolean;
  /** Default false. */
  ipv6?: boolean;
  /** Default true up to 128 VMs; beyond that VMs use ARP. */
  permanentNeighbours?: boolean;
}

/** The address of the controller's host on the management network. */
export const CONTROLLER_ADDRESS = '10.99.0.1';
/** The name of the flat network that the VMs are in. */
export const VM_NETWORK = 'blue';

const DEFAULT_POOLS: LabPool[] = [
  { name: 'pool-a', domain: 'domain-1' },
  { name: 'pool-b', domain: 'domain-1' },
  { name: 'pool-c', domain: 'domain-2' },
];
const DEFAULT_NODE_POOLS = ['pool-a', 'pool-a', 'pool-b', 'pool-c'];
const DEFAULT_VMS: [name: string, kind: 'vm' | 'nfv', node: string][] = [
  ['web-1', 'vm', 'node-1'],
  ['web-2', 'vm', 'node-1'],
  ['db-1', 'vm', 'node-2'],
  ['ids-1', 'vm', 'node-2'],
  ['app-1', 'vm', 'node-3'],
  ['mon-3', 'vm', 'node-3'],
  ['other-1', 'vm', 'node-4'],
  ['fw-1', 'nfv', 'node-1'],
];
/** The first index behind the named VMs; leaves room to name a few more without moving the rest. */
const FIRST_EXTRA_INDEX = 21;
/** First index of NICs without address, out of the way of every VM. */
const FIRST_DEVICE_INDEX = 20_001;

/** A VM of the flat network: its MAC and its address follow from the index (1 to 65535). */
export function makeVm(name: string, kind: 'vm' | 'nfv', node: string, index: number): LabVm {
  return {
    name,
    kind,
    node,
    index,
    id: `${name}/0`,
    mac: labMac(MAC_GROUP.guest, index),
    // 250 hosts to each /24 keeps .0 and .255 out of use.
    address: `10.0.${Math.floor((index - 1) / 250)}.${((index - 1) % 250) + 1}`,
    host: name,
    guestDevice: 'eth0',
    machine: 'namespace',
    device: `tap-${name}`,
    bridge: 'br0',
  };
}

function makeDevice(node: LabNode, k: number, index: number): LabVm {
  const name = `d-${node.index}-${k}`;
  return {
    ...makeVm(name, 'vm', node.name, index),
    address: null,
    host: `many-${node.index}`,
    guestDevice: `eth${k - 1}`,
    bridge: null,
  };
}

/**
 * The identity alias of the device of a VM or NFV device, as the agent's `alias` provider reads it.
 * @param guest whether the guest runs behind it, where the orchestrator says so
 */
export function identityAlias(vm: LabVm, guest?: 'absent'): string {
  const identity = `mirrorplane:kind=${vm.kind};id=${vm.id};name=${vm.name} ${vm.guestDevice};network=${VM_NETWORK}`;
  return guest === undefined ? identity : `${identity};guest=${guest}`;
}

/** The standard lab: four nodes in three pools and two domains, the named VMs, edges and the switch. Pure. */
export function defaultTopology(options: TopologyOptions = {}): Topology {
  const count = options.nodes ?? 4;
  const nodes: LabNode[] = Array.from({ length: count }, (_, i) => ({
    name: `node-${i + 1}`,
    pool: DEFAULT_NODE_POOLS[i] ?? 'pool-a',
    index: i + 1,
    managementAddress: `10.99.0.${i + 11}`,
    underlayAddress: `10.98.0.${i + 11}`,
  }));
  const here = new Set(nodes.map((n) => n.name));
  const vms =
    options.namedVms === false
      ? []
      : DEFAULT_VMS.map(([name, kind, node], i) => makeVm(name, kind, node, i + 1)).filter((vm) => here.has(vm.node));
  let next = FIRST_EXTRA_INDEX;
  let nextDevice = FIRST_DEVICE_INDEX;
  for (const node of nodes) {
    for (let k = 1; k <= (options.vmsPerNode ?? 0); k++) {
      vms.push(makeVm(`vm-${node.index}-${k}`, 'vm', node.name, next++));
    }
    for (let k = 1; k <= (options.devicesPerNode ?? 0); k++) vms.push(makeDevice(node, k, nextDevice++));
  }
  for (const vm of vms) if (options.qemu?.includes(vm.name)) vm.machine = 'qemu';
  const edgeVlans = options.edgeVlans ?? [100, 200, 300];
  const withSwitch = options.switch ?? true;
  const topology: Topology = {
    pools: DEFAULT_POOLS.filter((pool) => nodes.some((n) => n.pool === pool.name)),
    nodes,
    vms,
    edges: withSwitch ? defaultEdges(edgeVlans).filter((e) => here.has(e.node)) : [],
    switch: withSwitch ? defaultSwitch(edgeVlans) : null,
    vmPrefixLength: vms.some((vm) => vm.address !== null && vm.index > 250) ? 16 : 24,
    underlayMtu: options.underlayMtu ?? 1600,
    ipv6: options.ipv6 ?? false,
    permanentNeighbours: options.permanentNeighbours ?? vms.filter((vm) => vm.address !== null).length <= 128,
  };
  return topology;
}
