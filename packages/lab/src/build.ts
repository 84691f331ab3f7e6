/** Builds the network of a lab: namespaces, veth pairs, addresses, bridges and routes. */
import { guestLines, linkLine, nodeVmFdbLines, nodeVmLines, overlayPort, tapMac } from './links.ts';
import { labMac, MAC_GROUP } from './mac.ts';
import { heredoc, ipBatch, parallel, script } from './netns.ts';
import { CONTROLLER_ADDRESS, type Topology } from './topology.ts';

/**
 * How many namespaces are configured in parallel. More do not help: all commands wait for the
 * kernel's one configuration lock.
 */
const WIDTH = 4;

/** The hosts of a lab: its namespaces without the prefix. */
export function hostNames(topology: Topology): string[] {
  const names = ['fabric', 'ctl', ...topology.nodes.map((n) => n.name)];
  for (const vm of topology.vms) {
    if (vm.machine === 'namespace') {
      names.push(vm.host);
    }
  }
  if (topology.switch !== null) {
    names.push('switch', ...topology.switch.hosts.map((h) => h.name));
    for (const edge of topology.edges) {
      if (edge.gateway !== null) {
        names.push(edge.gateway.name);
      }
    }
  }
  return [...new Set(names)];
}

/** The namespace of a host. */
export function namespaceOf(lab: string, host: string): string {
  return `${lab}-${host}`;
}

/**
 * Makes namespaces, links and addresses: everything except the configuration of the switch and the
 * daemons.
 */
export async function buildNetwork(lab: string, topology: Topology, signal?: AbortSignal): Promise<void> {
  const ns = (host: string) => namespaceOf(lab, host);
  const hosts = hostNames(topology);
  await ipBatch(
    null,
    hosts.map((host) => `netns add ${ns(host)}`),
  );
  signal?.throwIfAborted();
  await ipBatch(null, linkLines(lab, topology));
  signal?.throwIfAborted();
  await parallel(hosts, WIDTH, async (host) => {
    signal?.throwIfAborted();
    await script(ns(host), hostScript(topology, host));
  });
}

/**
 * Every veth pair, created directly in its two namespaces and never visible in the root namespace.
 */
function linkLines(lab: string, topology: Topology): string[] {
  const ns = (host: string) => namespaceOf(lab, host);
  const lines: string[] = [];
  const pair = (a: [host: string, dev: string, mac: string], b: [host: string, dev: string, mac: string], mtu = 1500) =>
    lines.push(linkLine([ns(a[0]), a[1], a[2]], [ns(b[0]), b[1], b[2]], mtu));
  pair(['ctl', 'mgmt0', labMac(MAC_GROUP.management, 1)], ['fabric', 'm-ctl', labMac(MAC_GROUP.fabric, 1)]);
  for (const node of topology.nodes) {
    const mac = (group: number, k: number) =>
      labMac(group, group === MAC_GROUP.fabric ? 256 * k + node.index : node.index + 10);
    const fabric = (k: number, prefix: string): [string, string, string] => [
      'fabric',
      `${prefix}-${node.name}`,
      mac(MAC_GROUP.fabric, k),
    ];
    pair([node.name, 'mgmt0', mac(MAC_GROUP.management, 0)], fabric(1, 'm'));
    pair([node.name, 'underlay0', mac(MAC_GROUP.underlay, 0)], fabric(2, 'u'), topology.underlayMtu);
    pair([node.name, 'trunk0', labMac(MAC_GROUP.bridge, 256 + node.index)], fabric(3, 'o'));
  }
  for (const vm of topology.vms) {
    if (vm.machine === 'namespace') {
      pair([vm.host, vm.guestDevice, vm.mac], [vm.node, vm.device, tapMac(vm)]);
    }
  }
  topology.edges.forEach((edge, i) => {
    pair([edge.node, edge.device, edge.mac], ['switch', edge.switchPort, labMac(MAC_GROUP.fabric, 2048 + i)]);
    const gateway = edge.gateway;
    if (gateway === null) {
      return;
    }
    pair([gateway.name, 'eth0', gateway.mac], [edge.node, gateway.device, labMac(MAC_GROUP.tap, 60_000 + i)]);
  });
  topology.switch?.hosts.forEach((host, i) => {
    pair([host.name, 'eth0', host.mac], ['switch', host.name, labMac(MAC_GROUP.fabric, 2304 + i)]);
  });
  return lines;
}

/** The script that runs inside one namespace and configures it. */
function hostScript(topology: Topology, host: string): string[] {
  const lines = sysctlLines(topology);
  const ip: string[] = ['link set lo up'];
  const bridge: string[] = [];
  const offloadOff: string[] = [];
  if (host === 'ctl') {
    ip.push(`address add ${CONTROLLER_ADDRESS}/24 dev mgmt0`, 'link set mgmt0 up');
  } else if (host === 'fabric') {
    fabricLines(topology, ip, bridge);
  } else if (host === 'switch') {
    const ports = [...topology.edges.map((e) => e.switchPort), ...(topology.switch?.hosts ?? []).map((h) => h.name)];
    ip.push(...ports.map((port) => `link set ${port} up`));
    offloadOff.push(...ports);
  } else if (topology.nodes.some((n) => n.name === host)) {
    nodeLines(topology, host, ip, bridge);
    offloadOff.push(...topology.edges.filter((e) => e.node === host).map((e) => e.device));
  } else {
    for (const vm of topology.vms) {
      if (vm.host === host) {
        ip.push(...guestLines(topology, vm));
      }
    }
    if (physicalLines(topology, host, ip)) {
      offloadOff.push('eth0');
    }
  }
  lines.push(...heredoc('ip -batch -', ip), ...heredoc('bridge -batch -', bridge));
  // The switch reads frames from packet sockets, so frames must have complete checksums and wire
  // size.
  lines.push(...offloadOff.map((dev) => `ethtool -K ${dev} tx off tso off gso off gro off >/dev/null`));
  return lines;
}

