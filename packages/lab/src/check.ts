/** Checks a topology before anything is made. */
import { hostNames } from './build.ts';
import { LabError } from './state.ts';
import type { Topology } from './topology.ts';

/** Longest name of a network device, characters. */
const DEVICE_NAME_MAX = 15;
const NAME = /^[a-z0-9][a-z0-9-]*$/;

/** All problems of a topology, one sentence each. Empty: it can be built. Pure. */
export function topologyProblems(topology: Topology): string[] {
  const problems: string[] = [];
  const unique = (what: string, values: (string | number)[]) => {
    const seen = new Set<string | number>();
    for (const value of values) {
      if (seen.has(value)) {
        problems.push(`${what} ${value} is there twice`);
      }
      seen.add(value);
    }
  };
  const nodes = new Set(topology.nodes.map((n) => n.name));
  const pools = new Set(topology.pools.map((p) => p.name));
  if (nodes.size === 0) {
    problems.push('there is no node');
  }
  unique(
    'node',
    topology.nodes.map((n) => n.name),
  );
  unique(
    'node index',
    topology.nodes.map((n) => n.index),
  );
  unique(
    'VM',
    topology.vms.map((vm) => vm.name),
  );
  unique(
    'VM index',
    topology.vms.map((vm) => vm.index),
  );
  unique(
    'guest device',
    topology.vms.map((vm) => `${vm.host}:${vm.guestDevice}`),
  );
  unique('host', [
    ...['fabric', 'ctl', 'switch', ...nodes, ...new Set(topology.vms.map((vm) => vm.host))],
    ...(topology.switch?.hosts ?? []).map((h) => h.name),
    ...topology.edges.flatMap((e) => (e.gateway === null ? [] : [e.gateway.name])),
  ]);
  for (const node of topology.nodes) {
    if (!pools.has(node.pool)) {
      problems.push(`node ${node.name} is in pool ${node.pool}, which does not exist`);
    }
    if (node.index < 1 || node.index > 99) {
      problems.push(`node ${node.name} has index ${node.index}, not 1 to 99`);
    }
  }
  for (const vm of topology.vms) {
    if (!NAME.test(vm.name)) {
      problems.push(`VM name '${vm.name}' has other characters than a-z, 0-9 and -`);
    }
    if (!nodes.has(vm.node)) {
      problems.push(`VM ${vm.name} is on ${vm.node}, which does not exist`);
    }
    if (vm.index < 1 || vm.index > 0xffff) {
      problems.push(`VM ${vm.name} has index ${vm.index}, not 1 to 65535`);
    }
  }
  for (const edge of topology.edges) {
    if (!nodes.has(edge.node)) {
      problems.push(`edge ${edge.device} is on ${edge.node}, which does not exist`);
    }
    if (topology.switch === null) {
      problems.push(`edge ${edge.device} of ${edge.node} needs the switch`);
    }
  }
  for (const host of hostNames(topology)) {
    if (!NAME.test(host)) {
      problems.push(`host name '${host}' has other characters than a-z, 0-9 and -`);
    }
  }
  const devices = [
    ...topology.nodes.flatMap((n) => [`m-${n.name}`]),
    ...topology.vms.flatMap((vm) => [vm.device, vm.guestDevice]),
    ...topology.edges.flatMap((e) => [e.device, e.switchPort, ...(e.gateway === null ? [] : [e.gateway.device])]),
    ...(topology.switch?.hosts ?? []).map((h) => h.name),
  ];
  for (const device of devices) {
    if (device.length > DEVICE_NAME_MAX || !NAME.test(device)) {
      problems.push(`device name '${device}': at most ${DEVICE_NAME_MAX} of a-z, 0-9 and -`);
    }
  }
  const { underlayMtu } = topology;
  if (!Number.isInteger(underlayMtu) || underlayMtu < 576 || underlayMtu > 9216) {
    problems.push(`underlay MTU ${underlayMtu} is not 576 to 9216`);
  }
  const vlans = topology.edges.flatMap((e) => [...e.allowedVlans, ...(e.nativeVlan === null ? [] : [e.nativeVlan])]);
  for (const vlan of [...vlans, ...(topology.switch?.hosts ?? []).map((h) => h.vlan)]) {
    if (!Number.isInteger(vlan) || vlan < 1 || vlan > 4094) {
      problems.push(`VLAN ID ${vlan} is not 1 to 4094`);
    }
  }
  return problems;
}

/** Throws `LabError` with every problem at once. */
export function checkTopology(topology: Topology): void {
  const problems = topologyProblems(topology);
  if (problems.length > 0) {
    throw new LabError(`the lab cannot be built: ${problems.join('; ')}`);
  }
}
