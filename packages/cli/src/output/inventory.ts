/** Interfaces and nodes as text. */

import { printable } from '@mirrorplane/base';
import type { Device, Interface, Node } from '@mirrorplane/contract';
import { whyNotMirrorable } from '@mirrorplane/contract/mirrorable';
import { formatVlanList } from '../vlans.ts';
import { ago, humanBytes, UNKNOWN } from './numbers.ts';
import { type Cell, type Column, renderFields, renderTable } from './table.ts';

/** A table with one row for each interface. `wide` adds columns. */
export function interfaceTable(interfaces: readonly Interface[], color: boolean, wide = false): string {
  const more = wide ? ['NETWORK', 'HOME', 'MAC', 'MTU'] : [];
  const titles = ['ID', 'KIND', 'NAME', 'POOL', 'DEVICE', 'DECLARED', 'ALLOWED VLANS', ...more];
  const columns = titles.map((title) => ({ title }));
  const rows = interfaces.map((one): Cell[] => [
    one.id,
    one.kind,
    one.name || '-',
    one.pool ?? UNKNOWN,
    deviceCell(one),
    one.declared ? 'yes' : 'no',
    vlans(one),
    ...(wide ? [one.network ?? '-', one.home ?? '-', ...ofDevices(one)] : []),
  ]);
  return renderTable(columns, rows, { color });
}

/** One interface: its fields, one a line, and its devices. */
export function interfaceFields(one: Interface, color: boolean): string {
  const { edge } = one;
  const fields: [string, Cell][] = [
    ['id', one.id],
    ['kind', one.kind],
    ['name', one.name || '-'],
    ['network', one.network ?? '-'],
    ...labelFields(one),
    ['pool', one.pool ?? UNKNOWN],
    ['declared', one.declared ? 'yes' : 'no'],
  ];
  if (one.boundTo !== undefined) {
    fields.push(['bound to', one.boundTo]);
  }
  if (one.contested) {
    fields.push(['claimed by', { text: one.contested.join(', '), style: 'yellow' }]);
  }
  if (edge) {
    fields.push(['edge', `${edge.device ?? edge.mac} on ${edge.node}`], ['allowed vlans', vlans(one)]);
  }
  if (one.devices.length === 0) {
    fields.push(['devices', deviceCell(one)]);
  }
  const columns: Column[] = [
    { title: 'NODE' },
    { title: 'DEVICE' },
    { title: 'IFINDEX', align: 'right' },
    { title: 'MAC' },
    { title: 'MTU', align: 'right' },
    { title: 'UP' },
  ];
  const rows = one.devices.map((device) => [
    device.node,
    device.name,
    device.ifindex,
    device.mac,
    device.mtu,
    upCell(device.up),
  ]);
  for (const { node, name, notMirrorable, warning } of one.devices) {
    const remark = notMirrorable ?? warning;
    if (remark !== undefined) {
      fields.push(['problem', { text: `${name} on ${node} ${remark}`, style: 'yellow' }]);
    }
  }
  return renderFields(fields, color) + (rows.length > 0 ? `\n${renderTable(columns, rows, { color })}` : '');
}

/** Labels as one field, if there are any. */
function labelFields({ labels = {} }: Interface): [string, string][] {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length > 0 ? [['labels', pairs.sort().join(', ')]] : [];
}

/** MAC addresses and MTUs of the devices, as texts. */
function ofDevices({ devices }: Interface): string[] {
  return [devices.map(({ mac }) => mac), devices.map(({ mtu }) => mtu)].map((values) => values.join(', ') || '-');
}

/** A table with one row for each node. `wide` adds columns. */
export function nodeTable(nodes: readonly Node[], color: boolean, wide = false): string {
  const columns: Column[] = [
    ...['NAME', 'POOL', 'CONNECTED', 'UNDERLAY'].map((title) => ({ title })),
    { title: 'MTU', align: 'right' },
    { title: 'DEVICES', align: 'right' },
    { title: 'PROGRAM' },
    { title: 'PROBLEMS' },
    { title: 'LAST SEEN' },
    ...(wide ? ['UNDERLAY DEVICE', 'AGENT', 'KERNEL', 'HOOK'].map((title) => ({ title })) : []),
  ];
  const rows = nodes.map((node): Cell[] => [
    node.name,
    node.pool,
    connectedCell(node),
    node.underlay?.address ?? UNKNOWN,
    node.underlay?.mtu ?? UNKNOWN,
    node.devices.length,
    programText(node),
    [...new Set(node.problems.map((problem) => problem.code))].join(',') || '-',
    ago(node.lastSeenAt),
    ...(wide ? [node.underlay?.device, node.agentVersion, node.kernel, node.hook].map((text) => text ?? UNKNOWN) : []),
  ]);
  return renderTable(columns, rows, { color });
}

