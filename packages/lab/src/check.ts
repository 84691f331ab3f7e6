/** Checks a topology before anything is made. */
import { hostNames } from './build.ts';
import { LabError } from './state.ts';
import type { Topology } from './topology.ts';

/** Longest name of a network device, characters. */
const DEVICE_NAME_MAX = 15;
const NAME = /^[a-z0-9][a-z0-9-]*$/;

/** All problems of a topology, one sentence each. Empty: it can be built. Pure. */
export function topologyProblems(topology: Topology): string[] {
  return [
    ...(topology.nodes.length === 0 ? ['there is no node'] : []),
    ...repetitions(topology),
    ...nodeProblems(topology),
    ...vmProblems(topology),
    ...edgeProblems(topology),
    ...nameProblems(topology),
    ...numberProblems(topology),
  ];
}

function repetitions({ nodes, vms, edges, switch: hardware }: Topology): string[] {
  const guestHosts = new Set(vms.map((vm) => vm.host));
  const hosts = [
    ...['fabric', 'ctl', 'switch', ...new Set(nodes.map((n) => n.name)), ...guestHosts],
    ...(hardware?.hosts ?? []).map((h) => h.name),
    ...edges.flatMap((e) => (e.gateway === null ? [] : [e.gateway.name])),
  ];
  const all: [what: string, values: (string | number)[]][] = [
    ['node', nodes.map((n) => n.name)],
    ['node index', nodes.map((n) => n.index)],
    ['VM', vms.map((vm) => vm.name)],
    ['VM index', vms.map((vm) => vm.index)],
    ['guest device', vms.map((vm) => `${vm.host}:${vm.guestDevice}`)],
    ['host', hosts],
  ];
  return all.flatMap(([what, values]) => {
    const again = values.filter((value, at) => values.indexOf(value) < at);
    return again.map((value) => `${what} ${value} is there twice`);
  });
}

function nodeProblems({ nodes, pools }: Topology): string[] {
  const known = new Set(pools.map((p) => p.name));
  return nodes.flatMap(({ name, pool, index }) => [
    ...(known.has(pool) ? [] : [`node ${name} is in pool ${pool}, which does not exist`]),
    ...(index < 1 || index > 99 ? [`node ${name} has index ${index}, not 1 to 99`] : []),
  ]);
}

function vmProblems({ vms, nodes }: Topology): string[] {
  const known = new Set(nodes.map((n) => n.name));
  return vms.flatMap(({ name, node, index }) => [
    ...(NAME.test(name) ? [] : [`VM name '${name}' has other characters than a-z, 0-9 and -`]),
    ...(known.has(node) ? [] : [`VM ${name} is on ${node}, which does not exist`]),
    ...(index < 1 || index > 0xffff ? [`VM ${name} has index ${index}, not 1 to 65535`] : []),
  ]);
}

function edgeProblems({ edges, nodes, switch: hardware }: Topology): string[] {
  const known = new Set(nodes.map((n) => n.name));
  return edges.flatMap(({ device, node }) => [
    ...(known.has(node) ? [] : [`edge ${device} is on ${node}, which does not exist`]),
    ...(hardware === null ? [`edge ${device} of ${node} needs the switch`] : []),
  ]);
}

/** Names of hosts and devices. */
function nameProblems(topology: Topology): string[] {
  const hosts = [...hostNames(topology)].filter((host) => !NAME.test(host));
  const devices = [
    ...topology.nodes.flatMap((n) => [`m-${n.name}`]),
    ...topology.vms.flatMap((vm) => [vm.device, vm.guestDevice]),
    ...topology.edges.flatMap((e) => [e.device, e.switchPort, ...(e.gateway === null ? [] : [e.gateway.device])]),
    ...(topology.switch?.hosts ?? []).map((h) => h.name),
  ].filter((device) => device.length > DEVICE_NAME_MAX || !NAME.test(device));
  return [
    ...hosts.map((host) => `host name '${host}' has other characters than a-z, 0-9 and -`),
    ...devices.map((device) => `device name '${device}': at most ${DEVICE_NAME_MAX} of a-z, 0-9 and -`),
  ];
}

/** MTU and VLAN IDs. */
function numberProblems({ underlayMtu, edges, switch: hardware }: Topology): string[] {
  const isMtu = Number.isInteger(underlayMtu) && underlayMtu >= 576 && underlayMtu <= 9216;
  const vlans = edges.flatMap((e) => [...e.allowedVlans, ...(e.nativeVlan === null ? [] : [e.nativeVlan])]);
  const all = [...vlans, ...(hardware?.hosts ?? []).map((h) => h.vlan)];
  const wrong = all.filter((vlan) => !Number.isInteger(vlan) || vlan < 1 || vlan > 4094);
  return [
    ...(isMtu ? [] : [`underlay MTU ${underlayMtu} is not 576 to 9216`]),
    ...wrong.map((vlan) => `VLAN ID ${vlan} is not 1 to 4094`),
  ];
}

/** Throws `LabError` with every problem at once. */
export function checkTopology(topology: Topology): void {
  const problems = topologyProblems(topology);
  if (problems.length > 0) {
    throw new LabError(`the lab cannot be built: ${problems.join('; ')}`);
  }
}
