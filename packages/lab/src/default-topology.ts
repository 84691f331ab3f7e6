/** The standard lab and its options. */
import { defaultEdges, defaultSwitch } from './switch-topology.ts';
import { type LabNode, type LabPool, type LabVm, makeVm, type Topology } from './topology.ts';

/** What `defaultTopology` can vary. */
export interface TopologyOptions {
  /** Number of nodes, up to 32. Those after the fourth are in `pool-a`. Default 4. */
  nodes?: number;
  /** The named VMs (web-1, db-1, …) of the nodes that exist. Default true. */
  namedVms?: boolean;
  /** VMs beside the named ones, on each node, named `vm-NODE-K`. 0 to 500, default 0. */
  vmsPerNode?: number;
  /**
   * NICs without address and bridge, on each node, for measuring many captures. Their guest sides
   * are in one host `many-NODE`. 0 to 4096, default 0.
   */
  devicesPerNode?: number;
  /** Names of VMs that are QEMU machines and not namespaces. Default none. */
  qemu?: string[];
  /** Bytes, 576 to 9216, default 1600. */
  underlayMtu?: number;
  /** Allowed VLANs of the edge trunks. Default 100, 200, 300. */
  edgeVlans?: number[];
  /** The physical switch and everything that is connected to it. Default true. */
  switch?: boolean;
  /** Default false. */
  ipv6?: boolean;
  /** Default true up to 128 VMs; beyond that VMs use ARP. */
  permanentNeighbours?: boolean;
}

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
/** The first index after the named VMs. A gap is left for more named VMs. */
const FIRST_EXTRA_INDEX = 21;
/** First index of NICs without address, above the index of every VM. */
const FIRST_DEVICE_INDEX = 20_001;

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
 * The standard lab: four nodes in three pools and two domains, the named VMs, edges and the switch.
 * Pure.
 */
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
    for (let k = 1; k <= (options.devicesPerNode ?? 0); k++) {
      vms.push(makeDevice(node, k, nextDevice++));
    }
  }
  for (const vm of vms) {
    if (options.qemu?.includes(vm.name)) {
      vm.machine = 'qemu';
    }
  }
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