function sysctlLines(topology: Topology): string[] {
  const off = (key: string) => `if [ -e /proc/sys/net/${key} ]; then echo 0 >/proc/sys/net/${key}; fi`;
  // Bridges forward like plain switches. Frames do not pass iptables, which would reassemble and
  // drop packets.
  const lines = ['iptables', 'ip6tables', 'arptables'].map((name) => off(`bridge/bridge-nf-call-${name}`));
  if (!topology.ipv6) {
    for (const scope of ['all', 'default', 'lo']) {
      const key = `/proc/sys/net/ipv6/conf/${scope}/disable_ipv6`;
      lines.push(`if [ -e ${key} ]; then echo 1 >${key}; fi`);
    }
  }
  return lines;
}

/** A bridge that floods as little as possible: no spanning tree, no snooping, static addresses. */
function bridgeLine(name: string, mac: string, mtu: number): string {
  // Ageing in centiseconds: one hour. Static entries do not age. All other addresses are learnt
  // once.
  return `link add name ${name} address ${mac} mtu ${mtu} type bridge stp_state 0 forward_delay 0 mcast_snooping 0 ageing_time 360000`;
}

function fabricLines(topology: Topology, ip: string[], bridge: string[]): void {
  const networks = [
    ['mgmt', 'm', 1500],
    ['under', 'u', topology.underlayMtu],
    ['overlay', 'o', 1500],
  ] as const;
  networks.forEach(([name, prefix, mtu], i) => {
    ip.push(bridgeLine(name, labMac(MAC_GROUP.bridge, 4096 + i), mtu));
    const ports = topology.nodes.map((n) => `${prefix}-${n.name}`);
    if (prefix === 'm') {
      ports.push('m-ctl');
    }
    for (const port of ports) {
      ip.push(`link set ${port} master ${name} up`);
    }
    ip.push(`link set ${name} up`);
  });
  for (const node of topology.nodes) {
    bridge.push(`fdb replace ${labMac(MAC_GROUP.underlay, node.index + 10)} dev u-${node.name} master static`);
    bridge.push(`fdb replace ${labMac(MAC_GROUP.management, node.index + 10)} dev m-${node.name} master static`);
  }
  bridge.push(`fdb replace ${labMac(MAC_GROUP.management, 1)} dev m-ctl master static`);
  for (const vm of topology.vms) {
    if (vm.bridge === 'br0' && vm.machine === 'namespace') {
      bridge.push(`fdb replace ${vm.mac} dev ${overlayPort(vm)} master static`);
    }
  }
}

function nodeLines(topology: Topology, name: string, ip: string[], bridge: string[]): void {
  const node = topology.nodes.find((n) => n.name === name);
  if (node === undefined) {
    throw new Error(`no node ${name}`);
  }
  ip.push(
    `address add ${node.managementAddress}/24 dev mgmt0`,
    'link set mgmt0 up',
    `address add ${node.underlayAddress}/24 dev underlay0`,
    'link set underlay0 up',
    bridgeLine('br0', labMac(MAC_GROUP.bridge, node.index), 1500),
    'link set trunk0 master br0 up',
    'link set br0 up',
  );
  for (const vm of topology.vms) {
    if (vm.node === name) {
      ip.push(...nodeVmLines(vm));
    }
    bridge.push(...nodeVmFdbLines(vm, name));
  }
  const edges = topology.edges.filter((edge) => edge.node === name);
  for (const edge of edges) {
    if (edge.gateway === null) {
      ip.push(`link set ${edge.device} up`);
      continue;
    }
    ip.push(
      bridgeLine('brp', labMac(MAC_GROUP.bridge, 512 + node.index), 1500),
      `link set ${edge.device} master brp up`,
      `link set ${edge.gateway.device} master brp up`,
      'link set brp up',
    );
    bridge.push(`fdb replace ${edge.gateway.mac} dev ${edge.gateway.device} master static`);
    for (const peer of physicalPeers(topology)) {
      if (peer.mac !== edge.gateway.mac) {
        bridge.push(`fdb replace ${peer.mac} dev ${edge.device} master static`);
      }
    }
  }
}

/**
 * The hosts of the physical business network: those at the switch with an address, and the
 * gateways.
 */
function physicalPeers(topology: Topology): { name: string; mac: string; address: string }[] {
  const peers = topology.edges.flatMap((edge) => (edge.gateway === null ? [] : [edge.gateway]));
  return [
    ...peers,
    ...(topology.switch?.hosts ?? []).flatMap((h) => (h.address === null ? [] : [{ ...h, address: h.address }])),
  ];
}

function physicalLines(topology: Topology, host: string, ip: string[]): boolean {
  const peers = physicalPeers(topology);
  const self = peers.find((peer) => peer.name === host);
  if (self === undefined && !topology.switch?.hosts.some((h) => h.name === host)) {
    return false;
  }
  ip.push('link set eth0 up');
  if (self === undefined) {
    return true;
  }
  ip.push(`address add ${self.address}/24 dev eth0`);
  for (const peer of peers) {
    if (peer !== self) {
      ip.push(`neigh replace ${peer.address} lladdr ${peer.mac} dev eth0 nud permanent`);
    }
  }
  return true;
}