/** One node: its fields, problems and devices. */
export function nodeFields(node: Node, color: boolean): string {
  const { underlay } = node;
  const fields = renderFields(
    [
      ['name', node.name],
      ['pool', node.pool],
      ['connected', connectedCell(node)],
      ['last seen', ago(node.lastSeenAt)],
      ['underlay', underlay ? `${underlay.address} on ${underlay.device}, MTU ${underlay.mtu}` : UNKNOWN],
      ...(underlay?.wireguard ? ([['encryption', `WireGuard, UDP port ${underlay.wireguard.port}`]] as const) : []),
      ['agent', node.agentVersion ?? UNKNOWN],
      ['kernel', node.kernel ?? UNKNOWN],
      ['hook', node.hook ?? UNKNOWN],
      ['program', programText(node)],
      ['certificate', certificateCell(node)],
      // An older controller sends no budgets.
      ...(node.budgets ?? []).map(({ device, bytesPerSecond }): [string, Cell] => {
        const limit = bytesPerSecond > 0 ? `${humanBytes(bytesPerSecond)} a second` : 'no limit';
        return ['copies', `${limit} by ${device}, as service traffic leaves it`];
      }),
    ],
    color,
  );
  const problems = [
    ...node.problems.map((problem) => `problem: ${printable(`${problem.code}: ${problem.message}`)}\n`),
    ...node.ending.map(
      (name) => `ending: ${printable(`policy ${name} is switched off, and this node may still copy`)}\n`,
    ),
  ];
  const columns: Column[] = [
    { title: 'DEVICE' },
    { title: 'IFINDEX', align: 'right' },
    { title: 'MAC' },
    { title: 'MTU', align: 'right' },
    { title: 'UP' },
    { title: 'LINK' },
    { title: 'INTERFACE' },
  ];
  const rows = node.devices.map((device): Cell[] => [
    device.name,
    device.ifindex,
    device.mac,
    device.mtu,
    upCell(device.up),
    device.linkType || '-',
    identityCell(device),
  ]);
  return fields + problems.join('') + (rows.length > 0 ? `\n${renderTable(columns, rows, { color })}` : '');
}

/** The interface of a device, and what prevents mirroring. */
function identityCell(device: Device): Cell {
  const { identity, identityError, warning } = device;
  const why = identity && whyNotMirrorable(device, identity.kind);
  const remarks = [why, warning, identityError].filter((text) => text !== undefined);
  if (remarks.length === 0) {
    return identity?.id ?? '-';
  }
  return { text: [identity?.id, ...remarks].filter((text) => text !== undefined).join(': '), style: 'yellow' };
}

/** The end of the agent's certificate: until then it can connect. */
function certificateCell({ certificateEndsAt: end, problems }: Node): Cell {
  if (end === undefined) {
    return UNKNOWN;
  }
  const text = Date.parse(end) > Date.now() ? `valid until ${end}` : `ended on ${end}`;
  const isProblem = problems.some(({ code }) => code === 'CERTIFICATE_ENDING' || code === 'CERTIFICATE_ENDED');
  return isProblem ? { text, style: 'red' } : text;
}

/** The revision that the kernel runs, and the newest revision if it differs. */
function programText(node: Node): string {
  if (node.programRevision === undefined && node.appliedRevision === undefined) {
    return UNKNOWN;
  }
  if (node.programRevision === node.appliedRevision) {
    return `${node.appliedRevision}`;
  }
  return `${node.appliedRevision ?? UNKNOWN}, newest ${node.programRevision ?? UNKNOWN}`;
}

function deviceCell(one: Interface): Cell {
  if (one.devices.length === 0) {
    return { text: 'no device now', style: 'dim' };
  }
  return one.devices
    .map(
      ({ node, name, up, notMirrorable }) =>
        `${node}:${name}${notMirrorable ? ' (not mirrorable)' : up ? '' : ' (down)'}`,
    )
    .join(', ');
}

function vlans(one: Interface): string {
  if (!one.edge) {
    return '-';
  }
  if (!one.edge.allowedVlans) {
    return 'not checked';
  }
  return formatVlanList(one.edge.allowedVlans) || 'none';
}

function upCell(up: boolean): Cell {
  return up ? 'yes' : { text: 'no', style: 'yellow' };
}

function connectedCell(node: Node): Cell {
  return node.connected ? { text: 'yes', style: 'green' } : { text: 'no', style: 'red' };
}
