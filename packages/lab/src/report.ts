/** What `lab up` and `lab status` print. */
import { apiSocket, tokenFile } from './lab-handle.ts';
import { isAlive } from './processes.ts';
import type { LabState } from './state.ts';
import type { LabVm } from './topology.ts';

/** Lines of text columns, padded to the widest cell of each. */
export function table(head: string[], rows: string[][]): string {
  const all = [head, ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? '').length)));
  return all
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** How to use a lab that is up. */
export function usageText(state: LabState): string {
  const option = state.name === 'mp' ? '' : ` --name ${state.name}`;
  const [a, b] = state.topology.vms.filter((vm) => vm.address !== null);
  const lines = [`lab ${state.name} is up: ${state.topology.nodes.length} nodes, ${state.topology.vms.length} VMs`, ''];
  if (state.processes.some((p) => p.name === 'controller')) {
    lines.push(
      `  export MIRRORPLANE_URL=unix:${apiSocket(state.runDir)} MIRRORPLANE_TOKEN_FILE=${tokenFile(state.runDir)}`,
    );
    if (state.apiPort !== null) {
      lines.push(`  http://127.0.0.1:${state.apiPort}/ leads to the controller`);
    }
  }
  if (a && b) {
    lines.push(`  mirrorplane lab exec${option} ${a.name} -- ping -c1 ${b.address}`);
  }
  lines.push(`  mirrorplane lab status${option}`, `  mirrorplane lab down${option}`);
  return lines.join('\n');
}

/** Tables of nodes, interfaces, other hosts and processes. */
export function statusText(state: LabState): string {
  const { topology } = state;
  const ns = (host: string) => `${state.name}-${host}`;
  const domainOf = (pool: string) => topology.pools.find((p) => p.name === pool)?.domain ?? '';
  const nodes = topology.nodes.map((n) => [
    n.name,
    n.pool,
    domainOf(n.pool),
    n.managementAddress,
    n.underlayAddress,
    ns(n.name),
  ]);
  const guest = (vm: LabVm) => (vm.machine === 'qemu' ? 'a QEMU machine' : ns(vm.host));
  const vms = topology.vms.map((vm) => [vm.id, vm.kind, vm.node, vm.device, vm.mac, vm.address ?? '-', guest(vm)]);
  const edges = topology.edges.map((edge) => [
    edge.declare?.id ?? '-',
    'edge',
    edge.node,
    edge.device,
    edge.mac,
    `trunk ${edge.allowedVlans.join(',')}${edge.nativeVlan === null ? '' : ` native ${edge.nativeVlan}`}`,
    ns('switch'),
  ]);
  const hosts = [
    ...topology.edges.flatMap(({ gateway, node, device }) =>
      gateway === null ? [] : [[gateway.name, `behind ${device} of ${node}`, gateway.address, ns(gateway.name)]],
    ),
    ...(topology.switch?.hosts ?? []).map((h) => [h.name, `switch, VLAN ${h.vlan}`, h.address ?? '-', ns(h.name)]),
  ];
  const processes = state.processes.map((p) => [p.name, String(p.pid), isAlive(p) ? 'runs' : 'ended', p.log]);
  return [
    `lab ${state.name}: ${state.phase}, made ${state.createdAt}, underlay MTU ${topology.underlayMtu}`,
    table(['NODE', 'POOL', 'DOMAIN', 'MANAGEMENT', 'UNDERLAY', 'NAMESPACE'], nodes),
    table(['INTERFACE', 'KIND', 'NODE', 'DEVICE', 'MAC', 'ADDRESS', 'NAMESPACE'], [...vms, ...edges]),
    table(['HOST', 'WHERE', 'ADDRESS', 'NAMESPACE'], hosts),
    table(['PROCESS', 'PID', 'STATE', 'LOG'], processes),
  ].join('\n\n');
}
